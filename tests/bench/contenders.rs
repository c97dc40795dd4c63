//! The programs that are measured by test-run.

use anyhow::{Context as _, Result};
use aya::programs::ProgramFd;
use gate25::{
    clock,
    datapath::{object::Unmanaged, testrun::Runner},
    policy::{self, compile::compile},
    tables::Tables,
};
use gate25_common::verdict::Direction;
use std::path::Path;

pub(crate) const EMPTY: &str = "empty";
pub(crate) const GATE25: &str = "gate25";
pub(crate) const TRIES: &str = "gate25 with tries";

/// A program of ours, with whatever tables it has.
pub(crate) struct Gate {
    pub(crate) name: &'static str,
    pub(crate) program: ProgramFd,
    runner: Runner,
}

impl Gate {
    /// Our program, as it is.
    pub(crate) fn ours() -> Result<Self> {
        let mut runner = Runner::unobserved(&[Direction::Egress, Direction::Return], Unmanaged::Pass)?;
        Ok(Self { name: GATE25, program: runner.xdp()?, runner })
    }

    /// Puts these tables into force.
    pub(crate) fn install(&mut self, tables: &Tables) -> Result<()> {
        Ok(self.runner.install(tables)?)
    }

    /// The program of what leaves toward subscribers.
    pub(crate) fn classifier(&mut self) -> Result<ProgramFd> {
        Ok(self.runner.classifier()?)
    }
}

/// All of ours.
pub(crate) fn gates() -> Result<Vec<Gate>> {
    Ok(vec![Gate::ours()?])
}

/// What the policy compiles to.
pub(crate) fn compiled(file: &Path) -> Result<Tables> {
    let loaded = policy::load(file).map_err(|refused| anyhow::anyhow!("{:?}", refused.problems))?;
    compile(&loaded.policy, clock::now(), true, |zone| zone as u32 + 1).context("too large")
}
