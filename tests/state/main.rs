//! The controller as a service: what is kept in `state`, the clock, `gate25 reload`, its unit, capabilities and watchdog.

mod capabilities;
mod clock;
mod disk;
mod kept;
mod reload;
mod unit;
mod watchdog;

use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    command::{self, Ended},
    gate::Gate,
    lab::{Host, Lab},
    smtp::{self, Outcome, Sink},
    wait,
};
use std::{path::Path, time::Duration};

/// For each step of a mail that arrives or is refused, on a busy machine.
const LIMIT: Duration = Duration::from_secs(15);
const SOON: Duration = Duration::from_secs(20);

/// Mail servers at all three.
fn sinks(lab: &Lab) -> Result<Vec<Sink>> {
    let hosts = [&lab.relay, &lab.university, &lab.stranger];
    hosts.into_iter().map(|host| Sink::start(&host.namespace, host.name, &[25])).collect()
}

/// Whether alice's mail arrives there, over both families alike; an error when it is neither delivered nor refused.
fn reaches(lab: &Lab, host: &Host) -> Result<bool> {
    let [v4, v6] = host.addresses().map(|address| smtp::mail(&lab.alice, address, LIMIT));
    match [&v4, &v6] {
        [Outcome::Delivered(_), Outcome::Delivered(_)] => Ok(true),
        [Outcome::Refused, Outcome::Refused] => Ok(false),
        other => anyhow::bail!("{}: {other:?}", host.name),
    }
}

/// Awaits that alice reaches the host, or does not.
fn becomes(lab: &Lab, host: &Host, open: bool, what: &str, gate: &Gate<'_>) -> Result<()> {
    let turned = wait::until(SOON, || reaches(lab, host).is_ok_and(|found| found == open).then_some(()));
    turned.with_context(|| format!("{what}: {} never became {open}; log:\n{}", host.name, gate.log()))
}

/// `gate25` with these arguments, at the edge.
fn gate25(lab: &Lab, arguments: &[&str]) -> Result<Ended> {
    command::finish(&lab.edge, command::gate25(arguments.iter().copied()), SOON)
}

/// What a power cycle leaves of the gate: what is on disk.
fn reboot(lab: &Lab, gate: Gate<'_>) -> Result<()> {
    let config = gate.config().display().to_string();
    ensure!(gate.stop()?.success());
    let detached = gate25(lab, &["detach", "--config", &config])?;
    ensure!(detached.code == Some(0), "{detached:?}");
    Ok(())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}
