//! From a notice to `explain --ref`.

use crate::support::{REMOTE, Served, explain};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use std::{fs, os::unix::net::UnixListener};

#[test]
fn a_reference_goes_round() -> Result<()> {
    let served = Served::start()?;
    let control = served.path().display().to_string();
    let notice = served.connect()?.notice(25)?;
    let reference = notice["reference"].as_str().context("no reference")?.to_owned();
    ensure!(
        notice
            == json!({"zone": "west", "reason": "default", "rule": null, "remote": REMOTE, "reference": reference}),
        "{notice}"
    );

    // As somebody reads it out over the telephone.
    let spoken = reference.to_lowercase().replace('1', "l").replace('0', "o");
    let ended = explain(&["--ref", &spoken, "--control", &control, "--json"])?;
    let record: Value = serde_json::from_str(&ended.stdout).with_context(|| format!("{ended:?}"))?;
    let time = record["time"].clone();
    let wanted = json!({
        "reference": reference, "time": time, "subscriber": "203.0.113.9", "subscriber_port": 25,
        "remote": REMOTE, "zone": "west", "reason": "default", "rule": null, "action": "notice",
    });
    ensure!(ended.code == Some(0) && record == wanted, "{ended:?}");
    let age = jiff::Timestamp::now().duration_since(time.as_str().context("no time")?.parse()?);
    ensure!((0..60).contains(&age.as_secs()), "{age:?}");

    let ended = explain(&["--ref", &reference, "--control", &control])?;
    let rows: Vec<_> = ended.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    for row in [
        vec!["reference", &reference],
        vec!["from", "203.0.113.9", "port", "25"],
        vec!["to", REMOTE, "port", "25"],
        vec!["zone", "west"],
        vec!["reason", "default"],
        vec!["rule", "-"],
    ] {
        ensure!(rows.contains(&row), "no {row:?} in {ended:?}");
    }
    Ok(())
}

#[test]
fn references_that_lead_nowhere() -> Result<()> {
    let served = Served::start()?;
    let control = served.path().display().to_string();
    let gone = served.folder.path().join("nobody").display().to_string();
    let says = |arguments: &[&str], code: i32, line: &str| {
        let ended = explain(arguments)?;
        let is_so = ended.code == Some(code) && ended.last_line().starts_with(line);
        ensure!(is_so && ended.stdout.is_empty(), "{arguments:?}: {ended:?} instead of {line}");
        Ok(())
    };
    says(
        &["--ref", "00000000", "--control", &control],
        1,
        "reference: 00000000: is not known to this controller (",
    )?;
    says(&["--ref", "nonsense!", "--control", &control], 1, "reference: nonsense!: is no reference (")?;
    let nobody =
        format!("control: {gone}: no controller answers (start gate25, or name its socket with --control)");
    says(&["--ref", "00000000", "--control", &gone], 1, &nobody)?;
    // A socket that nobody listens on any more, and one whose owner says nothing.
    drop(UnixListener::bind(&gone)?);
    says(&["--ref", "00000000", "--control", &gone], 1, &nobody)?;
    fs::remove_file(&gone)?;
    let _mute = UnixListener::bind(&gone)?;
    let mute =
        format!("control: {gone}: no answer in 5 s (the controller is busy or stopped; its log may tell)");
    says(&["--ref", "00000000", "--control", &gone], 1, &mute)?;

    says(&["--ref", "00000000", "--policy", "x"], 2, "usage: ")?;
    says(&["--ref", "00000000", "--from", "203.0.113.9"], 2, "usage: ")?;
    says(&["--ref", "00000000", "--to", "203.0.113.9"], 2, "usage: ")?;
    says(&["--policy", "x"], 2, "usage: ")?;
    says(
        &["--from", "203.0.113.9", "--to", "192.0.2.1", "--control", "/nonexistent/socket"],
        1,
        "control: /nonexistent/socket: no controller answers",
    )
}

#[test]
fn the_configuration_names_the_socket() -> Result<()> {
    let served = Served::start()?;
    let config = served.folder.path().join("gate25.yaml");
    fs::write(&config, format!("policy: /nowhere\ncontrol: {}\n", served.path().display()))?;
    let notice = served.connect()?.notice(1)?;
    let reference = notice["reference"].as_str().context("no reference")?;
    let ended = explain(&["--ref", reference, "--config", &config.display().to_string()])?;
    ensure!(ended.code == Some(0), "{ended:?}");
    Ok(())
}
