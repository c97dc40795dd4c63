//! The controller comes and goes; enforcement goes only with `gate25 detach`.

#![expect(clippy::float_cmp, reason = "samples of counters are whole numbers, and exact")]

use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    command,
    gate::{self, Gate},
    lab::{Host, INTERFACE, Lab},
    metrics::{Samples, sum},
    policy::{self, WEST},
    smtp::{self, Outcome, Sink},
    wait, xdp,
};
use serde_json::Value;
use std::time::{Duration, Instant};

/// For each step of a mail that arrives or is refused, on a busy machine.
const LIMIT: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(10);
const GENERATION: &str = "gate25_policy_generation";

fn sinks(lab: &Lab) -> Result<Vec<Sink>> {
    let hosts: [&Host; 2] = [&lab.relay, &lab.stranger];
    hosts.into_iter().map(|host| Sink::start(&host.namespace, host.name, &[25])).collect()
}

/// What the policy says happens, really.
fn enforced(lab: &Lab) -> Result<()> {
    let relay = smtp::knock(&lab.alice, &lab.relay, LIMIT);
    ensure!(relay.iter().all(Outcome::is_delivered), "the relay: {relay:?}");
    let stranger = smtp::knock(&lab.alice, &lab.stranger, LIMIT);
    ensure!(stranger == [Outcome::Refused, Outcome::Refused], "the stranger: {stranger:?}");
    Ok(())
}

fn detach(lab: &Lab) -> Result<command::Ended> {
    let config = gate::write(lab, &gate::configuration(lab, &lab.folder().join("policy.yaml")))?;
    let command = command::gate25(["detach", "--config", &config.display().to_string()]);
    command::finish(&lab.edge, command, PATIENCE)
}

/// Starts, ends it as `end` does, and starts again: what happens and what is counted goes on all the while.
fn survives(what: &str, end: impl FnOnce(Gate<'_>) -> Result<()>) -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = sinks(&lab)?;
    let policy = policy::write(lab.folder(), WEST)?;
    let gate = Gate::start(&lab, &policy)?;
    enforced(&lab)?;
    let before = gate.metrics()?;
    let first = xdp::on(&lab.edge, INTERFACE)?.context("nothing attached")?;
    ensure!(first.mode == "xdp", "{first:?}");
    end(gate)?;

    ensure!(xdp::on(&lab.edge, INTERFACE)?.as_ref() == Some(&first), "{what}: another program, or none");
    enforced(&lab)?;

    let gate = Gate::start(&lab, &policy)?;
    let after = gate.metrics()?;
    for (series, value) in before.iter().filter(|(series, _)| is_of_traffic(series)) {
        ensure!(after.get(series) >= Some(value), "{what}: {series}: {value}, then {:?}", after.get(series));
    }
    // Exactly what was sent while no controller ran.
    let moved =
        |metric: &str, labels: &[(&str, &str)]| sum(&after, metric, labels) - sum(&before, metric, labels);
    for (labels, wanted) in [
        ([("reason", "relay"), ("verdict", "pass")], 2.0),
        ([("reason", "default"), ("verdict", "block")], 2.0),
    ] {
        let found = moved("gate25_attempts_total", &labels);
        ensure!(found == wanted, "{what}: {labels:?}: {found} attempts instead of {wanted}");
    }
    ensure!(moved("gate25_rule_attempts_total", &[("rule", "outbound")]) == 2.0);
    ensure!(moved("gate25_actions_total", &[("action", "reset")]) == 2.0);
    ensure!(after[GENERATION] == before[GENERATION] + 1.0, "{what}: {}", after[GENERATION]);

    // One program took the other's place.
    let second = xdp::on(&lab.edge, INTERFACE)?.context("nothing attached")?;
    ensure!(second.program != first.program && second.mode == "xdp", "{first:?}, then {second:?}");
    let gone = wait::until(PATIENCE, || (!xdp::exists(first.program)).then_some(()));
    ensure!(gone.is_some(), "{what}: the first program is still loaded");
    enforced(&lab)?;
    ensure!(gate.stop()?.success());
    Ok(())
}

fn is_of_traffic(series: &str) -> bool {
    let names = ["gate25_packets", "gate25_bytes", "gate25_attempts", "gate25_actions", "gate25_rule_"];
    names.iter().any(|name| series.starts_with(name)) && series.contains("_total")
}

#[test]
fn sigterm_leaves_enforcement_and_a_restart_takes_over() -> Result<()> {
    survives("SIGTERM", |gate| {
        let status = gate.stop()?;
        ensure!(status.success(), "{status}");
        Ok(())
    })
}

#[test]
fn a_killed_controller_leaves_enforcement_and_a_restart_takes_over() -> Result<()> {
    survives("SIGKILL", |gate| {
        gate.kill();
        Ok(())
    })
}

#[test]
fn detach_ends_it_also_for_a_running_controller() -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = sinks(&lab)?;
    let policy = policy::write(lab.folder(), WEST)?;
    let gate = Gate::start(&lab, &policy)?;
    enforced(&lab)?;
    let ended = detach(&lab)?;
    let start = Instant::now();
    ensure!(ended.code == Some(0), "{ended:?}");
    ensure!(xdp::on(&lab.edge, INTERFACE)?.is_none() && !lab.pin().exists(), "{ended:?}");
    let open = smtp::knock(&lab.alice, &lab.stranger, LIMIT);
    ensure!(open.iter().all(Outcome::is_delivered), "{open:?}");

    let sick = wait::until(PATIENCE, || gate.health().ok().filter(|(status, _)| *status == 503));
    let (_, body) = sick.context("/healthz never turned 503")?;
    println!("detach: /healthz turned 503 after {} ms", start.elapsed().as_millis());
    ensure!(start.elapsed() < Duration::from_secs(2));
    let health: Value = serde_json::from_str(&body).context(body.clone())?;
    let why = health["why"].as_str().context(body.clone())?;
    ensure!(health["healthy"] == Value::Bool(false) && why.contains(INTERFACE), "{body}");
    let samples = gate.metrics()?;
    ensure!(sum(&samples, "gate25_attached", &[("interface", INTERFACE), ("mode", "native")]) == 0.0);

    // Neither a signal nor a new policy brings it back.
    for (generation, text) in [(2.0, WEST.to_owned()), (3.0, policy::open())] {
        policy::put(&policy, &text)?;
        gate.reload();
        wait::until(PATIENCE, || {
            gate.metrics().ok().filter(|now: &Samples| now.get(GENERATION) >= Some(&generation))
        })
        .context("no reload")?;
        ensure!(xdp::on(&lab.edge, INTERFACE)?.is_none() && !lab.pin().exists(), "attached again");
        ensure!(gate.health()?.0 == 503);
    }
    ensure!(gate.stop()?.success() && !lab.pin().exists());

    // A new one does, from zero.
    let gate = Gate::start(&lab, &policy)?;
    ensure!(sum(&gate.metrics()?, "gate25_attempts_total", &[]) == 0.0);
    enforced(&lab)
}

