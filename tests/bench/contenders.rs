//! The programs that are measured by test-run.

mod tries;

use crate::report::Report;
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
use tries::Tries;

pub(crate) const EMPTY: &str = "empty";
pub(crate) const GATE25: &str = "gate25";
pub(crate) const TRIES: &str = "gate25 with tries";

/// A program of ours, with whatever tables it has.
pub(crate) struct Gate {
    pub(crate) name: &'static str,
    pub(crate) program: ProgramFd,
    maps: Maps,
}

/// What it looks up in.
enum Maps {
    Ours(Box<Runner>),
    /// Those of ours, but for the tries.
    Tries(Box<Tries>),
}

impl Gate {
    /// Our program, as it is.
    pub(crate) fn ours() -> Result<Self> {
        let mut runner = Runner::unobserved(&[Direction::Egress, Direction::Return], Unmanaged::Pass)?;
        Ok(Self { name: GATE25, program: runner.xdp()?, maps: Maps::Ours(Box::new(runner)) })
    }

    /// The same with the kernel's tries, beside it.
    fn tries(&self) -> Result<Self> {
        let (tries, program) = Tries::beside(&self.program)?;
        Ok(Self { name: TRIES, program, maps: Maps::Tries(Box::new(tries)) })
    }

    /// Puts these tables into force.
    fn install(&mut self, tables: &Tables) -> Result<()> {
        match &mut self.maps {
            Maps::Ours(runner) => Ok(runner.install(tables)?),
            Maps::Tries(tries) => tries.install(tables),
        }
    }

    /// The program of what leaves toward subscribers; none of tries is measured.
    pub(crate) fn classifier(&mut self) -> Result<Option<ProgramFd>> {
        match &mut self.maps {
            Maps::Ours(runner) => Ok(Some(runner.classifier()?)),
            Maps::Tries(_) => Ok(None),
        }
    }
}

/// All of ours, those with tables of their own first: the others share its maps.
pub(crate) fn gates(report: &mut Report) -> Result<Vec<Gate>> {
    let mut gates = vec![Gate::ours()?];
    match gates[0].tries() {
        Ok(tries) => gates.push(tries),
        Err(error) => report.missing(TRIES, error),
    }
    Ok(gates)
}

/// Puts these tables into force in all of them.
pub(crate) fn install(gates: &mut [Gate], tables: &Tables) -> Result<()> {
    gates.iter_mut().try_for_each(|gate| gate.install(tables))
}

/// What the policy compiles to.
pub(crate) fn compiled(file: &Path) -> Result<Tables> {
    let loaded = policy::load(file).map_err(|refused| anyhow::anyhow!("{:?}", refused.problems))?;
    compile(&loaded.policy, clock::now(), true, |zone| zone as u32 + 1).context("too large")
}
