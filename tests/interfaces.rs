//! What a node's configuration and its flags can say: several interfaces, modes, unmanaged sources, no enforcement.

#![expect(clippy::float_cmp, reason = "samples of counters are whole numbers, and exact")]

use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    command,
    gate::{self, Gate, LISTEN},
    lab::{INTERFACE, Lab},
    metrics::{Samples, sum},
    policy::{self, WEST},
    smtp::{self, Outcome, Sink},
    wait, xdp,
};
use serde_json::Value;
use std::time::Duration;

/// For each step of a mail that arrives or is refused, on a busy machine.
const LIMIT: Duration = Duration::from_secs(15);
/// How long a client waits in vain.
const SILENCE: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(20);
const REFUSED: [Outcome; 2] = [Outcome::Refused, Outcome::Refused];
const SILENT: [Outcome; 2] = [Outcome::TimedOut, Outcome::TimedOut];

fn sinks(lab: &Lab) -> Result<[Sink; 2]> {
    let sink = |host: &gate25_tests::lab::Host| Sink::start(&host.namespace, host.name, &[25]);
    Ok([sink(&lab.relay)?, sink(&lab.stranger)?])
}

fn arrive(outcomes: &[Outcome]) -> bool {
    outcomes.iter().all(Outcome::is_delivered)
}

fn attempts(samples: &Samples, labels: &[(&str, &str)]) -> f64 {
    sum(samples, "gate25_attempts_total", labels)
}

#[test]
fn two_interfaces_and_one_that_goes() -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = sinks(&lab)?;
    let second = lab.second_interface()?;
    let carol = &second.host;
    let text = WEST.replace("zones:\n", "zones:\n  - id: south\n    subscribers: [\"100.64.2.0/24\", \"2001:db8:102::/48\"]\n    mode: enforce\n    action: reset\n");
    let policy = policy::write(lab.folder(), &text)?;
    let config = gate::configuration(&lab, &policy) + "  - name: eth2\n";
    let gate = Gate::start_with(&lab, &config)?;
    let enforced = || -> Result<()> {
        for host in [&lab.alice, carol] {
            let outcomes = [&lab.relay, &lab.stranger].map(|to| smtp::knock(host, to, LIMIT));
            ensure!(arrive(&outcomes[0]) && outcomes[1] == REFUSED, "{}: {outcomes:?}", host.name);
        }
        Ok(())
    };
    enforced()?;
    let samples = gate.metrics()?;
    for (interface, zone) in [(INTERFACE, "west"), ("eth2", "south")] {
        for (reason, verdict) in [("relay", "pass"), ("default", "block")] {
            let labels = [("interface", interface), ("zone", zone), ("reason", reason), ("verdict", verdict)];
            ensure!(attempts(&samples, &labels) == 2.0, "{labels:?}: {samples:#?}");
        }
        ensure!(attempts(&samples, &[("interface", interface)]) == 4.0, "{interface}: {samples:#?}");
        let labels = [("interface", interface), ("mode", "native")];
        ensure!(sum(&samples, "gate25_attached", &labels) == 1.0, "{samples:#?}");
        let labels = [("interface", interface), ("action", "reset")];
        ensure!(sum(&samples, "gate25_actions_total", &labels) == 2.0, "{samples:#?}");
    }
    ensure!(sum(&samples, "gate25_rule_attempts_total", &[("rule", "outbound")]) == 4.0);

    // One goes: that is said, and the other goes on.
    lab.edge.ip("link delete eth2\n")?;
    let sick = wait::until(PATIENCE, || gate.health().ok().filter(|(status, _)| *status == 503));
    let (_, body) = sick.context("/healthz never turned 503")?;
    let health: Value = serde_json::from_str(&body).context(body.clone())?;
    ensure!(health["why"].as_str().is_some_and(|why| why.contains("eth2")), "{body}");
    let samples = gate.metrics()?;
    ensure!(sum(&samples, "gate25_attached", &[("interface", "eth2")]) == 0.0, "{samples:#?}");
    ensure!(sum(&samples, "gate25_attached", &[("interface", INTERFACE)]) == 1.0, "{samples:#?}");
    ensure!(smtp::knock(&lab.alice, &lab.stranger, LIMIT) == REFUSED);

    // Also a start wants all of them; made anew, it has both.
    ensure!(gate.stop()?.success());
    let path = gate::write(&lab, &config)?.display().to_string();
    let ended = command::finish(&lab.edge, command::gate25(["run", "--config", &path]), PATIENCE)?;
    ensure!(ended.code == Some(1) && ended.last_line().contains("interface: eth2: "), "{ended:?}");
    drop(second);
    let second = lab.second_interface()?;
    let carol = &second.host;
    let gate = Gate::start_with(&lab, &config)?;
    for host in [&lab.alice, carol] {
        ensure!(smtp::knock(host, &lab.stranger, LIMIT) == REFUSED, "{}", host.name);
    }
    ensure!(
        attempts(&gate.metrics()?, &[("interface", "eth2"), ("reason", "default")]) == 4.0,
        "lost counters"
    );
    Ok(())
}

