//! What a policy compiles to: what the program looks up, as people would write it down. `explain` decides over it; the
//! datapath installs it, [`pack`]ed.

mod pack;
mod prefixes;

use crate::policy::Suspects;
use gate25_common::abi::{Cell, CellKey, Subscriber, Target};
use gate25_common::address::Address;
use gate25_common::decide::{Limit, Lookup, Settings};
use gate25_common::parse::{NO_PPPOE, OPEN, Parsed, SMTP, Segment};
use gate25_common::verdict::{Direction, RuleKind};
use jiff::Timestamp;
pub use pack::pack;
pub use prefixes::Prefixes;
use std::collections::HashMap;

/// One generation of tables.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools, reason = "four things that hold, or do not, of all zones together")]
pub struct Tables {
    /// Source prefixes of zones, and of rules inside zones.
    pub subscribers: Prefixes<Subscriber>,
    /// Destination prefixes that rules list, and their classes.
    pub destinations: Prefixes<u32>,
    /// The rules by class of subscribers and destinations.
    pub cells: HashMap<CellKey, Cell>,
    /// Where connections of a zone that redirects go, by slot.
    pub targets: Targets,
    /// Whether any zone enforces.
    pub any_enforced: bool,
    /// Whether any zone enforces its return path.
    pub any_return_enforced: bool,
    /// Whether some zone redirects to a port 25, whether or not anybody answers there.
    pub redirects_to_smtp: bool,
    /// Whether packets toward subscribers must be looked at: some zone redirects, or has a return path that is not off.
    pub needs_return: bool,
    /// What counts as one subscriber in a zone's IPv6, in bits, by slot.
    pub prefixes_v6: HashMap<u32, u8>,
    /// When a subscriber is reported.
    pub suspects: Suspects,
    /// Zone ids by slot.
    pub zones: HashMap<u32, String>,
    /// Rules by number.
    pub rules: HashMap<u64, Rule>,
}

/// Where zones redirect to, by slot.
pub type Targets = HashMap<u32, Target>;

/// A rule as people know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its id in the policy.
    pub id: String,
    /// What it is.
    pub kind: RuleKind,
    /// When it ends, if ever.
    pub until: Option<Timestamp>,
}

/// A packet of a connection to (or from) port 25, for those who decide over tables in memory: of a packet the decision
/// wants no more than the two addresses.
#[must_use]
pub fn connection(subscriber: Address, remote: Address) -> Parsed {
    Parsed::Smtp(Segment {
        subscriber,
        remote,
        subscriber_port: 0,
        remote_port: SMTP,
        pppoe: NO_PPPOE,
        network: 0,
        transport: 0,
        end: OPEN,
        fragment: false,
    })
}

/// Tables read at an instant of the boot clock, with an interface's settings: what the program sees.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The generation in force.
    pub tables: &'a Tables,
    /// Boot clock, nanoseconds.
    pub now: u64,
    /// `unmanaged: block` on the interface.
    pub block_unmanaged: bool,
}

impl Lookup for View<'_> {
    fn subscriber(&self, address: Address) -> Option<Subscriber> {
        self.tables.subscribers.get(address.into())
    }

    fn destination(&self, address: Address) -> Option<u32> {
        self.tables.destinations.get(address.into())
    }

    fn cell(&self, key: CellKey) -> Option<&Cell> {
        self.tables.cells.get(&key)
    }

    fn now(&self) -> u64 {
        self.now
    }

    /// Here nobody counts connections.
    fn admits(&self, _: &Segment, _: &Limit) -> bool {
        true
    }

    fn settings(&self, direction: Direction) -> Settings {
        Settings {
            block_unmanaged: self.block_unmanaged,
            enforce_unmanaged: self.block_unmanaged,
            any_enforced: match direction {
                Direction::Egress => self.tables.any_enforced,
                Direction::Return => self.tables.any_return_enforced,
            },
        }
    }
}
