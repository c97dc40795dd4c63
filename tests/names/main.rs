//! Names of relays and exceptions, with a name server in the lab that answers, changes its mind, fails and falls silent;
//! what they stand for is what connections see.

mod check;
mod failures;
mod follow;
mod load;

use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    command::{self, Ended},
    dns::{self, NameServer},
    gate::{self, Gate},
    lab::{Host, Lab},
    policy,
    smtp::{self, Outcome, Sink},
    wait,
};
use std::{
    net::{IpAddr, Ipv4Addr},
    process::Command,
    time::{Duration, Instant},
};

/// For each step of a mail that arrives or is refused, on a busy machine.
const LIMIT: Duration = Duration::from_secs(15);
/// For what is to happen by itself, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(25);
/// The lab's name server, on the edge.
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A zone that is reset and a relay with a name; exceptions may follow.
fn policy(rules: &str) -> String {
    format!(
        "version: 1\nzones:\n  - id: west\n    subscribers: [\"203.0.113.0/25\", \"2001:db8:100::/48\"]\n    \
         mode: enforce\n    action: reset\n{rules}"
    )
}

/// An exception with these keys.
fn exception(keys: &str) -> String {
    policy(&format!(
        "exceptions:\n  - {{id: campus, {keys}, permanent: true, review_by: '2099-01-01T00:00:00Z', owner: noc, reason: lab}}\n"
    ))
}

/// Mail servers, and a name server whose answers hold for as short as may be.
fn servers(lab: &Lab) -> Result<(Vec<Sink>, NameServer)> {
    let hosts: [&Host; 3] = [&lab.relay, &lab.university, &lab.stranger];
    let sinks = hosts
        .into_iter()
        .map(|host| Sink::start(&host.namespace, host.name, &[25]))
        .collect::<Result<_>>()?;
    Ok((sinks, NameServer::start(&lab.edge, SERVER, 1)?))
}

/// Starts a gate that asks the lab's name server.
fn start<'lab>(lab: &'lab Lab, policy: &str) -> Result<Gate<'lab>> {
    start_asking(lab, policy, &[SERVER])
}

/// Starts a gate that asks these name servers.
fn start_asking<'lab>(lab: &'lab Lab, policy: &str, servers: &[IpAddr]) -> Result<Gate<'lab>> {
    let policy = policy::write(lab.folder(), policy)?;
    let config = gate::write(lab, &gate::configuration(lab, &policy))?;
    let mut command = Command::new(gate25_tests::gate25());
    command.arg("run").arg("--config").arg(config);
    Gate::run(lab, dns::asking(&lab.folder().join("resolv.conf"), servers, &command)?, PATIENCE)
}

/// `gate25` with these arguments, on the edge.
fn gate25<'a>(lab: &Lab, arguments: impl IntoIterator<Item = &'a str>) -> Result<Ended> {
    let file = lab.folder().join("resolv.conf");
    let command = dns::asking(&file, &[SERVER], &command::gate25(arguments))?;
    command::finish(&lab.edge, command, PATIENCE)
}

/// What comes of mail from alice to that host, in both families.
fn knock(lab: &Lab, to: &Host) -> [Outcome; 2] {
    smtp::knock(&lab.alice, to, LIMIT)
}

/// Both families reach it, or are both refused.
fn allowed(lab: &Lab, to: &Host, is_allowed: bool) -> Result<()> {
    let found = knock(lab, to);
    let is_right =
        |outcome: &Outcome| if is_allowed { outcome.is_delivered() } else { *outcome == Outcome::Refused };
    ensure!(found.iter().all(is_right), "{}: {found:?}, wanted allowed: {is_allowed}", to.name);
    Ok(())
}

/// Awaits that both families reach it, or are both refused; how long that took.
fn becomes(lab: &Lab, gate: &Gate<'_>, to: &Host, is_allowed: bool) -> Result<Duration> {
    let start = Instant::now();
    wait::until(PATIENCE, || allowed(lab, to, is_allowed).ok())
        .with_context(|| format!("{}: not allowed: {is_allowed} in time:\n{}", to.name, gate.log()))?;
    Ok(start.elapsed())
}
