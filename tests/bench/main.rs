//! `cargo xtask bench`: what Gate25 costs, beside an empty program and beside the alternatives, all in one run.
//! Contenders take turns; figures are medians, with the least and the greatest of their rounds.

mod classes;
mod connections;
mod contenders;
mod figures;
mod loading;
mod lookup;
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
use contenders::Gate;
use gate25_tests::{lab::Lab, workspace};
use policies::Role;
use report::Report;
use rivals::xdp_filter::{Variant, XdpFilter};
use spray::programs;
use std::{env, path::PathBuf, process::ExitCode, time::Instant};

/// The parts of the report, as `--only` has them.
const PARTS: [&str; 6] = ["classes", "prefixes", "throughput", "loading", "scrape", "storm"];

/// What was asked for.
struct Arguments {
    quick: bool,
    strict: bool,
    json: PathBuf,
    plots: PathBuf,
    /// Parts; empty for all.
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
                "--only" => found.only.push(part(words.next())?),
                // What cargo adds.
                "--bench" => {}
                word => bail!("bench: {word}: no such option"),
            }
        }
        Ok(found)
    }

    /// Whether that part is asked for, by its name in [`PARTS`].
    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == part)
    }
}

fn part(word: Option<String>) -> Result<String> {
    let word = word.unwrap_or_default();
    if PARTS.contains(&&*word) {
        return Ok(word);
    }
    bail!("bench: --only: {word}: no such part (one of {})", PARTS.join(", "))
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

/// Whether all went well.
fn run() -> Result<bool> {
    let arguments = Arguments::read()?;
    let start = Instant::now();
    let mut report = Report::new(arguments.quick)?;
    let mut gates = contenders::gates(&mut report)?;
    let parts: [Part; 6] = [classes, prefixes, throughput, loading, scrape, storm];
    let mut failed = false;
    for (name, part) in PARTS.into_iter().zip(parts).filter(|(name, _)| arguments.wants(name)) {
        eprintln!("bench: {name}");
        // The others have their figures all the same.
        if let Err(error) = part(&mut report, &mut gates, arguments.quick) {
            report.missing(name, error);
            failed = true;
        }
    }
    report.seconds = start.elapsed().as_secs_f64();
    report.print();
    report.write(&arguments.json)?;
    plots::write(&report, &arguments.plots)?;
    println!("\n{:.0} s; {}, {}/*.svg", report.seconds, arguments.json.display(), arguments.plots.display());
    Ok(!failed && (!arguments.strict || report.promises.iter().all(|promise| promise.holds)))
}

/// Measures a part, quickly or not.
type Part = fn(&mut Report, &mut [Gate], bool) -> Result<()>;

fn classes(report: &mut Report, gates: &mut [Gate], quick: bool) -> Result<()> {
    let rounds = if quick { 5 } else { 7 };
    let lab = Lab::new()?;
    classes::install(&lab, gates)?;
    let mut filters = Vec::new();
    for (variant, name) in Variant::ALL.into_iter().zip(["filter", "least"]) {
        lab.edge.ip(&format!("link add {name} up type veth peer name {name}-end\n"))?;
        match XdpFilter::start(&lab, name, variant) {
            Ok(filter) => filters.push(filter),
            Err(error) => report.missing(variant.name(), error),
        }
    }
    classes::run(report, gates, &filters, rounds, if quick { 200_000 } else { 500_000 })?;
    connections::row_of_syns(report, gates, rounds, if quick { 100_000 } else { 500_000 })?;
    connections::syns(report, gates, rounds)?;
    connections::answers(report, &lab, gates, if quick { 49 } else { 99 })
}

fn prefixes(report: &mut Report, gates: &mut [Gate], quick: bool) -> Result<()> {
    let sizes: &[usize] =
        if quick { &[10, 10_000, 1_000_000] } else { &[10, 100, 1_000, 10_000, 100_000, 1_000_000] };
    let all = [Role::Destinations, Role::Subscribers].map(|role| [(role, false), (role, true)]).concat();
    // Quickly: each role and each family once.
    let tables = if quick { &[all[0], all[3]][..] } else { &all };
    let plan = lookup::Plan { tables, sizes, rounds: 5, repeat: if quick { 50_000 } else { 200_000 } };
    lookup::run(report, &Lab::new()?, gates, &plan)
}

fn throughput(report: &mut Report, gates: &mut [Gate], quick: bool) -> Result<()> {
    let (sizes, frames): (&[usize], _) =
        if quick { (&[10, 10_000], 50_000) } else { (&[10, 100_000], 200_000) };
    throughput::run(report, gates, &throughput::Plan { sizes, rounds: 5, frames })
}

fn loading(report: &mut Report, _: &mut [Gate], quick: bool) -> Result<()> {
    let sizes: &[usize] =
        if quick { &[10, 100_000, 1_000_000] } else { &[10, 100, 1_000, 10_000, 100_000, 1_000_000] };
    let most_beside = if quick { 10_000 } else { 1_000_000 };
    loading::run(report, &loading::Plan { sizes, rounds: 5, most_beside })
}

fn scrape(report: &mut Report, _: &mut [Gate], quick: bool) -> Result<()> {
    let sizes: &[usize] = if quick { &[10, 1_000, 10_000] } else { &[10, 100, 1_000, 10_000, 100_000] };
    loading::scrapes(report, sizes, 5)
}

fn storm(report: &mut Report, _: &mut [Gate], quick: bool) -> Result<()> {
    storm::run(report, 1_000_000, if quick { 5 } else { 7 })
}
