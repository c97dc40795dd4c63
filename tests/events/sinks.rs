//! Where events go, and what becomes of them when they cannot.

use crate::support::{SOON, Site, lines};
use anyhow::{Context as _, Result, ensure};
use gate25_tests::{command, gate::Gate, metrics::sum, wait};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::{fs, path::Path};

#[test]
fn a_file_is_rotated_and_may_be_moved() -> Result<()> {
    let site = Site::new()?;
    let file = site.file();
    let gate = Gate::start_with(
        &site.lab,
        &site.configuration(&format!("{{file: {}, max_size: 10KB, keep: 2}}", file.display())),
    )?;
    let from = |number: u16| format!("203.0.113.{number}");
    let of = |path: &Path| lines(&fs::read_to_string(path).unwrap_or_default());
    let mut all = Vec::new();
    for number in 1..=60 {
        site.tries(&from(number), "192.0.2.200", 1)?;
    }
    site.events_until(&from(60))?;
    for path in [file.with_added_extension("2"), file.with_added_extension("1"), file.clone()] {
        ensure!(fs::metadata(&path).map_or(0, |metadata| metadata.len()) <= 10_000);
        all.extend(of(&path)?);
    }
    ensure!(file.with_added_extension("1").exists(), "not rotated");
    // Somebody else rotates, too.
    let moved = file.with_extension("moved");
    fs::rename(&file, &moved)?;
    site.tries(&from(61), "192.0.2.200", 1)?;
    all.extend(site.events_until(&from(61))?);
    let found: Vec<_> = all.iter().map(|event| event["subscriber"].as_str().unwrap_or_default()).collect();
    let wanted: Vec<_> = (1..=61).map(from).collect();
    ensure!(found == wanted, "{found:?}");
    ensure!(gate.stop()?.success());
    Ok(())
}

#[test]
fn standard_output_and_the_log() -> Result<()> {
    let site = Site::new()?;
    let gate = Gate::start_with(&site.lab, &site.configuration("{file: \"-\"}"))?;
    site.tries("203.0.113.9", "192.0.2.200", 1)?;
    let line = wait::until(SOON, || gate.log().lines().find(|line| line.starts_with('{')).map(str::to_owned));
    let event = lines(&line.context("nothing on standard output")?)?.pop().context("no line")?;
    ensure!(event["subscriber"] == "203.0.113.9" && event["kind"] == "blocked", "{event}");
    gate.stop()?;

    // A line each, but no flood of them.
    let gate = Gate::start(&site.lab, &site.policy)?;
    for number in 10..110 {
        site.tries(&format!("203.0.113.{number}"), "192.0.2.200", 1)?;
    }
    gate.wait_series("gate25_events_total{kind=\"blocked\"}", 101.0)?;
    ensure!(
        gate.log().contains("event: ")
            && gate.log().contains("blocked 203.0.113.10 port 20000 to 192.0.2.200")
    );
    ensure!(gate.log().matches("INFO event: ").count() < 100, "{}", gate.log());
    ensure!(sum(&gate.metrics()?, "gate25_events_lost_total", &[]) == 0.0);
    Ok(())
}

/// A file system of its own, as small as they come.
struct Tiny<'a>(&'a Path);

impl<'a> Tiny<'a> {
    fn mount(at: &'a Path) -> Result<Self> {
        fs::create_dir_all(at)?;
        mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), Some("size=64k"))?;
        Ok(Self(at))
    }
}

impl Drop for Tiny<'_> {
    fn drop(&mut self) {
        let _ = umount2(self.0, MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_full_disk_loses_events_and_nothing_else() -> Result<()> {
    let site = Site::new()?;
    let folder = site.lab.folder().join("log");
    let _tiny = Tiny::mount(&folder)?;
    let gate = site.gate()?;
    site.tries("203.0.113.1", "192.0.2.200", 1)?;
    site.events_until("203.0.113.1")?;
    let filler = folder.join("filler");
    ensure!(fs::write(&filler, vec![0; 100_000]).is_err(), "not full");
    // What is left of the file's last page takes some.
    for number in 2..=60 {
        site.tries(&format!("203.0.113.{number}"), "192.0.2.200", 1)?;
    }
    let now = gate.wait_metrics("all are told or lost", |now| {
        sum(now, "gate25_events_total", &[("kind", "blocked")]) == 60.0
            && sum(now, "gate25_events_lost_total", &[]) > 0.0
    })?;
    let attempts = sum(&now, "gate25_attempts_total", &[("verdict", "block"), ("enforced", "true")]);
    ensure!(attempts == 60.0 && gate.health()?.0 == 200);
    fs::remove_file(&filler)?;
    site.tries("203.0.113.99", "192.0.2.200", 1)?;
    let written = site.events_until("203.0.113.99")?.len();
    let lost = sum(&gate.metrics()?, "gate25_events_lost_total", &[]);
    ensure!(written as f64 + lost == 61.0, "{written} written, {lost} lost");
    gate.wait_log(&[&format!("can be written again; {lost} could not be")])?;
    let log = gate.log();
    ensure!(log.matches("events are lost, and counted").count() == 1, "{log}");
    // The count outlives the controller.
    gate.kill();
    let gate = site.gate()?;
    ensure!(sum(&gate.metrics()?, "gate25_events_lost_total", &[]) == lost);
    Ok(())
}

#[test]
fn what_cannot_be_used_is_said_at_the_start() -> Result<()> {
    let site = Site::new()?;
    for (events, wanted) in [
        (
            "{file: /x, max_size: 100 parsecs}",
            "config: events.max_size: 100 parsecs: is no size, or too small (",
        ),
        ("{file: /x, max_size: 100}", "config: events.max_size: 100: is no size, or too small ("),
        ("{file: /x, keep: -1}", "config: events.keep: -1: is no number of files ("),
        ("{file: x}", "config: events.file: x: is not absolute ("),
    ] {
        let config = gate25_tests::gate::write(&site.lab, &site.configuration(events))?;
        let run = command::gate25(["run", "--config", &config.display().to_string()]);
        let ended = command::finish(&site.lab.edge, run, SOON)?;
        ensure!(ended.code == Some(1) && ended.last_line().contains(wanted), "{ended:?}");
    }
    Ok(())
}
