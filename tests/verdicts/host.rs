//! The host engine: the very code of the program, over the same tables in memory.

use gate25::datapath::object::Unmanaged;
use gate25::policy::Policy;
use gate25::policy::compile::{Clock, compile};
use gate25::tables::{Tables, View};
use gate25_common::abi::{Cell, CellKey, Subscriber};
use gate25_common::address::Address;
use gate25_common::answer;
use gate25_common::decide::{Limit, Lookup, Settings, decide};
use gate25_common::flow::opens;
use gate25_common::parse::{Egress, Parsed, Return, Segment, parse};
use gate25_common::verdict::{Action, Direction, Verdict};

/// One policy in the host engine.
pub(crate) struct Host {
    pub(crate) tables: Tables,
    pub(crate) unmanaged: Unmanaged,
}

impl Host {
    /// Compiled for a time.
    pub(crate) fn new(policy: &Policy, clock: Clock, unmanaged: Unmanaged, enforce: bool) -> Self {
        let tables = compile(policy, clock, enforce, |zone| zone as u32 + 1).expect("tables of this policy");
        Self { tables, unmanaged }
    }

    /// The verdict on a frame at a reading of the boot clock, with the action that can be done; of a redirected connection
    /// that is its SYN alone, for no state is kept here.
    pub(crate) fn verdict(&self, direction: Direction, frame: &[u8], now: u64) -> Verdict {
        let parsed = parsed(direction, frame);
        let verdict = decide(&parsed, direction, &Lens { host: self, now });
        match &parsed {
            Parsed::Smtp(segment) if !is_possible(&verdict, frame, segment) => {
                Verdict { action: Action::Drop, ..verdict }
            }
            _ => verdict,
        }
    }
}

/// What a frame is, by the way that it goes.
pub(crate) fn parsed(direction: Direction, frame: &[u8]) -> Parsed {
    match direction {
        Direction::Egress => parse(frame, &Egress),
        Direction::Return => parse(frame, &Return),
    }
}

fn is_possible(verdict: &Verdict, frame: &[u8], segment: &Segment) -> bool {
    match verdict.action {
        Action::None | Action::Drop => true,
        Action::Reset | Action::Icmp => answer::reset(frame, segment).is_some(),
        Action::Notice | Action::Relay => {
            answer::redirectable(frame, segment).is_some_and(|header| opens(header[13]))
        }
    }
}

/// [`View`], with a node's `enforce: false` as well.
struct Lens<'a> {
    host: &'a Host,
    now: u64,
}

impl Lens<'_> {
    fn view(&self) -> View<'_> {
        let block_unmanaged = self.host.unmanaged != Unmanaged::Pass;
        View { tables: &self.host.tables, now: self.now, block_unmanaged }
    }
}

impl Lookup for Lens<'_> {
    fn subscriber(&self, address: Address) -> Option<Subscriber> {
        self.view().subscriber(address)
    }

    fn destination(&self, address: Address) -> Option<u32> {
        self.view().destination(address)
    }

    fn cell(&self, key: CellKey) -> Option<&Cell> {
        self.host.tables.cells.get(&key)
    }

    fn now(&self) -> u64 {
        self.now
    }

    /// As in `replay`, which runs without limits.
    fn admits(&self, _: &Segment, _: &Limit) -> bool {
        true
    }

    fn settings(&self, direction: Direction) -> Settings {
        Settings {
            enforce_unmanaged: self.host.unmanaged == Unmanaged::Block,
            ..self.view().settings(direction)
        }
    }
}
