//! The real program over single frames (kernel test-run), nothing attached: `replay` and the tests stand on it.

use super::fault::Fault;
use super::install::Store;
use super::object::{self, Options, Unmanaged};
use super::snapshot::{Counters, Snapshot};
use crate::tables::Tables;
use aya::Ebpf;
use aya::maps::{Array, MapData};
use aya::programs::{ProgramFd, TestRun, TestRunOptions};
use gate25_common::abi::Trace;
use gate25_common::verdict::Verdict;

/// Octets of the shortest frame that the kernel's test-run takes.
pub const SHORTEST: usize = 14;
/// As much of a frame as is run: test-run takes little more. No header lies farther back, and what ends there is not
/// answered, so the rest changes no verdict.
const LONGEST: usize = 65_536;

/// What came of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// What was decided; `None` for `not-smtp`, of which the program leaves nothing behind.
    pub verdict: Option<Verdict>,
    /// What the program returned.
    pub code: Code,
    /// The frame afterwards: an answer, where the code is [`Code::Tx`].
    pub frame: Vec<u8>,
}

/// `enum xdp_action` of `linux/bpf.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// 0, an error of the program.
    Aborted,
    /// 1.
    Drop,
    /// 2.
    Pass,
    /// 3, back out of the interface.
    Tx,
    /// 4, and whatever a later kernel adds.
    Redirect,
}

impl Code {
    /// The word of `replay`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::Drop => "drop",
            Self::Pass => "pass",
            Self::Tx => "tx",
            Self::Redirect => "redirect",
        }
    }

    const fn from_number(number: u32) -> Self {
        match number {
            0 => Self::Aborted,
            1 => Self::Drop,
            2 => Self::Pass,
            3 => Self::Tx,
            _ => Self::Redirect,
        }
    }
}

/// A loaded program with maps of its own.
pub struct Runner {
    ebpf: Ebpf,
    store: Store,
    trace: Array<MapData, Trace>,
    counters: Counters,
    out: Vec<u8>,
}

impl Runner {
    /// Loads the program; it has no policy yet.
    pub fn new(unmanaged: Unmanaged) -> Result<Self, Fault> {
        Self::load(unmanaged, true)
    }

    /// As `run` loads it: it leaves no verdict behind and limits its answers. To be measured.
    pub fn unobserved(unmanaged: Unmanaged) -> Result<Self, Fault> {
        Self::load(unmanaged, false)
    }

    fn load(unmanaged: Unmanaged, replay: bool) -> Result<Self, Fault> {
        let mut ebpf = object::load(&Options { unmanaged, replay, ..Options::default() })?;
        let mut store = Store::of(&mut ebpf)?;
        let trace =
            object::take(&mut ebpf, "TRACE")?.try_into().map_err(|error| Fault::kernel("TRACE", error))?;
        let counters = Counters::of(&mut ebpf, "replay", store.rule_counters()?)?;
        Ok(Self { ebpf, store, trace, counters, out: vec![0; LONGEST] })
    }

    /// The program itself.
    pub fn program(&mut self) -> Result<ProgramFd, Fault> {
        let program =
            object::program(&mut self.ebpf)?.fd().map_err(|error| Fault::kernel("program", error))?;
        program.try_clone().map_err(|error| Fault::kernel("program", error))
    }

    /// Puts tables into force.
    pub fn install(&mut self, tables: &Tables) -> Result<(), Fault> {
        self.store.install(tables).map(drop)
    }

    /// Runs a frame of at least [`SHORTEST`] octets.
    pub fn run(&mut self, frame: &[u8]) -> Result<Run, Fault> {
        self.run_in(frame, None)
    }

    /// Runs a frame of which only the first octets, at least [`SHORTEST`], are in the linear part, as some drivers leave
    /// it. Linux 6.18 is the first to do that.
    pub fn run_split(&mut self, frame: &[u8], linear: u32) -> Result<Run, Fault> {
        // `struct xdp_md` of `linux/bpf.h`: data, data_end, data_meta, and three that do not matter.
        let context = [0, linear, 0, 0, 0, 0].map(u32::to_ne_bytes).concat();
        self.run_in(frame, Some(&context))
    }

    fn run_in(&mut self, frame: &[u8], ctx_in: Option<&[u8]>) -> Result<Run, Fault> {
        let frame = &frame[..frame.len().min(LONGEST)];
        let failed = |error: &dyn std::fmt::Display| {
            Fault::kernel(format!("test-run of {} octets", frame.len()), error)
        };
        self.trace.set(0, NOTHING, 0).map_err(|error| failed(&error))?;
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut self.out),
            ctx_in,
            ..TestRunOptions::default()
        };
        let result = object::program(&mut self.ebpf)?
            .test_run(options)
            .map_err(|error| failed(&object::last(&error)))?;
        let trace = self.trace.get(&0, 0).map_err(|error| failed(&error))?;
        Ok(Run {
            verdict: if trace == NOTHING { None } else { trace.verdict() },
            code: Code::from_number(result.return_value),
            frame: self.out[..(result.data_size_out as usize).min(LONGEST)].to_vec(),
        })
    }

    /// What was counted so far, for these zone slots.
    pub fn snapshot(&self, zones: impl Iterator<Item = u32> + Clone) -> Result<Snapshot, Fault> {
        self.counters.snapshot(zones)
    }
}

/// Of no verdict.
const NOTHING: Trace =
    Trace { rule: u64::MAX, zone: u32::MAX, decision: 0xff, reason: 0xff, action: 0xff, enforced: 0xff };
