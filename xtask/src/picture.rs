//! `cargo xtask picture`: what the dashboard shows, drawn of a real Prometheus that scrapes a real gate.

use crate::{
    setup,
    shell::{cargo, release, run as shell},
};
use anyhow::Result;

/// Builds the command, and the program that draws; runs that.
pub(crate) fn run() -> Result<()> {
    setup::run(setup::For::Tests)?;
    shell(&mut release("build"))?;
    shell(&mut cargo("bench --quiet --locked --package gate25-tests --bench picture"))
}
