//! How long the real command takes to load and to reload, and the memory for it; beside nft's and ipset's loading.

use crate::{
    contenders::GATE25,
    figures::Spread,
    policies::{self, EVERYONE, Prefix, Role},
    report::Report,
    rivals::netfilter::{Netfilter, Policy},
    traffic::ZONE,
};
use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    command,
    gate::{self, Gate},
    lab::Lab,
    memory,
    policy::put,
};
use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

pub(crate) const PART: &str = "loading";
pub(crate) const SECONDS: &str = "s";
pub(crate) const MEGABYTES: &str = "MB";
pub(crate) const START: &str = "start until it enforces";
pub(crate) const CHANGED: &str = "reload, ten changed";
pub(crate) const PEAK: &str = "peak of the controller";
pub(crate) const MAPS: &str = "kernel's maps";
pub(crate) const LOAD: &str = "load";
const PATIENCE: Duration = Duration::from_mins(2);
/// How many prefixes a reload changes.
const FEW: usize = 10;

/// How to measure.
pub(crate) struct Plan<'a> {
    pub(crate) sizes: &'a [usize],
    pub(crate) rounds: usize,
    /// The alternatives load no more than that, for they take their time.
    pub(crate) most_beside: usize,
}

pub(crate) fn run(report: &mut Report, plan: &Plan<'_>) -> Result<()> {
    for size in plan.sizes {
        eprintln!("bench: loading {size} prefixes");
        // A few more, which take the place of some.
        let all = policies::prefixes(size + FEW * plan.rounds, false);
        for round in 0..if *size < 100_000 { plan.rounds } else { plan.rounds.min(3) } {
            start(report, &all, *size, if round == 0 { plan.rounds } else { 0 })?;
        }
        if *size <= plan.most_beside {
            beside(report, &all[..*size], plan.rounds)?;
        } else {
            report.notes.push(format!("nft and ipset did not load {size} prefixes in this run"));
        }
    }
    for what in [START, CHANGED, PEAK, MAPS] {
        gather(report, what);
    }
    promises(report);
    Ok(())
}

/// One start, and some reloads. Each round is a figure of its own, until [`gather`].
fn start(report: &mut Report, all: &[Prefix], size: usize, reloads: usize) -> Result<()> {
    let lab = Lab::new()?;
    let policy = policies::write(lab.folder(), EVERYONE, &[(Role::Destinations, &all[..size])])?;
    let config = gate::write(&lab, &gate::configuration(&lab, &policy))?;
    let mut command = Command::new(gate25_tests::gate25());
    command.arg("run").arg("--config").arg(&config);
    let start = Instant::now();
    let gate = Gate::run(&lab, command, PATIENCE)?;
    let mut add = |what, unit, value: f64| {
        report.add(PART, (what, Some(size as u64)), GATE25, unit, Spread::of(vec![value]));
    };
    add(START, SECONDS, start.elapsed().as_secs_f64());
    add(PEAK, MEGABYTES, memory::peak(gate.id())? as f64 / 1e6);
    // Behind the first load there is room for a second one, which a reload finds.
    reload(&lab, &config)?;
    add(MAPS, MEGABYTES, memory::pinned(&lab.pin())? as f64 / 1e6);
    for round in 0..reloads {
        let list = &all[(round + 1) * FEW.min(size / 2)..];
        put(&lab.folder().join("list0.txt"), &policies::lines(&list[..size]))?;
        add(CHANGED, SECONDS, reload(&lab, &config)?);
    }
    if reloads > 0 {
        add("peak of the controller, reloads too", MEGABYTES, memory::peak(gate.id())? as f64 / 1e6);
    }
    ensure!(gate.stop()?.success());
    Ok(())
}

/// `gate25 reload`, which waits until the policy is in force.
fn reload(lab: &Lab, config: &Path) -> Result<f64> {
    let mut command = Command::new(gate25_tests::gate25());
    command.arg("reload").arg("--config").arg(config);
    let ended = command::finish(&lab.edge, command, PATIENCE)?;
    ensure!(ended.code == Some(0), "gate25 reload: {}", ended.stderr);
    Ok(ended.took.as_secs_f64())
}

