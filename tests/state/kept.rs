//! The last good policy.

use crate::{SOON, becomes, gate25, reaches, reboot, sinks};
use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    command,
    gate::{self, Gate},
    lab::{INTERFACE, Lab},
    policy::{self, UNIVERSITY, WEST},
    wait, xdp,
};
use std::{
    fs,
    os::unix::{fs::symlink, net::UnixDatagram},
    path::{Path, PathBuf},
    process::Command,
};

const FROM_STATE: &str = "gate25_policy_from_state";

/// A directory with a policy of two files and a list beside it, in which the university is open.
fn directory(lab: &Lab) -> Result<PathBuf> {
    let folder = lab.folder().join("policies");
    fs::create_dir(&folder)?;
    fs::write(folder.join("west.yaml"), WEST)?;
    fs::write(lab.folder().join("campus.txt"), "198.51.100.0/24\n2001:db8:51::/48\n")?;
    let campus =
        "version: 1\nexceptions:\n  - {id: campus, destinations_file: ../campus.txt, permanent: true}\n";
    fs::write(folder.join("campus.yaml"), campus)?;
    Ok(folder)
}

/// A reboot with the policy's directory gone: the gate is as it was before the network is; and takes the policy when it is
/// there.
#[test]
fn a_reboot_without_the_policy() -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = sinks(&lab)?;
    let policy = directory(&lab)?;
    let gate = Gate::start(&lab, &policy)?;
    ensure!(reaches(&lab, &lab.university)? && !reaches(&lab, &lab.stranger)?);
    ensure!(gate.metrics()?[FROM_STATE] < 0.5);
    let digest = digest(&gate)?;
    reboot(&lab, gate)?;
    ensure!(xdp::on(&lab.edge, INTERFACE)?.is_none() && reaches(&lab, &lab.stranger)?, "no reboot");
    fs::rename(&policy, lab.folder().join("away"))?;
    fs::remove_file(lab.folder().join("campus.txt"))?;

    let notify = lab.folder().join("notify");
    let ready = UnixDatagram::bind(&notify)?;
    ready.set_nonblocking(true)?;
    let mut run = Command::new(gate25_tests::gate25());
    run.arg("run").arg("--config").arg(gate::write(&lab, &gate::configuration(&lab, &policy))?);
    run.env("NOTIFY_SOCKET", &notify);
    let gate = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut word = [0; 1024];
            let is_ready = |word: &[u8]| word.starts_with(b"READY=1\n").then_some(());
            wait::until(SOON, || ready.recv(&mut word).ok().and_then(|length| is_ready(&word[..length])))
                .context("no word of its start")?;
            ensure!(xdp::on(&lab.edge, INTERFACE)?.is_some(), "ready before it enforces");
            Ok(())
        });
        let gate = Gate::run(&lab, run, SOON)?;
        waiting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map(|()| gate)
    })?;
    ensure!(reaches(&lab, &lab.university)? && !reaches(&lab, &lab.stranger)?, "{}", gate.log());
    ensure!(self::digest(&gate)? == digest);
    ensure!(gate.metrics()?[FROM_STATE] > 0.5 && gate.health()?.0 == 200);
    let shown = policy.display().to_string();
    gate.wait_log(&["WARN", &shown, "does not exist"])?;
    gate.wait_log(&["WARN", "policy: ", &shown, "the last good one", &digest[..12]])?;

    // While it is not there, nothing changes, whoever asks.
    gate.reload();
    gate.wait_series("gate25_policy_reloads_total{result=\"refused\"}", 1.0)?;
    ensure!(reaches(&lab, &lab.university)? && gate.metrics()?[FROM_STATE] > 0.5);
    // It is back, and another: without the list it names, it is none; then it is taken.
    fs::remove_file(lab.folder().join("away/campus.yaml"))?;
    fs::rename(lab.folder().join("away"), &policy)?;
    becomes(&lab, &lab.university, false, "the policy is back", &gate)?;
    gate.wait_series(FROM_STATE, 0.0)?;
    ensure!(self::digest(&gate)? != digest);
    Ok(())
}

fn digest(gate: &Gate<'_>) -> Result<String> {
    let metrics = gate.metrics()?;
    let series = metrics.keys().find(|series| series.starts_with("gate25_policy_info{digest="));
    Ok(series.and_then(|series| series.split('"').nth(1)).context("no digest")?.to_owned())
}

