//! `cargo xtask bench`: what Gate25 costs, beside an empty program and beside the alternatives, all in one run.
//! Contenders take turns; figures are medians, with the least and the greatest of their rounds.

mod classes;
mod connections;
mod contenders;
mod figures;
mod loading;
mod lookup;
mod memory;
#[path = "ebpf/src/plan.rs"]
mod plan;
mod plot;
mod plots;
mod policies;
mod report;
mod rivals;
mod spray;
mod storm;
mod throughput;
mod traffic;

use anyhow::{Result, bail};
use gate25_tests::{lab::Lab, workspace};
use policies::Role;
use report::Report;
use rivals::xdp_filter::{Variant, XdpFilter};
use spray::programs;
use std::{env, path::PathBuf, process::ExitCode, time::Instant};

/// What was asked for.
struct Arguments {
    quick: bool,
    strict: bool,
    json: PathBuf,
    plots: PathBuf,
    /// Parts, by their names here; empty for all.
    only: Vec<String>,
}

impl Arguments {
    fn read() -> Result<Self> {
        let folder = programs()?.with_file_name("report");
        let mut found = Self {
            quick: false,
            strict: false,
            json: folder.join("bench.json"),
            plots: folder,
            only: Vec::new(),
        };
        let mut words = env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--quick" => found.quick = true,
                "--strict" => found.strict = true,
                "--json" => found.json = workspace().join(words.next().unwrap_or_default()),
                "--plots" => found.plots = workspace().join(words.next().unwrap_or_default()),
                "--only" => found.only.extend(words.next()),
                // What cargo adds.
                "--bench" => {}
                word => bail!("bench: {word}: no such option"),
            }
        }
        Ok(found)
    }

    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == part)
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool> {
    let arguments = Arguments::read()?;
    let start = Instant::now();
    let mut report = Report::new(arguments.quick)?;
    parts(&arguments, &mut report)?;
    report.seconds = start.elapsed().as_secs_f64();
    report.print();
    report.write(&arguments.json)?;
    plots::write(&report, &arguments.plots)?;
    println!("\n{:.0} s; {}, {}/*.svg", report.seconds, arguments.json.display(), arguments.plots.display());
    Ok(!arguments.strict || report.promises.iter().all(|promise| promise.holds))
}

fn parts(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let quick = arguments.quick;
    let rounds = if quick { 5 } else { 7 };
    let mut gates = contenders::gates(report)?;
    if arguments.wants("classes") {
        eprintln!("bench: packets by class");
        let lab = Lab::new()?;
        classes::install(&lab, &mut gates)?;
        let mut filters = Vec::new();
        for (variant, name) in Variant::ALL.into_iter().zip(["filter", "least"]) {
            lab.edge.ip(&format!("link add {name} up type veth peer name {name}-end\n"))?;
            match XdpFilter::start(&lab, name, variant) {
                Ok(filter) => filters.push(filter),
                Err(error) => report.missing(variant.name(), error),
            }
        }
        classes::run(report, &mut gates, &filters, rounds, if quick { 200_000 } else { 500_000 })?;
        connections::syns(report, &gates, rounds)?;
        connections::answers(report, &lab, &gates, if quick { 49 } else { 99 })?;
    }
    if arguments.wants("prefixes") {
        let lab = Lab::new()?;
        let sizes: &[usize] =
            if quick { &[10, 10_000, 1_000_000] } else { &[10, 100, 1_000, 10_000, 100_000, 1_000_000] };
        let all = [Role::Destinations, Role::Subscribers].map(|role| [(role, false), (role, true)]).concat();
        // Quickly: each role and each family once.
        let tables = if quick { &[all[0], all[3]][..] } else { &all };
        let plan = lookup::Plan { tables, sizes, rounds: 5, repeat: if quick { 50_000 } else { 200_000 } };
        lookup::run(report, &lab, &mut gates, &plan)?;
    }
    if arguments.wants("throughput") {
        let (sizes, frames): (&[usize], _) =
            if quick { (&[10, 10_000], 50_000) } else { (&[10, 100_000], 200_000) };
        throughput::run(report, &mut gates, &throughput::Plan { sizes, rounds: 5, frames })?;
    }
    drop(gates);
    if arguments.wants("loading") {
        let sizes: &[usize] =
            if quick { &[10, 1_000_000] } else { &[10, 100, 1_000, 10_000, 100_000, 1_000_000] };
        let most_beside = if quick { 100_000 } else { 1_000_000 };
        loading::run(report, &loading::Plan { sizes, rounds: if quick { 3 } else { 5 }, most_beside })?;
    }
    if arguments.wants("scrape") {
        let sizes: &[usize] = if quick { &[10, 1_000, 10_000] } else { &[10, 100, 1_000, 10_000, 100_000] };
        loading::scrapes(report, sizes, 5)?;
    }
    if arguments.wants("storm") {
        storm::run(report, 1_000_000)?;
    }
    Ok(())
}
