//! `cargo xtask bench`: figures, each beside that of an empty program in the same run.

use crate::{
    setup,
    shell::{cargo, run as shell, workspace},
    toolchain::{self, TARGET},
};
use anyhow::Result;
use std::{env, path::PathBuf};

/// Builds the command, the programs to measure with, and the benchmark; runs that with these arguments.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    setup::run(setup::For::Bench)?;
    shell(&mut cargo("build --locked --release --package gate25"))?;
    let target = workspace().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()));
    let programs = programs(target.join("bench"))?;
    shell(
        cargo("bench --quiet --locked --package gate25-tests --bench bench --")
            .args(arguments)
            .env("GATE25_BENCH_PROGRAMS", programs),
    )
}

/// Builds the programs to measure with, and our own with the kernel's tries; gives the folder of their objects.
fn programs(target: PathBuf) -> Result<PathBuf> {
    let toolchain = toolchain::find(&workspace())?;
    let package = ["--package", "gate25-bench-ebpf", "--bin", "gate25-bench-ebpf"];
    shell(toolchain.command(&workspace(), &target).args(package))?;
    Ok(target.join(TARGET).join("release"))
}
