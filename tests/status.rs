//! What the running controller says of itself: `gate25 status`, and `gate25 explain` without a policy.

use anyhow::{Context as _, Result, ensure};
use gate25_tests::command::{self, Ended};
use gate25_tests::gate::{self, Gate};
use gate25_tests::lab::{INTERFACE, Lab};
use gate25_tests::policy::{self, WEST};
use gate25_tests::{smtp, wait};
use serde_json::{Value, json};
use std::time::Duration;

/// For each step of a mail that arrives or is refused, on a busy machine.
const LIMIT: Duration = Duration::from_secs(15);
const SOON: Duration = Duration::from_secs(20);

/// [`WEST`], and the campus until a date.
fn dated() -> String {
    format!("{WEST}exceptions:\n{}", policy::exception("campus", "until: '2099-07-28T07:00:00Z'"))
}

fn gate25(lab: &Lab, arguments: &[&str]) -> Result<Ended> {
    command::finish(&lab.edge, command::gate25(arguments.iter().copied()), SOON)
}

/// `gate25 VERB --config ... --json`, which succeeds.
fn asked(lab: &Lab, gate: &Gate<'_>, arguments: &[&str]) -> Result<Value> {
    let config = gate.config().display().to_string();
    let ended = gate25(lab, &[arguments, &["--config", &config, "--json"]].concat())?;
    ensure!(ended.code == Some(0) && ended.stderr.is_empty(), "{ended:?}");
    Ok(serde_json::from_str(&ended.stdout)?)
}

#[test]
fn status_says_what_is_in_force_and_what_was_refused() -> Result<()> {
    let lab = Lab::new()?;
    let file = policy::write(lab.folder(), &dated())?;
    let gate = Gate::start(&lab, &file)?;
    let config = gate.config().display().to_string();
    let status = asked(&lab, &gate, &["status"])?;
    let digest = status["digest"].as_str().context("no digest")?;
    ensure!(gate.metrics()?.contains_key(&format!("gate25_policy_info{{digest=\"{digest}\"}}")), "{status}");
    for (key, wanted) in [
        ("healthy", json!(true)),
        ("enforce", json!(true)),
        ("pid", json!(gate.id())),
        ("policy", json!(file)),
        ("generation", json!(1)),
        ("rules", json!(2)),
        ("next_change", json!("2099-07-28T07:00:00Z")),
        ("last_refusal", Value::Null),
        ("interfaces", json!([{"name": INTERFACE, "mode": "native", "attached": true, "why": null}])),
    ] {
        ensure!(status[key] == wanted, "{key}: {} instead of {wanted}", status[key]);
    }

    // Twelve blocked and three passed, in well under a minute.
    for _ in 0..3 {
        for to in [&lab.stranger, &lab.stranger, &lab.relay] {
            let _ = smtp::knock(&lab.alice, to, LIMIT);
        }
    }
    let rates = wait::until(SOON, || {
        let status = asked(&lab, &gate, &["status"]).ok()?;
        let zone = status["zones"][0].clone();
        let rate = |key: &str| zone[key].as_f64().unwrap_or_default();
        (rate("blocked_per_minute") > 11.9 && rate("passed_per_minute") > 5.9).then_some(zone)
    });
    let zone = rates.context("no rates")?;
    let (blocked, passed) = (zone["blocked_per_minute"].as_f64(), zone["passed_per_minute"].as_f64());
    ensure!((blocked.unwrap_or(0.0) / passed.unwrap_or(1.0) - 2.0).abs() < 0.01, "{zone}");
    ensure!(
        (&zone["zone"], &zone["mode"], &zone["action"])
            == (&json!("west"), &json!("enforce"), &json!("reset"))
    );

    policy::put(&file, &dated().replace("version: 1", "version: 7"))?;
    gate.reload();
    let refused = wait::until(SOON, || {
        asked(&lab, &gate, &["status"]).ok().filter(|status| !status["last_refusal"].is_null())
    });
    let refused = refused.context("no refusal")?;
    let problem = refused["last_refusal"]["problems"][0].as_str().unwrap_or_default();
    ensure!(problem.contains("policy.yaml:1:10: version: 7: is not a known version"), "{refused}");
    ensure!(refused["digest"] == digest && refused["healthy"] == true, "{refused}");

    let shown = gate25(&lab, &["status", "--config", &config])?;
    for part in ["enforcing", "is not a known version", "2099-07-28T07:00:00Z", INTERFACE, "west", digest] {
        ensure!(shown.stdout.contains(part), "no {part:?} in\n{}", shown.stdout);
    }
    ensure!(gate25(&lab, &["detach", "--config", &config])?.code == Some(0));
    let sick = wait::until(SOON, || {
        let ended = gate25(&lab, &["status", "--config", &config]).ok()?;
        ended.stdout.contains("NOT ENFORCING").then_some(ended)
    });
    ensure!(sick.context("never sick")?.code == Some(0));
    Ok(())
}

