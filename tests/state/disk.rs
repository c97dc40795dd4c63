//! A `state` that cannot be written.

use crate::SOON;
use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    gate::{self, Gate},
    lab::Lab,
    policy::{self, WEST},
    smtp, wait,
};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

const WRITTEN: &str = "gate25_state_writes_total{result=\"ok\"}";
const FAILED: &str = "gate25_state_writes_total{result=\"failed\"}";

/// Awaits that many more.
fn more(gate: &Gate<'_>, series: &str, count: f64) -> Result<()> {
    let before = gate.metrics()?[series];
    gate.wait_metrics(&format!("{count} more {series}"), |now| now[series] >= before + count).map(drop)
}

/// A file system of 64 KiB.
struct Small(PathBuf);

impl Small {
    fn new(folder: PathBuf) -> Result<Self> {
        fs::create_dir(&folder)?;
        mount(Some("tmpfs"), &folder, Some("tmpfs"), MsFlags::empty(), Some("size=64k"))?;
        Ok(Self(folder))
    }

    /// Leaves no room.
    fn fill(&self) -> Result<()> {
        let mut file = fs::File::create(self.0.join("filler"))?;
        while file.write_all(&[0; 4096]).is_ok() {}
        Ok(())
    }

    fn read_only(&self, yes: bool) -> Result<()> {
        let flags = if yes { MsFlags::MS_RDONLY } else { MsFlags::empty() };
        let none = None::<&str>;
        Ok(mount(none, &self.0, none, MsFlags::MS_REMOUNT | flags, none)?)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_full_disk_stops_nothing() -> Result<()> {
    let lab = Lab::new()?;
    let _sink = smtp::Sink::start(&lab.university.namespace, "university", &[25])?;
    let small = Small::new(lab.folder().join("state"))?;
    let file = policy::write(lab.folder(), WEST)?;
    let gate = Gate::start(&lab, &file)?;
    let kept = |is_open: bool| -> Result<()> {
        let archive = small.0.join("policy.tar");
        let has = || fs::read_to_string(&archive).ok().filter(|text| text.contains("campus") == is_open);
        wait::until(SOON, has).map(drop).with_context(|| format!("not {is_open} in {}", archive.display()))
    };
    let open = |is_open: bool| -> Result<()> {
        policy::put(&file, &if is_open { policy::open() } else { WEST.to_owned() })?;
        crate::becomes(&lab, &lab.university, is_open, "reload", &gate)
    };
    kept(false)?;
    let whole = fs::read(small.0.join("policy.tar"))?;
    for (what, cause) in [("full", "no space left on device"), ("read-only", "read-only file system")] {
        if what == "full" {
            small.fill()?;
        } else {
            small.read_only(true)?;
        }
        open(true)?;
        more(&gate, FAILED, 2.0)?;
        gate.wait_log(&["WARN", "state: ", &lab.folder().join("state").display().to_string(), cause])?;
        // Tried every second, told once; what was there stays, and nothing half-written is there.
        let lines = |gate: &Gate<'_>| gate.log().matches(cause).count();
        ensure!(lines(&gate) == 1, "{what}: {}", gate.log());
        ensure!(fs::read(small.0.join("policy.tar"))? == whole, "{what}: the old one is gone");
        let names = names(&small.0)?;
        ensure!(names.iter().all(|name| !name.starts_with('.')), "{what}: {names:?}");
        ensure!(gate.health()?.0 == 200);

        if what == "full" {
            fs::remove_file(small.0.join("filler"))?;
        } else {
            small.read_only(false)?;
        }
        kept(true)?;
        ensure!(lines(&gate) == 1, "{what}: told again: {}", gate.log());
        open(false)?;
        kept(false)?;
    }
    ensure!(gate.stop()?.success());
    Ok(())
}

fn names(folder: &Path) -> Result<Vec<String>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// Missing it is made; what cannot be made, or is somebody else's, is said, and the gate starts all the same.
#[test]
fn a_folder_that_is_missing_or_none() -> Result<()> {
    let lab = Lab::new()?;
    let file = policy::write(lab.folder(), WEST)?;
    let config = gate::configuration(&lab, &file);
    let state = lab.folder().join("state");
    let gate = Gate::start(&lab, &file)?;
    gate.wait_metrics("written", |now| now[WRITTEN] > 0.0)?;
    ensure!(gate.stop()?.success());
    ensure!(fs::metadata(&state)?.permissions().mode() & 0o7777 == 0o750);

    for name in ["policy.tar", "clock.json"] {
        fs::remove_file(state.join(name))?;
        fs::create_dir(state.join(name))?;
    }
    let gate = Gate::start(&lab, &file)?;
    gate.wait_log(&["WARN", "clock.json", "is no file of gate25", "the wall clock is trusted"])?;
    gate.wait_metrics("not written", |now| now[FAILED] > 0.0)?;
    ensure!(gate.stop()?.success());
    for name in ["policy.tar", "clock.json"] {
        fs::remove_dir(state.join(name))?;
    }
    fs::write(state.join("clock.json"), "\0\0{")?;
    let gate = Gate::start(&lab, &file)?;
    gate.wait_log(&["WARN", "clock.json", "is damaged", "the wall clock is trusted"])?;
    let mended =
        || fs::read_to_string(state.join("clock.json")).ok().filter(|text| text.contains("\"time\""));
    wait::until(SOON, mended).context("it is not written anew")?;
    ensure!(gate.stop()?.success());

    let nowhere = config.replace("/state\n", "/policy.yaml/state\n");
    ensure!(nowhere != config);
    let gate = Gate::start_with(&lab, &nowhere)?;
    let parts = ["WARN", "policy.yaml/state", "not a directory", "enforcement goes on"];
    gate.wait_log(&parts)?;
    ensure!(gate.health()?.0 == 200 && gate.stop()?.success());
    Ok(())
}
