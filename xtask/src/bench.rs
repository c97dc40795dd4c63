//! `cargo xtask bench`: figures, each beside that of an empty program in the same run.

use crate::{
    setup,
    shell::{cargo, release, run as shell, workspace},
    toolchain::{self, TARGET},
};
use anyhow::Result;
use clap::Args;
use std::{env, ffi::OsString, path::PathBuf};

/// What is to be measured, and where to it is written.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Fewer sizes and rounds: two minutes
    #[arg(long)]
    quick: bool,
    /// Fail where a promise is not kept
    #[arg(long)]
    strict: bool,
    /// One part, or several: classes, prefixes, throughput, loading, scrape, storm
    #[arg(long, value_name = "PART")]
    only: Vec<String>,
    /// Where the report goes [default: a folder of the build]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where the plots go [default: likewise]
    #[arg(long, value_name = "FOLDER")]
    plots: Option<PathBuf>,
}

impl Arguments {
    /// The same, for the benchmark.
    fn words(&self) -> Vec<OsString> {
        let flags = [("--quick", self.quick), ("--strict", self.strict)];
        let mut words: Vec<OsString> =
            flags.iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| flag.into()).collect();
        words.extend(self.only.iter().flat_map(|part| ["--only".into(), part.into()]));
        for (flag, path) in [("--json", &self.json), ("--plots", &self.plots)] {
            words.extend(path.iter().flat_map(|path| [flag.into(), path.into()]));
        }
        words
    }
}

/// Builds the command, the programs to measure with, and the benchmark; runs that.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::run(setup::For::Bench)?;
    shell(&mut release("build"))?;
    let target = workspace().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()));
    let programs = programs(target.join("bench"))?;
    shell(
        cargo("bench --quiet --locked --package gate25-tests --bench bench --")
            .args(arguments.words())
            .env("GATE25_BENCH_PROGRAMS", programs),
    )
}

/// Builds the programs to measure with, and our own with the kernel's tries; gives the folder of their objects.
fn programs(target: PathBuf) -> Result<PathBuf> {
    let toolchain = toolchain::find(&workspace())?;
    let added =
        ["--package", "gate25-bench-ebpf", "--bin", "gate25-bench-ebpf", "--features", "gate25-ebpf/tries"];
    shell(toolchain.command(&workspace(), &target).args(added))?;
    Ok(target.join(TARGET).join("release"))
}
