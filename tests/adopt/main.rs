//! What a controller leaves is taken up by the next one, of whatever version, whatever somebody did to it meanwhile; and an
//! interface that goes gets its program again when it returns.

#![expect(clippy::float_cmp, reason = "samples of counters are whole numbers, and exact")]

mod detach;
mod foreign;
mod holder;
mod interface;
mod stream;
mod stress;
mod versions;

use anyhow::{Result, ensure};
use gate25_tests::{
    command::{self, Ended},
    lab::{Host, Lab},
    metrics::Samples,
    smtp::{self, Outcome, Sink},
};
use std::path::Path;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(4);
const PATIENCE: Duration = Duration::from_secs(20);
const REFUSED: [Outcome; 2] = [Outcome::Refused, Outcome::Refused];

fn sinks(lab: &Lab) -> Result<Vec<Sink>> {
    let hosts: [&Host; 2] = [&lab.relay, &lab.stranger];
    hosts.into_iter().map(|host| Sink::start(&host.namespace, host.name, &[25])).collect()
}

/// What the policy says happens to that subscriber, really.
fn enforced(lab: &Lab, from: &Host) -> Result<()> {
    let relay = smtp::knock(from, &lab.relay, LIMIT);
    ensure!(relay.iter().all(Outcome::is_delivered), "the relay: {relay:?}");
    let stranger = smtp::knock(from, &lab.stranger, LIMIT);
    ensure!(stranger == REFUSED, "the stranger: {stranger:?}");
    Ok(())
}

/// `gate25 VERB --config CONFIG` at the edge, which must end by itself.
fn gate25(lab: &Lab, verb: &str, config: &Path) -> Result<Ended> {
    let config = config.display().to_string();
    command::finish(&lab.edge, command::gate25([verb, "--config", &config]), PATIENCE)
}

/// A start that must fail, with these words in its last line.
fn refuses(lab: &Lab, config: &Path, parts: &[&str]) -> Result<()> {
    let ended = gate25(lab, "run", config)?;
    println!("{}", ended.last_line());
    ensure!(ended.code == Some(1), "{ended:?}");
    for part in parts {
        ensure!(ended.last_line().contains(part), "no {part:?} in: {}", ended.last_line());
    }
    Ok(())
}

/// Every total that was there is there, and not less.
fn not_backwards(before: &Samples, after: &Samples) -> Result<()> {
    for (series, was) in before.iter().filter(|(series, _)| is_total(series)) {
        let is = after.get(series);
        ensure!(is >= Some(was), "{series}: {was}, then {is:?}");
    }
    Ok(())
}

fn is_total(series: &str) -> bool {
    series.split('{').next().is_some_and(|name| name.ends_with("_total"))
}