#[test]
fn explain_asks_the_node_that_runs() -> Result<()> {
    let lab = Lab::new()?;
    let file = policy::write(lab.folder(), &dated())?;
    let text = gate::configuration(&lab, &file);
    let gate = Gate::start_with(&lab, &format!("{text}    unmanaged: block\n"))?;
    let policy = file.display().to_string();
    let at = "2099-07-28T07:00:00Z";
    let campus = lab.university.v6.to_string();
    let alice = lab.alice.v6.to_string();
    for more in [&[][..], &["--at", at], &["--direction", "return"], &["--at", "1999-01-01T00:00:00Z"]] {
        let question = [&["explain", "--from", &alice, "--to", &campus], more].concat();
        let mut running = asked(&lab, &gate, &question)?;
        let alone = gate25(&lab, &[&question[..], &["--policy", &policy, "--json"]].concat())?;
        let mut alone: Value = serde_json::from_str(&alone.stdout)?;
        if more.first() != Some(&"--at") {
            // Both were now.
            (running["at"], alone["at"]) = (Value::Null, Value::Null);
        }
        ensure!(running == alone, "{more:?}: {running} instead of {alone}");
    }
    // What only the node knows: bob is in no zone.
    let bob = lab.bob.v4.to_string();
    let question = ["explain", "--from", &bob, "--to", "192.0.2.200"];
    let found = asked(&lab, &gate, &question)?;
    ensure!((&found["verdict"], &found["reason"]) == (&json!("block"), &json!("unmanaged")), "{found}");
    ensure!(found["enforced"] == true && found["zone"].is_null(), "{found}");
    ensure!(gate.stop()?.success());
    let gate = Gate::start_with(&lab, &format!("{text}    unmanaged: block\nenforce: false\n"))?;
    for from in [&bob, &alice] {
        let to = if from.contains(':') { "2001:db8:bad::25" } else { "192.0.2.200" };
        let found = asked(&lab, &gate, &["explain", "--from", from, "--to", to])?;
        ensure!((&found["verdict"], &found["enforced"]) == (&json!("block"), &json!(false)), "{found}");
    }
    let status = asked(&lab, &gate, &["status"])?;
    ensure!(
        (&status["enforce"], &status["zones"][0]["mode"]) == (&json!(false), &json!("monitor")),
        "{status}"
    );

    let two = gate25(&lab, &["explain", "--from", &bob, "--to", &campus])?;
    ensure!(two.code == Some(1) && two.last_line().contains("is of another family"), "{two:?}");
    let config = gate.config().display().to_string();
    ensure!(gate.stop()?.success());
    for verb in [&["status"][..], &question] {
        let ended = gate25(&lab, &[verb, &["--config", &config]].concat())?;
        ensure!(ended.code == Some(1) && ended.last_line().contains("no controller answers"), "{ended:?}");
    }
    Ok(())
}

/// Of a process: CPU time so far, and what it has in memory.
fn cost(id: u32) -> Result<(Duration, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    // Behind the command's name, which is in parentheses: fields 14 and 15 are user and system time, in hundredths.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kilobytes = resident.trim().trim_end_matches(" kB").parse::<u64>()?;
    Ok((Duration::from_millis(ticks * 10), kilobytes))
}

#[test]
fn an_idle_controller_costs_next_to_nothing() -> Result<()> {
    let lab = Lab::new()?;
    let text = dated().replace("action: reset", "action: reset\n    return_path: enforce");
    let gate = Gate::start(&lab, &policy::write(lab.folder(), &text)?)?;
    let (before, _) = cost(gate.id())?;
    // A stretch of time is what is measured here, not waited for.
    let window = Duration::from_secs(12);
    std::thread::sleep(window);
    let (after, resident) = cost(gate.id())?;
    let share = after.saturating_sub(before).as_secs_f64() / window.as_secs_f64();
    println!("idle: {:.2} % of a core, {resident} kB", share * 100.0);
    ensure!(share < 0.01, "{:.2} % of a core", share * 100.0);
    ensure!(resident < 40_000, "{resident} kB");
    Ok(())
}
