//! `gate25 reload`: waits, and tells what came of it.

use crate::{LIMIT, SOON, gate25, text};
use anyhow::{Result, ensure};
use gate25_tests::{
    command,
    gate::Gate,
    lab::Lab,
    policy::{self, WEST},
    smtp::{self, Sink},
};
use serde_json::Value;
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    process::Command,
};

const NOBODY: u32 = 65_534;

#[test]
fn the_outcome_is_awaited_and_told() -> Result<()> {
    let lab = Lab::new()?;
    let _sink = Sink::start(&lab.university.namespace, "university", &[25])?;
    let file = policy::write(lab.folder(), WEST)?;
    let gate = Gate::start(&lab, &file)?;
    let campus = || smtp::mail(&lab.alice, lab.university.v4.into(), LIMIT).is_delivered();
    let socket = lab.folder().join("control.sock");
    let json = || -> Result<(Option<i32>, Value, String)> {
        let ended = gate25(&lab, &["reload", "--control", text(&socket), "--json"])?;
        Ok((ended.code, serde_json::from_str(&ended.stdout)?, ended.stderr))
    };
    ensure!(!campus());
    // In force when the command ends, also where the watch saw it first.
    for round in 0..5 {
        policy::put(&file, &policy::open())?;
        let (code, outcome, stderr) = json()?;
        ensure!(code == Some(0) && campus(), "round {round}: {outcome} {stderr}");
        policy::put(&file, WEST)?;
        ensure!(json()?.0 == Some(0) && !campus(), "round {round}");
    }
    let (_, outcome, _) = json()?;
    // Two prefixes of subscribers, two of the relay.
    for (key, wanted) in [("zones", 1), ("rules", 1), ("prefixes", 4)] {
        ensure!(outcome[key] == wanted, "{key}: {outcome}");
    }
    let metrics = gate.metrics()?;
    let digest = outcome["digest"].as_str().unwrap_or_default().to_owned();
    ensure!(metrics.contains_key(&format!("gate25_policy_info{{digest=\"{digest}\"}}")), "{outcome}");
    ensure!(outcome["generation"].as_f64() == metrics.get("gate25_policy_generation").copied());
    ensure!(outcome["is_in_force"] == true && outcome["problems"] == serde_json::json!([]));

    let table = gate25(&lab, &["reload", "--config", text(gate.config())])?;
    ensure!(table.code == Some(0) && table.stderr.is_empty(), "{table:?}");
    for part in ["in force", digest.as_str(), "zones        1", "prefixes     4"] {
        ensure!(table.stdout.contains(part), "no {part:?} in {table:?}");
    }

    // A warning, and then every problem.
    policy::put(
        &file,
        &format!("{WEST}exceptions:\n  - {{id: e, destinations: [192.0.2.66], permanent: true}}\n"),
    )?;
    let warned = gate25(&lab, &["reload", "--config", text(gate.config())])?;
    ensure!(
        warned.code == Some(0) && warned.stderr.lines().all(|line| line.starts_with("warning: ")),
        "{warned:?}"
    );
    ensure!(warned.stderr.contains("exceptions[0]"), "{warned:?}");
    let digest = json()?.1["digest"].clone();
    policy::put(
        &file,
        &WEST.replace("203.0.113.0/25", "203.0.113.1/25").replace("action: reset", "action: rest"),
    )?;
    let refused = gate25(&lab, &["reload", "--config", text(gate.config())])?;
    ensure!(refused.code == Some(1) && refused.stdout.is_empty(), "{refused:?}");
    ensure!(refused.stderr.lines().count() == 2, "{refused:?}");
    ensure!(
        refused.last_line().contains("policy.yaml:") && refused.last_line().ends_with(')'),
        "{refused:?}"
    );
    let (code, outcome, stderr) = json()?;
    ensure!(code == Some(1) && outcome["digest"] == digest && outcome["is_in_force"] == false, "{outcome}");
    ensure!(outcome["problems"].as_array().is_some_and(|problems| problems.len() == 2), "{outcome}");
    ensure!(stderr.lines().count() == 2, "{stderr}");
    // Gone.
    fs::remove_file(&file)?;
    let gone = gate25(&lab, &["reload", "--config", text(gate.config())])?;
    ensure!(gone.code == Some(1) && gone.last_line().contains("policy.yaml:1:1: file: "), "{gone:?}");
    ensure!(gate.health()?.0 == 200);

    // Nobody there.
    ensure!(gate.stop()?.success());
    let alone = gate25(&lab, &["reload", "--control", text(&socket)])?;
    ensure!(alone.code == Some(1) && alone.last_line().contains("no controller answers ("), "{alone:?}");
    Ok(())
}

/// Whoever may open the socket may ask; only root may have something changed.
#[test]
fn a_reload_is_for_root() -> Result<()> {
    let lab = Lab::new()?;
    let file = policy::write(lab.folder(), WEST)?;
    let gate = Gate::start(&lab, &file)?;
    let (socket, program) = (lab.folder().join("control.sock"), lab.folder().join("gate25"));
    ensure!(fs::metadata(&socket)?.permissions().mode() & 0o777 == 0o660);
    // Where others may run it.
    gate25_tests::command::copy_gate25(&program, "")?;
    let nobody = |arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        let ids = format!("--reuid={NOBODY} --regid={NOBODY} --clear-groups");
        command.args(ids.split(' ')).arg(&program).args(arguments).args(["--control", text(&socket)]);
        command::finish(&lab.edge, command, SOON)
    };
    let shut = nobody(&["reload"])?;
    ensure!(shut.code == Some(1) && shut.last_line().contains("permission denied ("), "{shut:?}");
    fs::set_permissions(&socket, Permissions::from_mode(0o666))?;
    let refused = nobody(&["reload", "--trust-clock"])?;
    let line = refused.last_line();
    ensure!(
        refused.code == Some(1) && line.contains("only root and the controller's own user"),
        "{refused:?}"
    );
    ensure!(line.starts_with("control: ") && line.ends_with("(be root)"), "{line}");
    gate.wait_log(&["WARN", "refused", &NOBODY.to_string()])?;
    let asked = nobody(&["explain", "--ref", "7K3QX2MB"])?;
    ensure!(asked.last_line().contains("is not known to this controller"), "{asked:?}");
    let reloads = gate.metrics()?["gate25_policy_reloads_total{result=\"ok\"}"];
    ensure!(reloads < 0.5, "it was done all the same");
    Ok(())
}
