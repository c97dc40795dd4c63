//! `cargo xtask bench`: figures, each beside that of an empty program in the same run.

use crate::{
    setup,
    shell::{cargo, run as shell},
};
use anyhow::Result;

/// Builds and runs the benchmark.
pub(crate) fn run() -> Result<()> {
    setup::run(setup::For::Tests)?;
    shell(&mut cargo("bench --quiet --locked --package gate25-tests --bench cost"))
}
