//! Large policies load, and the gate says how large they are.

use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    gate::{self, Gate},
    lab::{Host, INTERFACE, Lab},
    metrics::{self, sum},
    policy::{self, WEST},
    smtp::{self, Outcome, Sink},
    wait, xdp,
};
use std::{
    fmt::Write as _,
    fs,
    process::Command,
    time::{Duration, Instant},
};

/// For each step of a mail that arrives or is refused, on a busy machine.
const LIMIT: Duration = Duration::from_secs(15);
/// Far above what was measured; the time itself is printed.
const PATIENCE: Duration = Duration::from_mins(1);
const MANY: u32 = 100_000;

/// Starts with that policy; alice reaches the university, which is the last entry.
fn load(what: &str, lab: &Lab, text: &str) -> Result<()> {
    let sink = |host: &Host| Sink::start(&host.namespace, host.name, &[25]);
    let _sinks = [sink(&lab.university)?, sink(&lab.stranger)?];
    let policy = policy::write(lab.folder(), text)?;
    let config = gate::write(lab, &gate::configuration(lab, &policy))?;
    let run = || {
        let mut command = Command::new(gate25_tests::gate25());
        command.arg("run").arg("--config").arg(&config);
        command
    };
    let start = Instant::now();
    let gate = Gate::run(lab, run(), PATIENCE)?;
    let loaded = start.elapsed();
    ensure!(smtp::mail(&lab.alice, lab.university.v4.into(), LIMIT).is_delivered());
    ensure!(smtp::mail(&lab.alice, lab.stranger.v4.into(), LIMIT) == Outcome::Refused);

    let start = Instant::now();
    gate.reload();
    // A scrape of that many rules takes its time, so the log is asked.
    let done = wait::until(PATIENCE, || gate.log().contains("generation=2").then_some(()));
    done.with_context(|| format!("{what}: not reloaded:\n{}", gate.log()))?;
    let reloaded = start.elapsed();
    let start = Instant::now();
    let scrape = gate.scrape()?;
    println!(
        "{what}: {:.1} MB of YAML and lists: in force after {:.2} s, reloaded in {:.2} s, a scrape of {:.1} MB in {:.2} s",
        octets(lab) as f64 / 1e6,
        loaded.as_secs_f64(),
        reloaded.as_secs_f64(),
        scrape.len() as f64 / 1e6,
        start.elapsed().as_secs_f64()
    );
    let samples = metrics::parse(&scrape)?;
    for table in ["destinations_ipv4", "cells", "rules"] {
        let value = |metric| sum(&samples, metric, &[("table", table)]);
        let (entries, capacity) = (value("gate25_table_entries"), value("gate25_table_capacity"));
        ensure!(entries >= 1.0 && entries <= capacity, "{table}: {entries} of {capacity}");
    }
    ensure!(sum(&samples, "gate25_table_entries", &[("table", "destinations_ipv4")]) > f64::from(MANY) - 1.0);
    ensure!(xdp::on(&lab.edge, INTERFACE)?.is_some());
    ensure!(gate.stop()?.success());
    Ok(())
}

fn octets(lab: &Lab) -> u64 {
    let files = ["policy.yaml", "many.txt"].map(|name| fs::metadata(lab.folder().join(name)));
    files.into_iter().flatten().map(|file| file.len()).sum()
}

/// The nth of many hosts, none of them in the lab.
fn host(number: u32) -> std::net::Ipv4Addr {
    std::net::Ipv4Addr::from_bits(0x0a00_0000 + number * 3)
}

#[test]
fn a_hundred_thousand_prefixes() -> Result<()> {
    let lab = Lab::new()?;
    let mut list = String::new();
    for number in 0..MANY {
        writeln!(list, "{}", host(number))?;
    }
    list += "198.51.100.0/24\n";
    fs::write(lab.folder().join("many.txt"), list)?;
    let exception = policy::exception("campus", "permanent: true")
        .replace(&format!("destinations: {}", policy::UNIVERSITY), "destinations_file: many.txt");
    load("100,000 prefixes", &lab, &format!("{WEST}exceptions:\n{exception}"))
}

#[test]
fn a_hundred_thousand_exceptions() -> Result<()> {
    let lab = Lab::new()?;
    let mut text = format!("{WEST}exceptions:\n");
    for number in 0..MANY {
        writeln!(
            text,
            "  - {{id: e{number}, destinations: [{}], permanent: true, owner: noc, reason: lab}}",
            host(number)
        )?;
    }
    load("100,000 exceptions", &lab, &(text + &policy::exception("campus", "permanent: true")))
}
