//! The real program over single frames (kernel test-run), nothing attached: `replay` and the tests stand on it.

use super::fault::Fault;
use super::install::Store;
use super::object::{self, Options, Unmanaged};
use super::snapshot::{Counters, Own, Snapshot};
use crate::tables::{Tables, Targets};
use aya::Ebpf;
use aya::maps::{Array, MapData};
use aya::programs::{ProgramFd, TestRun, TestRunOptions};
use gate25_common::abi::{Gateway, Trace};
use gate25_common::verdict::{Direction, Verdict};
use std::borrow::Cow;

/// Octets of the shortest frame that the kernel's test-run takes.
pub const SHORTEST: usize = 14;
/// As much of a frame as is run: test-run takes little more. No header lies farther back, and what ends there is not
/// answered, so the rest changes no verdict.
const LONGEST: usize = 65_536;
/// The same on the way back, where test-run takes no more than fits into a page with the kernel's own part. The headers
/// behind it, of which only a chain of IPv6 extension headers has any, are not read.
const LONGEST_RETURN: usize = 3_520;
/// Octets in front of the `EtherType`, and a tag of VLAN 0.
const MACS: usize = 12;
const TAG: [u8; 4] = [0x81, 0, 0, 0];
/// What the gateway calls itself where there is no interface: the addresses that stand for a node without one (RFC 7600
/// section 6, RFC 6666).
const NOBODY: Gateway = Gateway {
    ipv4: u64::from_ne_bytes([192, 0, 0, 8, 0, 0, 0, 0]),
    ipv6: [(0x0100_u64 << 48).to_be(), 1_u64.to_be()],
};

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

    /// `TC_ACT_SHOT` of `linux/pkt_cls.h`; all else that the program returns lets the packet go on.
    const fn of_classifier(number: u32) -> Self {
        if number == 2 { Self::Drop } else { Self::Pass }
    }

    const fn of_xdp(number: u32) -> Self {
        match number {
            0 => Self::Aborted,
            1 => Self::Drop,
            2 => Self::Pass,
            3 => Self::Tx,
            _ => Self::Redirect,
        }
    }
}

/// Loaded programs with maps of their own.
pub struct Runner {
    ebpf: Ebpf,
    store: Store,
    trace: Array<MapData, Trace>,
    counters: Counters,
    out: Vec<u8>,
}

impl Runner {
    /// Loads the programs of these directions; they have no policy yet.
    pub fn new(directions: &[Direction], unmanaged: Unmanaged) -> Result<Self, Fault> {
        Self::load(directions, unmanaged, true)
    }

    /// As `run` loads them: they leave no verdict behind and limit their answers. To be measured.
    pub fn unobserved(directions: &[Direction], unmanaged: Unmanaged) -> Result<Self, Fault> {
        Self::load(directions, unmanaged, false)
    }

    fn load(directions: &[Direction], unmanaged: Unmanaged, replay: bool) -> Result<Self, Fault> {
        let mut ebpf = object::load(directions, &Options { unmanaged, replay, ..Options::default() })?;
        let mut store = Store::of(&mut ebpf)?;
        let trace =
            object::take(&mut ebpf, "TRACE")?.try_into().map_err(|error| Fault::kernel("TRACE", error))?;
        let mut own = Own::of(&mut ebpf)?;
        own.name_gateway(NOBODY)?;
        let counters = Counters::of("replay", own, store.rule_counters()?)?;
        Ok(Self { ebpf, store, trace, counters, out: vec![0; LONGEST] })
    }

    /// The program of what arrives.
    pub fn xdp(&mut self) -> Result<ProgramFd, Fault> {
        let program = object::xdp(&mut self.ebpf)?.fd().map_err(|error| Fault::kernel("program", error))?;
        program.try_clone().map_err(|error| Fault::kernel("program", error))
    }