/// Reload after reload leaves time to look at the interfaces.
#[test]
fn a_stream_of_signals_hides_nothing() -> Result<()> {
    let lab = Lab::new()?;
    let gate = Gate::start(&lab, &policy::write(lab.folder(), WEST)?)?;
    ensure!(detach(&lab)?.code == Some(0));
    let start = Instant::now();
    let sick = wait::until(PATIENCE, || {
        gate.reload();
        gate.health().ok().filter(|(status, _)| *status == 503)
    });
    ensure!(
        sick.is_some() && start.elapsed() < Duration::from_secs(2),
        "{sick:?} after {:?}",
        start.elapsed()
    );
    Ok(())
}

#[test]
fn detach_after_a_stopped_controller_and_without_anything() -> Result<()> {
    let lab = Lab::new()?;
    let ended = detach(&lab)?;
    ensure!(ended.code == Some(0) && ended.stderr.is_empty(), "nothing there: {ended:?}");
    let _sinks = sinks(&lab)?;
    Gate::start(&lab, &policy::write(lab.folder(), WEST)?)?.stop()?;
    let first = xdp::on(&lab.edge, INTERFACE)?.context("nothing attached")?;
    let ended = detach(&lab)?;
    ensure!(ended.code == Some(0) && ended.stdout.contains(INTERFACE), "{ended:?}");
    ensure!(xdp::on(&lab.edge, INTERFACE)?.is_none() && !lab.pin().exists(), "{ended:?}");
    ensure!(wait::until(PATIENCE, || (!xdp::exists(first.program)).then_some(())).is_some());
    let open = smtp::knock(&lab.alice, &lab.stranger, LIMIT);
    ensure!(open.iter().all(Outcome::is_delivered), "{open:?}");
    ensure!(detach(&lab)?.code == Some(0), "twice");
    Ok(())
}
