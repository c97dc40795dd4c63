//! Packets a second that are dropped and passed, by live frames through an interface.

use crate::{
    contenders::{EMPTY, GATE25, Gate, TRIES, compiled, install},
    figures::{Spread, interleaved},
    policies::{self, Role},
    report::Report,
    rivals::{
        netfilter::{Netfilter, Policy},
        xdp_filter::{Variant, XdpFilter},
    },
    spray::Spray,
    traffic::{Kind, Outcome, Router, ZONE, generator},
};
use anyhow::{Result, ensure};
use gate25_tests::{
    lab::INTERFACE,
    xdp_pass::{DROP, PASS, TX, attach_code, attach_program},
};
use std::os::fd::{AsFd as _, OwnedFd};

pub(crate) const PART: &str = "throughput";
pub(crate) const MPPS: &str = "Mpps";
const GENERATOR: &str = "generator";
const NOTHING: &str = "no program";

/// How to measure.
pub(crate) struct Plan<'a> {
    pub(crate) sizes: &'a [usize],
    pub(crate) rounds: usize,
    pub(crate) frames: u32,
}

/// A contender at work in a lab of its own.
struct Stage {
    name: &'static str,
    router: Router,
    _kept: Kept,
}

/// What has to stay while it works.
enum Kept {
    Nothing,
    Link(#[allow(dead_code, reason = "held")] OwnedFd),
    Filter(#[allow(dead_code, reason = "held")] XdpFilter),
}

impl Stage {
    /// One that drops everything, or passes everything: the least that any program costs.
    fn empty(code: u8) -> Result<Self> {
        let router = Router::new()?;
        let link = router.lab.edge.run(|| attach_code(INTERFACE, code))?;
        Ok(Self { name: EMPTY, router, _kept: Kept::Link(link) })
    }

    fn plain() -> Result<Self> {
        Ok(Self { name: NOTHING, router: Router::new()?, _kept: Kept::Nothing })
    }

    fn gate(gate: &Gate) -> Result<Self> {
        let router = Router::new()?;
        let link = router.lab.edge.run(|| attach_program(INTERFACE, gate.program.as_fd()))?;
        Ok(Self { name: gate.name, router, _kept: Kept::Link(link) })
    }

    fn filter(variant: Variant) -> Result<Self> {
        let router = Router::new()?;
        let filter = XdpFilter::start(&router.lab, INTERFACE, variant)?;
        Ok(Self { name: variant.name(), router, _kept: Kept::Filter(filter) })
    }

    fn netfilter(which: Netfilter, policy: &Policy<'_>) -> Result<Self> {
        let router = Router::new()?;
        which.start(&router.lab, policy)?;
        Ok(Self { name: which.name(), router, _kept: Kept::Nothing })
    }

    /// Sends, and makes sure that it does what it is there for.
    fn send(&self, spray: &Spray, frame: &[u8], frames: u32, kind: Kind) -> Result<Outcome> {
        let outcome = self.router.send(spray, frame, frames)?;
        let is_right = if kind == Kind::Web { outcome.forwarded > 0.99 } else { outcome.forwarded < 0.01 };
        ensure!(
            is_right,
            "{}: {}: {:.1} % were forwarded",
            self.name,
            kind.label(),
            outcome.forwarded * 100.0
        );
        Ok(outcome)
    }
}

pub(crate) fn run(report: &mut Report, gates: &mut [Gate], plan: &Plan<'_>) -> Result<()> {
    let mut spray = Spray::load()?;
    for size in plan.sizes {
        eprintln!("bench: live frames, {size} prefixes");
        let (ten, any) = (0x0a00_0000, 0x1000_0000);
        let businesses = policies::upper_halves(*size, 1, ten, 0x00ff_ffff);
        let listed = policies::upper_halves(*size, 2, any, 0x0fff_ffff);
        let policy = Policy { zone: ZONE, businesses: &businesses, listed: &listed };
        let stages = stages(report, gates, &policy)?;
        for kind in Kind::ALL {
            let stages: Vec<_> = stages
                .iter()
                .filter(|(only, _)| only.is_none_or(|only| only == (kind == Kind::Web)))
                .map(|(_, stage)| stage)
                .collect();
            measured(report, &mut spray, &stages, plan, kind, *size as u64)?;
        }
        promises(report, *size as u64);
    }
    Ok(())
}

/// All who can take part; those with a word only where frames pass (true) or are dropped (false).
fn stages(
    report: &mut Report,
    gates: &mut [Gate],
    policy: &Policy<'_>,
) -> Result<Vec<(Option<bool>, Stage)>> {
    let mut stages = vec![
        (Some(false), Stage::empty(DROP)?),
        (Some(true), Stage::plain()?),
        (Some(true), Stage::empty(PASS)?),
    ];
    let folder = stages[0].1.router.lab.folder();
    let lists = [(Role::Subscribers, policy.businesses), (Role::Destinations, policy.listed)];
    let tables = compiled(&policies::write(folder, &format!("[\"{}\"]", policy.zone), &lists)?)?;
    install(gates, &tables)?;
    for gate in gates {
        stages.push((None, Stage::gate(gate)?));
    }
    let filters = Variant::ALL.map(|variant| (variant.name(), Stage::filter(variant)));
    let others = Netfilter::ALL.map(|which| (which.name(), Stage::netfilter(which, policy)));
    for (name, stage) in filters.into_iter().chain(others) {
        match stage {
            Ok(stage) => stages.push((None, stage)),
            Err(error) => report.missing(name, error),
        }
    }
    Ok(stages)
}

fn measured(
    report: &mut Report,
    spray: &mut Spray,
    stages: &[&Stage],
    plan: &Plan<'_>,
    kind: Kind,
    size: u64,
) -> Result<()> {
    let frame = kind.plan(spray, TX)?;
    for stage in stages {
        stage.send(spray, &frame, plan.frames / 4, kind)?;
    }
    // The generator itself is the last one.
    let values = interleaved(plan.rounds, stages.len() + 1, |number| match stages.get(number) {
        Some(stage) => Ok(stage.send(spray, &frame, plan.frames, kind)?.rate),
        None => Ok(1e9 / generator(spray, &stages[0].router.lab, kind, plan.frames)?),
    })?;
    let row = (kind.label(), Some(size));
    let names = stages.iter().map(|stage| stage.name).chain([GENERATOR]);
    for (name, rates) in names.zip(&values) {
        report.add(PART, row, name, MPPS, Spread::of(rates.iter().map(|rate| rate / 1e6).collect()));
    }
    // Of the same rounds, what is left without the generator.
    let made = &values[stages.len()];
    for (stage, rates) in stages.iter().zip(&values) {
        let alone = rates.iter().zip(made).map(|(rate, made)| 1e9 / rate - 1e9 / made);
        report.add(PART, row, stage.name, "ns a packet without the generator", Spread::of(alone.collect()));
    }
    Ok(())
}

fn promises(report: &mut Report, size: u64) {
    let rate = |report: &Report, kind: Kind, who| {
        report
            .figures
            .iter()
            .find(|figure| {
                (figure.part, figure.what.as_str(), figure.size) == (PART, kind.label(), Some(size))
                    && figure.contender == who
                    && figure.unit == MPPS
            })
            .map(|figure| figure.spread.median)
    };
    for kind in [Kind::One, Kind::Smtp] {
        let (ours, empty) = (rate(report, kind, GATE25), rate(report, kind, EMPTY));
        if let (Some(ours), Some(empty)) = (ours, empty) {
            let what = format!("{}, {size} prefixes: share of an empty drop's throughput", kind.label());
            report.at_least(what, 100.0 * ours / empty, 85.0, "%");
        }
    }
    for (kind, least) in [(Kind::Smtp, 2.5), (Kind::One, 2.5), (Kind::Syns, 1.5)] {
        for other in Netfilter::ALL {
            if let (Some(ours), Some(theirs)) = (rate(report, kind, GATE25), rate(report, kind, other.name()))
            {
                let what = format!("{}, {size} prefixes: throughput over {}'s", kind.label(), other.name());
                report.at_least(what, ours / theirs, least, "times");
            }
        }
    }
    if let (Some(ours), Some(tries)) = (rate(report, Kind::Smtp, GATE25), rate(report, Kind::Smtp, TRIES)) {
        report
            .notes
            .push(format!("drop, {size} prefixes: {:.2} times the throughput of tries", ours / tries));
    }
}