/// Where nothing good was kept of that path, or where the policy is there and wrong, there is no start.
#[test]
fn what_is_not_taken_from_state() -> Result<()> {
    let lab = Lab::new()?;
    let file = policy::write(lab.folder(), &policy::open())?;
    let (state, config) = (lab.folder().join("state"), gate::configuration(&lab, &file));
    let refused = |what: &str, config: &str, parts: &[&str]| -> Result<()> {
        let config = gate::write(&lab, config)?;
        let ended = gate25(&lab, &["run", "--config", &config.display().to_string()])?;
        ensure!(ended.code == Some(1), "{what}: {ended:?}");
        for part in parts {
            ensure!(ended.stderr.contains(part), "{what}: no {part:?} in {ended:?}");
        }
        ensure!(xdp::on(&lab.edge, INTERFACE)?.is_none(), "{what}: attached");
        let last = ended.last_line();
        ensure!(last.contains(": ") && last.ends_with(')') && !last.contains("WARN"), "{what}: {last}");
        Ok(())
    };
    reboot(&lab, Gate::start_with(&lab, &config)?)?;
    let kept = fs::read(state.join("policy.tar"))?;

    policy::put(&file, "version: 1\nzones: [\n")?;
    refused("a policy with a mistake", &config, &["policy.yaml:3:1: "])?;
    let list = WEST.to_owned() + "exceptions: [{id: e, destinations_file: none.txt, permanent: true}]\n";
    policy::put(&file, &list)?;
    refused(
        "a list that is not there",
        &config,
        &["exceptions[0].destinations_file: none.txt: does not exist"],
    )?;
    fs::remove_file(&file)?;
    let other = lab.folder().join("other.yaml");
    refused("another path", &gate::configuration(&lab, &other), &["other.yaml:1:1: file: "])?;
    let damaged = ["policy.tar: is damaged: ", "policy.yaml:1:1: file: "];
    for length in [0, 511, 600, kept.len() / 2] {
        fs::write(state.join("policy.tar"), &kept[..length])?;
        refused("a damaged archive", &config, &damaged)?;
    }
    // Whole, but not what was in force.
    let place = kept.windows(UNIVERSITY.len()).position(|octets| octets == UNIVERSITY.as_bytes());
    let mut other = kept.clone();
    // 198.41.100.0/24.
    other[place.context("not in the archive")? + 6] = b'4';
    fs::write(state.join("policy.tar"), &other)?;
    refused("an archive of something else", &config, &["policy.tar", "digest", "policy.yaml:1:1: file: "])?;
    fs::remove_file(state.join("policy.tar"))?;
    refused("nothing kept", &config, &["policy.yaml:1:1: file: "])?;

    // What the system cannot open is no mistake either, and was kept.
    fs::write(state.join("policy.tar"), &kept)?;
    symlink(&file, &file)?;
    let gate = Gate::start_with(&lab, &config)?;
    ensure!(gate.metrics()?[FROM_STATE] > 0.5);
    Ok(())
}

/// People can open it.
#[test]
fn the_archive_has_the_exact_octets() -> Result<()> {
    let lab = Lab::new()?;
    let policy = directory(&lab)?;
    Gate::start(&lab, &policy)?.stop()?;
    let out = lab.folder().join("out");
    fs::create_dir(&out)?;
    let mut tar = Command::new("tar");
    tar.args(["xf"]).arg(lab.folder().join("state/policy.tar")).arg("-C").arg(&out);
    ensure!(command::finish(&lab.edge, tar, SOON)?.code == Some(0));
    let manifest = fs::read_to_string(out.join("manifest.json"))?;
    for (path, file) in [
        (policy.join("../campus.txt"), "files/0/campus.txt"),
        (policy.join("campus.yaml"), "files/1/campus.yaml"),
        (policy.join("west.yaml"), "files/2/west.yaml"),
    ] {
        ensure!(fs::read(out.join(file))? == fs::read(&path)?, "{file}");
        ensure!(manifest.contains(&format!("\"{}\"", path.display())), "{file}: {manifest}");
    }
    ensure!(manifest.contains(&format!("\"policy\": \"{}\"", Path::display(&policy))), "{manifest}");
    Ok(())
}
