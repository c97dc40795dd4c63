//! What a packet costs with ever more prefixes, by the addresses in it.

use crate::{
    contenders::{EMPTY, GATE25, Gate, TRIES, compiled, install},
    figures::{Spread, added, interleaved},
    policies::{self, EVERYONE, Prefix, Role},
    report::Report,
    spray::{Side, Spray},
};
use anyhow::Result;
use gate25_tests::{
    lab::Lab,
    packet::{ACK, Tcp},
    testrun::measure,
};
use std::{net::IpAddr, os::fd::AsFd as _};

pub(crate) const PART: &str = "prefixes";
const UNIT: &str = "ns added";

/// How to measure.
pub(crate) struct Plan<'a> {
    /// Of them, whether IPv6.
    pub(crate) tables: &'a [(Role, bool)],
    pub(crate) sizes: &'a [usize],
    pub(crate) rounds: usize,
    pub(crate) repeat: u32,
}

/// Which addresses the packets of a row have.
#[derive(Clone, Copy, PartialEq)]
enum Keys {
    Random,
    Inside,
}

fn name(role: Role, ipv6: bool, keys: Keys) -> String {
    let family = if ipv6 { "IPv6" } else { "IPv4" };
    let keys = if keys == Keys::Random { "random" } else { "inside prefixes" };
    format!("{} {family}, {keys}", role.label())
}

pub(crate) fn run(report: &mut Report, lab: &Lab, gates: &mut [Gate], plan: &Plan<'_>) -> Result<()> {
    let mut spray = Spray::load()?;
    for (role, ipv6) in plan.tables {
        for size in plan.sizes {
            eprintln!("bench: {size} {} {}", if *ipv6 { "IPv6" } else { "IPv4" }, role.label());
            let list = policies::prefixes(*size, *ipv6);
            let file = policies::write(lab.folder(), EVERYONE, &[(*role, &list)])?;
            let tables = compiled(&file)?;
            install(gates, &tables)?;
            for keys in [Keys::Random, Keys::Inside] {
                measured(report, &mut spray, gates, plan, (*role, *ipv6, keys), &list)?;
            }
        }
    }
    promises(report, plan);
    Ok(())
}

fn measured(
    report: &mut Report,
    spray: &mut Spray,
    gates: &[Gate],
    plan: &Plan<'_>,
    (role, ipv6, keys): (Role, bool, Keys),
    list: &[Prefix],
) -> Result<()> {
    let (one, other): (IpAddr, IpAddr) = if ipv6 {
        ("2001:db8:100::7".parse()?, "2001:db8:bad::25".parse()?)
    } else {
        ("203.0.113.7".parse()?, "192.0.2.200".parse()?)
    };
    // Anywhere in unicast space.
    let random = if ipv6 {
        Side::Random("2000::".parse()?, "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".parse()?)
    } else {
        Side::Random("0.0.0.0".parse()?, "255.255.255.255".parse()?)
    };
    let pool = if role == Role::Subscribers { "SOURCES" } else { "REMOTES" };
    let varied = match keys {
        Keys::Random => random,
        Keys::Inside => {
            spray.fill(pool, &policies::inside(list, crate::plan::POOL))?;
            Side::Pool(if role == Role::Subscribers { one } else { other })
        }
    };
    let (source, remote) = match role {
        Role::Subscribers => (varied, Side::Fixed(other)),
        Role::Destinations => (Side::Fixed(one), varied),
    };
    let frame = spray.plan((source, remote), &Tcp::new(40_000, 25, ACK), false, 0)?;
    let empty = spray.empty()?;
    let mut programs = vec![&empty];
    programs.extend(gates.iter().map(|gate| &gate.program));
    let values = interleaved(plan.rounds, programs.len(), |number| {
        spray.test(programs[number])?;
        // What the one before it left in the caches is not its cost.
        measure(spray.program.as_fd(), &frame, plan.repeat / 8)?;
        Ok(measure(spray.program.as_fd(), &frame, plan.repeat)?.as_secs_f64() * 1e9)
    })?;
    let row = name(role, ipv6, keys);
    let size = Some(list.len() as u64);
    report.add(PART, (&row, size), EMPTY, UNIT, Spread::of(values[0].clone()));
    for (gate, gates) in gates.iter().zip(&values[1..]) {
        report.add(PART, (&row, size), gate.name, UNIT, Spread::of(added(gates, &values[0])));
    }
    Ok(())
}

/// Everything over the empty program counts, headers and cells too: that favours the contender with dearer look-ups.
fn promises(report: &mut Report, plan: &Plan<'_>) {
    let (Some(few), Some(many)) = (plan.sizes.first(), plan.sizes.last()) else { return };
    let (few, many) = (Some(*few as u64), Some(*many as u64));
    for (role, ipv6) in plan.tables {
        for keys in [Keys::Random, Keys::Inside] {
            promised(report, &name(*role, *ipv6, keys), keys, few, many);
        }
    }
}

fn promised(report: &mut Report, row: &str, keys: Keys, few: Option<u64>, many: Option<u64>) {
    let median = |size, who| report.median(PART, row, size, who);
    let (Some(small), Some(large)) = (median(few, GATE25), median(many, GATE25)) else { return };
    let tries = (median(few, TRIES), median(many, TRIES));
    if keys == Keys::Random {
        report.at_most(format!("{row}: a million over ten"), large - small, 200.0, "ns");
    }
    if let (Some(few), Some(many)) = tries {
        if keys == Keys::Random {
            report.at_least(format!("{row}: tries' cost over ours, a million"), many / large, 5.0, "times");
        }
        // Differences of 10 ns are noise on machines like this one.
        report.at_most(format!("{row}: ours over tries', ten"), small - few, 10.0, "ns");
    }
}
