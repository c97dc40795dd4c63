//! What a policy compiles to: the very tables that the kernel reads, in memory. `explain` decides over them, the
//! datapath installs them.

use crate::policy::Suspects;
use gate25_common::abi::{Cell, CellKey, Subscriber, Target};
use gate25_common::address::Address;
use gate25_common::decide::{Limit, Lookup, Settings};
use gate25_common::parse::{NO_PPPOE, OPEN, Parsed, SMTP, Segment};
use gate25_common::verdict::{Direction, RuleKind};
use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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

/// Values by prefix; the most specific one answers.
#[derive(Debug, Clone)]
pub struct Prefixes<T> {
    entries: HashMap<IpNetwork, T>,
    /// Lengths in use, by family, so that a look-up probes no others.
    lengths: [BTreeSet<u8>; 2],
}

impl<T> Default for Prefixes<T> {
    fn default() -> Self {
        Self { entries: HashMap::new(), lengths: Default::default() }
    }
}

impl<T: Copy> Prefixes<T> {
    /// Adds or replaces a prefix, which has no host bits set.
    pub fn insert(&mut self, prefix: IpNetwork, value: T) {
        self.lengths[usize::from(prefix.is_ipv6())].insert(prefix.prefix());
        self.entries.insert(prefix, value);
    }

    /// The value of the most specific prefix that has the address.
    #[must_use]
    pub fn get(&self, address: IpAddr) -> Option<T> {
        self.lengths[usize::from(address.is_ipv6())]
            .iter()
            .rev()
            .find_map(|length| self.entries.get(&covering(address, *length)).copied())
    }

    /// All of one family.
    pub fn iter(&self, ipv6: bool) -> impl Iterator<Item = (IpNetwork, T)> {
        self.entries
            .iter()
            .filter(move |(prefix, _)| prefix.is_ipv6() == ipv6)
            .map(|(prefix, value)| (*prefix, *value))
    }

    /// How many of one family.
    #[must_use]
    pub fn len(&self, ipv6: bool) -> usize {
        self.iter(ipv6).count()
    }
}

/// The prefix of that length, within the family's bounds, that has the address.
fn covering(address: IpAddr, length: u8) -> IpNetwork {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0);
            let network = Ipv4Addr::from_bits(address.to_bits() & mask);
            IpNetwork::V4(Ipv4Network::new_checked(network, length.min(32)).unwrap_or_else(|| network.into()))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0);
            let network = Ipv6Addr::from_bits(address.to_bits() & mask);
            IpNetwork::V6(
                Ipv6Network::new_checked(network, length.min(128)).unwrap_or_else(|| network.into()),
            )
        }
    }
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