/// The same prefixes into one set of nftables', and of ipset's.
fn beside(report: &mut Report, list: &[Prefix], rounds: usize) -> Result<()> {
    let policy = Policy { zone: ZONE, businesses: &[], listed: list };
    for which in [Netfilter::Ingress, Netfilter::Iptables] {
        let mut took = Vec::new();
        for _ in 0..if list.len() < 100_000 { rounds } else { 1 } {
            let lab = Lab::new()?;
            let mut commands = which.prepare(lab.folder(), &policy)?;
            // The list is the first command's business.
            let start = Instant::now();
            match lab.edge.output(commands.swap_remove(0)) {
                Ok(_) => took.push(start.elapsed().as_secs_f64()),
                Err(error) => report.missing(which.name(), error),
            }
        }
        if !took.is_empty() {
            let row = (LOAD, Some(list.len() as u64));
            report.add(PART, row, which.name(), SECONDS, Spread::of(took));
        }
    }
    Ok(())
}

/// Makes one figure of all of the same row.
fn gather(report: &mut Report, what: &str) {
    let is_of = |figure: &crate::report::Figure| figure.part == PART && figure.what == what;
    let mut figures: Vec<_> = report.figures.extract_if(.., |figure| is_of(figure)).collect();
    while let Some(first) = figures.first().cloned() {
        let same = figures.extract_if(.., |figure| figure.size == first.size);
        let values = same.map(|figure| figure.spread.median).collect();
        report.figures.push(crate::report::Figure { spread: Spread::of(values), ..first });
    }
}

fn promises(report: &mut Report) {
    for (size, start, peak) in [(100_000, 0.3, None), (1_000_000, 3.0, Some(500.0))] {
        let median = |report: &Report, what| report.median(PART, what, Some(size), GATE25);
        let base = report.median(PART, START, Some(10), GATE25);
        if let (Some(took), Some(base)) = (median(report, START), base) {
            let what = format!("start with {size} prefixes, over a start with ten");
            report.at_most(what, took - base, start, SECONDS);
        }
        if let (Some(most), Some(value)) = (peak, median(report, PEAK)) {
            report.at_most(format!("peak of the controller, {size} prefixes"), value, most, MEGABYTES);
        }
    }
    if let Some(took) = report.median(PART, CHANGED, Some(1_000_000), GATE25) {
        report.at_most("reload, ten of 1,000,000 changed", took, 0.2, SECONDS);
    }
}

/// What a scrape takes, by how many rules there are.
pub(crate) fn scrapes(report: &mut Report, sizes: &[usize], rounds: usize) -> Result<()> {
    use std::fmt::Write as _;
    const SCRAPE: &str = "scrape";
    for size in sizes {
        eprintln!("bench: a scrape of {size} rules");
        let lab = Lab::new()?;
        let mut text = gate25_tests::policy::WEST.to_owned() + "exceptions:\n";
        for number in 0..*size {
            let address = std::net::Ipv4Addr::from_bits(0x1000_0000 + number as u32);
            writeln!(
                text,
                "  - {{id: e{number}, destinations: [{address}], permanent: true, owner: noc, reason: bench}}"
            )?;
        }
        let policy = gate25_tests::policy::write(lab.folder(), &text)?;
        let gate = Gate::start(&lab, &policy)?;
        let (mut took, mut octets) = (Vec::new(), 0);
        for _ in 0..rounds {
            let start = Instant::now();
            octets = gate.scrape()?.len();
            took.push(start.elapsed().as_secs_f64() * 1e3);
        }
        let row = ("of an exception each", Some(*size as u64));
        report.add(SCRAPE, row, "time, ms", "", Spread::of(took));
        report.add(SCRAPE, row, "size, kB", "", Spread::of(vec![octets as f64 / 1e3]));
        gate.stop().context("scrape")?;
    }
    Ok(())
}