#[test]
fn a_node_that_only_monitors() -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = sinks(&lab)?;
    let policy = policy::write(lab.folder(), WEST)?;
    let gate = Gate::start_with(&lab, &(gate::configuration(&lab, &policy) + "enforce: false\n"))?;
    let (status, body) = gate.health()?;
    ensure!(status == 200, "{body}");
    for to in [&lab.relay, &lab.stranger] {
        let outcomes = smtp::knock(&lab.alice, to, LIMIT);
        ensure!(arrive(&outcomes), "{}: {outcomes:?}", to.name);
    }
    let samples = gate.metrics()?;
    ensure!(attempts(&samples, &[("reason", "default"), ("verdict", "block"), ("enforced", "false")]) == 2.0);
    ensure!(attempts(&samples, &[("reason", "relay"), ("verdict", "pass"), ("enforced", "false")]) == 2.0);
    ensure!(sum(&samples, "gate25_packets_total", &[("enforced", "true")]) == 0.0, "{samples:#?}");
    ensure!(sum(&samples, "gate25_actions_total", &[]) == 0.0, "{samples:#?}");
    Ok(())
}

#[test]
fn sources_of_no_zone() -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = sinks(&lab)?;
    let policy = policy::write(lab.folder(), WEST)?;
    let config = gate::configuration(&lab, &policy);
    let labels = |verdict, enforced| {
        [("zone", ""), ("reason", "unmanaged"), ("verdict", verdict), ("enforced", enforced)]
    };

    let gate = Gate::start_with(&lab, &config)?;
    let outcomes = smtp::knock(&lab.bob, &lab.stranger, LIMIT);
    ensure!(arrive(&outcomes), "pass: {outcomes:?}");
    ensure!(attempts(&gate.metrics()?, &labels("pass", "false")) == 2.0);
    ensure!(gate.stop()?.success());

    let gate = Gate::start_with(&lab, &(config.clone() + "    unmanaged: block\n"))?;
    let outcomes = smtp::knock(&lab.bob, &lab.relay, SILENCE);
    ensure!(outcomes == SILENT, "block: {outcomes:?}");
    let outcomes = smtp::knock(&lab.alice, &lab.relay, LIMIT);
    ensure!(arrive(&outcomes), "who is in a zone: {outcomes:?}");
    let samples = gate.metrics()?;
    ensure!(attempts(&samples, &labels("block", "true")) == 2.0, "{samples:#?}");
    ensure!(sum(&samples, "gate25_actions_total", &[("action", "drop")]) >= 2.0, "{samples:#?}");
    ensure!(gate.stop()?.success());

    // Not even that, where nothing is enforced.
    let gate = Gate::start_with(&lab, &(config + "    unmanaged: block\nenforce: false\n"))?;
    let outcomes = smtp::knock(&lab.bob, &lab.relay, LIMIT);
    ensure!(arrive(&outcomes), "block, monitored: {outcomes:?}");
    ensure!(attempts(&gate.metrics()?, &labels("block", "false")) == 2.0);
    Ok(())
}

#[test]
fn flags_alone_and_generic_mode() -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = sinks(&lab)?;
    let policy = policy::write(lab.folder(), WEST)?;
    let shown = |path: &std::path::Path| path.display().to_string();
    let (policy, pin, listen) = (shown(&policy), shown(&lab.pin()), LISTEN.to_string());
    let (control, state) = (shown(&lab.folder().join("control")), shown(&lab.folder().join("state")));
    let node =
        ["--policy", &policy, "--pin", &pin, "--listen", &listen, "--control", &control, "--state", &state];
    let run =
        |more: &[&'static str]| command::gate25(["run"].into_iter().chain(node).chain(more.iter().copied()));
    let generic = ["--interface", "eth1:generic", "--unmanaged", "block"];
    let gate = Gate::run(&lab, run(&generic), PATIENCE)?;
    let attached = xdp::on(&lab.edge, INTERFACE)?.context("nothing attached")?;
    ensure!(attached.mode == "xdpgeneric", "{attached:?}");
    ensure!(smtp::knock(&lab.alice, &lab.stranger, LIMIT) == REFUSED, "a reset in generic mode");
    ensure!(arrive(&smtp::knock(&lab.alice, &lab.relay, LIMIT)));
    ensure!(smtp::knock(&lab.bob, &lab.relay, SILENCE) == SILENT);
    let samples = gate.metrics()?;
    ensure!(sum(&samples, "gate25_attached", &[("mode", "generic")]) == 1.0, "{samples:#?}");
    ensure!(gate.stop()?.success());

    // Another mode is refused while the first is attached; what is there goes on.
    let ended = command::finish(&lab.edge, run(&["--interface", INTERFACE]), PATIENCE)?;
    ensure!(ended.code == Some(1) && ended.last_line().contains("generic"), "{ended:?}");
    ensure!(xdp::on(&lab.edge, INTERFACE)?.as_ref() == Some(&attached));
    ensure!(smtp::knock(&lab.bob, &lab.relay, SILENCE) == SILENT);
    let ended = command::finish(&lab.edge, command::gate25(["detach", "--pin", &pin]), PATIENCE)?;
    ensure!(ended.code == Some(0) && xdp::on(&lab.edge, INTERFACE)?.is_none(), "{ended:?}");

    // A flag goes before the file.
    let config =
        gate::write(&lab, "policy: /nowhere\ninterfaces: [{name: nowhere0}]\nlisten: 192.0.2.99:1\n")?;
    let config = shown(&config);
    let command = command::gate25(["run", "--config", &config].into_iter().chain(node).chain([
        "--interface",
        INTERFACE,
        "--enforce",
        "false",
    ]));
    let gate = Gate::run(&lab, command, PATIENCE)?;
    let attached = xdp::on(&lab.edge, INTERFACE)?.context("nothing attached")?;
    ensure!(attached.mode == "xdp", "{attached:?}");
    ensure!(arrive(&smtp::knock(&lab.alice, &lab.stranger, LIMIT)), "--enforce false");
    ensure!(gate.stop()?.success());
    Ok(())
}
