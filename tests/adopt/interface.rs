//! Interfaces that go and come back, and programs that are taken off.

use crate::{PATIENCE, REFUSED, enforced, not_backwards, sinks};
use anyhow::{Context as _, Result, ensure};
use aya::programs::{SchedClassifier, TcAttachType};
use gate25_tests::{
    gate::{self, Gate},
    lab::{INTERFACE, Lab},
    metrics::sum,
    policy::{self, WEST},
    smtp, wait, xdp, xdp_pass,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

const BOTH: &str = "zones:\n  - id: south\n    subscribers: [\"100.64.2.0/24\", \"2001:db8:102::/48\"]\n    mode: enforce\n    action: reset\n";
const SECOND: Duration = Duration::from_secs(1);

/// `/healthz` has that status, with these words in it.
fn health(gate: &Gate<'_>, status: u16, part: &str) -> Result<Duration> {
    let start = Instant::now();
    let is_so = || gate.health().ok().filter(|(found, body)| *found == status && body.contains(part));
    wait::until(PATIENCE, is_so)
        .with_context(|| format!("{status}, {part}: {:?}; the gate wrote:\n{}", gate.health(), gate.log()))?;
    Ok(start.elapsed())
}

#[test]
fn an_interface_that_returns_gets_all_it_needs_by_name() -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = sinks(&lab)?;
    let second = lab.second_interface()?;
    let text = WEST.replace("zones:\n", BOTH);
    let file = policy::write(lab.folder(), &text)?;
    let gate = Gate::start_with(&lab, &(gate::configuration(&lab, &file) + "  - name: eth2\n"))?;
    enforced(&lab, &second.host)?;
    let before = gate.metrics()?;
    let on_tcx = |interface| -> Result<usize> {
        Ok(lab.edge.run(|| SchedClassifier::query_tcx(interface, TcAttachType::Egress))?.1.len())
    };

    lab.edge.ip("link delete eth2\n")?;
    let took = health(&gate, 503, "interface: eth2: is gone (")?;
    ensure!(took < SECOND, "{took:?} until 503");
    println!("503 after {} ms", took.as_millis());
    ensure!(sum(&gate.metrics()?, "gate25_attached", &[("interface", "eth2")]) == 0.0);
    // A policy that needs the way back waits for nobody.
    policy::put(&file, &text.replace("action: reset", "action: reset\n    return_path: monitor"))?;
    gate.wait_series("gate25_policy_reloads_total{result=\"ok\"}", 1.0)?;
    ensure!(on_tcx(INTERFACE)? == 1 && gate.health()?.0 == 503);

    drop(second);
    let second = lab.second_interface()?;
    let took = health(&gate, 200, "")?;
    ensure!(took < SECOND, "{took:?} until 200");
    println!("200 after {} ms", took.as_millis());
    enforced(&lab, &second.host)?;
    ensure!(on_tcx("eth2")? == 1, "no return path");
    let after = gate.metrics()?;
    not_backwards(&before, &after)?;
    ensure!(sum(&after, "gate25_attached", &[("interface", "eth2")]) == 1.0);
    let blocked = [("interface", "eth2"), ("reason", "default"), ("direction", "egress")];
    ensure!(sum(&after, "gate25_attempts_total", &blocked) == 4.0, "{after:#?}");
    for line in ["not enforcing: interface: eth2: is gone", "enforcing again on eth2"] {
        gate.wait_log(&[line])?;
    }
    // The new link outlives the controller, too.
    let attached = xdp::on(&lab.edge, "eth2")?;
    gate.kill();
    ensure!(xdp::on(&lab.edge, "eth2")? == attached && on_tcx("eth2")? == 1);
    enforced(&lab, &second.host)
}

#[test]
fn a_program_that_is_taken_off_by_force_comes_back() -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = sinks(&lab)?;
    let file = policy::write(
        lab.folder(),
        &WEST.replace("action: reset", "action: reset\n    return_path: enforce"),
    )?;
    let gate = Gate::start(&lab, &file)?;
    let before = gate.metrics()?;
    let pin = lab.pin().join("links").join(INTERFACE);
    let attached = xdp::on(&lab.edge, INTERFACE)?;
    xdp::force_off(&pin)?;
    wait::until(PATIENCE, || (xdp::on(&lab.edge, INTERFACE).ok()? == attached).then_some(()))
        .with_context(|| gate.log())?;
    enforced(&lab, &lab.alice)?;
    not_backwards(&before, &gate.metrics()?)?;
    let said = format!("{INTERFACE}: the interface had no program, and has it again");
    gate.wait_log(&[&said])?;

    // Somebody else is quicker: nothing of theirs is touched, and ours waits for its turn.
    let id = Pid::from_raw(gate.id().cast_signed());
    kill(id, Signal::SIGSTOP)?;
    xdp::force_off(&pin)?;
    let theirs = lab.edge.run(|| xdp_pass::attach(INTERFACE))?;
    kill(id, Signal::SIGCONT)?;
    health(&gate, 503, "has another XDP program: id ")?;
    ensure!(smtp::knock(&lab.alice, &lab.stranger, crate::LIMIT) != REFUSED);
    drop(theirs);
    health(&gate, 200, "")?;
    enforced(&lab, &lab.alice)?;
    ensure!(xdp::on(&lab.edge, INTERFACE)? == attached);
    Ok(())
}

/// An interface that was given another name keeps its program; so does the next one of the old name.
#[test]
fn a_renamed_interface_stays_enforced() -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = sinks(&lab)?;
    let second = lab.second_interface()?;
    let text = WEST
        .replace("203.0.113.0/25", "203.0.113.0/25\", \"100.64.2.0/24")
        .replace("2001:db8:100::/48", "2001:db8:100::/40");
    let file = policy::write(lab.folder(), &text)?;
    let gate = Gate::start_with(&lab, &(gate::configuration(&lab, &file) + "  - name: eth2\n"))?;
    enforced(&lab, &second.host)?;
    let program = xdp::on(&lab.edge, "eth2")?;
    lab.edge.ip("link set eth2 down\nlink set eth2 name old2\nlink set old2 up\n")?;
    health(&gate, 503, "eth2: is gone")?;
    lab.edge.ip("link add eth2 type veth peer name eth2p\nlink set eth2 up\nlink set eth2p up\n")?;
    health(&gate, 200, "")?;
    ensure!(xdp::on(&lab.edge, "old2")? == program && program.is_some(), "the renamed one lost its program");
    ensure!(xdp::on(&lab.edge, "eth2")?.is_some());
    ensure!(gate.log().contains("old2 was eth2 before: it stays enforced"), "{}", gate.log());
    gate.kill();
    let refused = smtp::knock(&second.host, &lab.stranger, crate::LIMIT);
    ensure!(!refused.iter().any(smtp::Outcome::is_delivered), "{refused:?}");
    // `detach` knows both.
    let config = lab.folder().join("gate25.yaml").display().to_string();
    let detach = gate25_tests::command::gate25(["detach", "--config", &config]);
    let ended = gate25_tests::command::finish(&lab.edge, detach, PATIENCE)?;
    ensure!(
        ended.code == Some(0) && ended.stdout.contains("old2") && ended.stdout.contains("eth2"),
        "{ended:?}"
    );
    ensure!(xdp::on(&lab.edge, "old2")?.is_none() && xdp::on(&lab.edge, "eth2")?.is_none());
    Ok(())
}