    /// The program of what leaves.
    pub fn classifier(&mut self) -> Result<ProgramFd, Fault> {
        let program =
            object::classifier(&mut self.ebpf)?.fd().map_err(|error| Fault::kernel("program", error))?;
        program.try_clone().map_err(|error| Fault::kernel("program", error))
    }

    /// Puts tables into force.
    pub fn install(&mut self, tables: &Tables) -> Result<(), Fault> {
        self.store.install(tables).map(drop)
    }

    /// Changes where zones redirect to.
    pub fn set_targets(&mut self, targets: &Targets) -> Result<(), Fault> {
        self.store.set_targets(targets)
    }

    /// Runs a frame of at least [`SHORTEST`] octets in a direction whose program was loaded.
    pub fn run(&mut self, direction: Direction, frame: &[u8]) -> Result<Run, Fault> {
        self.run_in(direction, frame, None)
    }

    /// Runs an arriving frame of which only the first octets, at least [`SHORTEST`], are in the linear part, as some
    /// drivers leave it. Linux 6.18 is the first to do that.
    pub fn run_split(&mut self, frame: &[u8], linear: u32) -> Result<Run, Fault> {
        // `struct xdp_md` of `linux/bpf.h`: data, data_end, data_meta, and three that do not matter.
        let context = [0, linear, 0, 0, 0, 0].map(u32::to_ne_bytes).concat();
        self.run_in(Direction::Egress, frame, Some(&context))
    }

    fn run_in(&mut self, direction: Direction, frame: &[u8], ctx_in: Option<&[u8]>) -> Result<Run, Fault> {
        let longest = match direction {
            Direction::Egress => LONGEST,
            Direction::Return => LONGEST_RETURN,
        };
        let given = &frame[..frame.len().min(longest)];
        let is_refused = direction == Direction::Return && is_cut_ip(given);
        let frame = if is_refused {
            Cow::Owned([&given[..MACS], &TAG, &given[MACS..]].concat())
        } else {
            Cow::Borrowed(given)
        };
        let failed = |error: &dyn std::fmt::Display| {
            Fault::kernel(format!("test-run of {} octets", frame.len()), error)
        };
        self.trace.set(0, NOTHING, 0).map_err(|error| failed(&error))?;
        let options = TestRunOptions {
            data_in: Some(&frame),
            data_out: Some(&mut self.out),
            ctx_in,
            ..TestRunOptions::default()
        };
        let result = match direction {
            Direction::Egress => object::xdp(&mut self.ebpf)?.test_run(options),
            Direction::Return => object::classifier(&mut self.ebpf)?.test_run(options),
        };
        let result = result.map_err(|error| failed(&object::last(&error)))?;
        let trace = self.trace.get(&0, 0).map_err(|error| failed(&error))?;
        Ok(Run {
            verdict: if trace == NOTHING { None } else { trace.verdict() },
            code: match direction {
                Direction::Egress => Code::of_xdp(result.return_value),
                Direction::Return => Code::of_classifier(result.return_value),
            },
            frame: if is_refused {
                given.to_vec()
            } else {
                self.out[..(result.data_size_out as usize).min(LONGEST)].to_vec()
            },
        })
    }

    /// What was counted so far, for these zone slots.
    pub fn snapshot(&self, zones: impl Iterator<Item = u32> + Clone) -> Result<Snapshot, Fault> {
        self.counters.snapshot(zones)
    }
}

/// Whether the test-run of what leaves refuses the frame, as newer kernels do where an IP header that the Ethernet header
/// announces is cut. In a tag they take it, and a tag changes no verdict.
fn is_cut_ip(frame: &[u8]) -> bool {
    match frame.get(MACS..SHORTEST) {
        Some([0x08, 0x00]) => frame.len() < SHORTEST + 20,
        Some([0x86, 0xdd]) => frame.len() < SHORTEST + 40,
        _ => false,
    }
}

/// Of no verdict.
const NOTHING: Trace =
    Trace { rule: u64::MAX, zone: u32::MAX, decision: 0xff, reason: 0xff, action: 0xff, enforced: 0xff };
