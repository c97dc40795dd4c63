//! The rules of contract section 1, over any tables.

use crate::abi::{
    ANY_IPV4, ANY_IPV6, Cell, CellKey, FOREVER, HAS_ANY, HAS_PAIRS, NO_RULE, NO_ZONE, Subscriber,
};
use crate::address::Address;
use crate::parse::{Parsed, Segment};
use crate::verdict::{Action, Decision, Direction, Mode, Reason, ReturnPath, Verdict};

/// The tables that a decision reads: kernel maps, or the same in memory.
pub trait Lookup {
    /// What the most specific source prefix says; `None` where no zone has the address.
    fn subscriber(&self, address: Address) -> Option<Subscriber>;
    /// The class of the most specific listed destination prefix.
    fn destination(&self, address: Address) -> Option<u32>;
    /// The rules for a class of subscribers and one of destinations.
    fn cell(&self, key: CellKey) -> Option<&Cell>;
    /// The boot clock, in nanoseconds.
    fn now(&self) -> u64;
    /// Whether one more connection is within a limit; asked once for each segment that a limited rule allows. What opens
    /// no connection is, and so is whatever the tables keep no count of.
    fn admits(&self, segment: &Segment, limit: &Limit) -> bool;
    /// What holds for this interface and for all zones together.
    fn settings(&self, direction: Direction) -> Settings;
}

/// A limit on the new connections of each subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Of what: see [`crate::abi::LimitKey::of`].
    pub of: u64,
    /// Connections a minute.
    pub per_minute: u32,
    /// The zone's slot.
    pub zone: u32,
    /// The zone leads what it blocks to its notice, so that connections over the limit go on there.
    pub redirects: bool,
}

/// What no table of prefixes says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    /// `unmanaged: block`: sources of no zone are blocked.
    pub block_unmanaged: bool,
    /// That block is carried out (not so on a node with `enforce: false`).
    pub enforce_unmanaged: bool,
    /// Some zone enforces, in the direction asked for.
    pub any_enforced: bool,
}

/// Decides on a packet. The action is what the policy asks for; whether that can be done is [`crate::answer`]'s word.
#[inline(always)]
pub fn decide<L: Lookup>(parsed: &Parsed, direction: Direction, tables: &L) -> Verdict {
    match parsed {
        Parsed::NotSmtp(_) | Parsed::Icmp(_) => pass(Reason::NotSmtp, NO_ZONE, NO_RULE),
        Parsed::Malformed { subscriber, known: true, .. } => malformed(*subscriber, direction, tables),
        Parsed::Malformed { known: false, .. } => {
            block(Reason::Malformed, Action::Drop, tables.settings(direction).any_enforced, NO_ZONE, NO_RULE)
        }
        Parsed::Smtp(segment) => smtp(segment, direction, tables),
    }
}

/// [`decide`] on a segment.
#[inline(always)]
pub fn smtp<L: Lookup>(segment: &Segment, direction: Direction, tables: &L) -> Verdict {
    let Some(subscriber) = tables.subscriber(segment.subscriber) else {
        let Settings { block_unmanaged, enforce_unmanaged, .. } = tables.settings(direction);
        // The word of an interface is about its sources.
        return if block_unmanaged && matches!(direction, Direction::Egress) {
            block(Reason::Unmanaged, Action::Drop, enforce_unmanaged, NO_ZONE, NO_RULE)
        } else {
            pass(Reason::Unmanaged, NO_ZONE, NO_RULE)
        };
    };
    if is_off(&subscriber, direction) {
        return pass(Reason::Unmanaged, NO_ZONE, NO_RULE);
    }
    let cells = cells(&subscriber, segment.remote, tables);
    let (reason, rule, per_minute) = judge(cells, subscriber.relay_limit, tables);
    let of = if matches!(reason, Reason::Relay) { u64::from(subscriber.zone) } else { rule };
    let redirects = subscriber.action() == Action::Notice && subscriber.mode() == Mode::Enforce;
    let limited = per_minute != 0 && matches!(direction, Direction::Egress);
    let reason =
        if limited && !tables.admits(segment, &Limit { of, per_minute, zone: subscriber.zone, redirects }) {
            Reason::Rate
        } else {
            reason
        };
    match reason {
        Reason::Relay | Reason::Exception => pass(reason, subscriber.zone, rule),
        _ => {
            let action = match (direction, subscriber.action()) {
                (Direction::Return, _) => Action::Drop,
                // Who has had his share of relays is not led to one.
                (_, Action::Relay) if matches!(reason, Reason::Rate) => Action::Reset,
                (_, action) => action,
            };
            block(reason, action, enforces(&subscriber, direction), subscriber.zone, rule)
        }
    }
}

/// On the way back, a zone that does not look there is no zone.
#[inline(always)]
fn is_off(subscriber: &Subscriber, direction: Direction) -> bool {
    matches!(direction, Direction::Return) && subscriber.return_path() == ReturnPath::Off
}

#[inline(always)]
fn enforces(subscriber: &Subscriber, direction: Direction) -> bool {
    match direction {
        Direction::Egress => subscriber.mode() == Mode::Enforce,
        Direction::Return => subscriber.return_path() == ReturnPath::Enforce,
    }
}

/// The rules that list the destination, and those that hold for every destination. A pair of listed subscribers and
/// listed destinations has a cell with all of both, so that overlaps are resolved by the compiler alone.
#[inline(always)]
fn cells<'a, L: Lookup>(subscriber: &Subscriber, remote: Address, tables: &'a L) -> [Option<&'a Cell>; 2] {
    let mut near = None;
    if let Some(destinations) = tables.destination(remote) {
        if subscriber.cells & HAS_PAIRS != 0 {
            let own = tables.cell(CellKey { subscribers: subscriber.class, destinations });
            if own.is_some() {
                return [own, None];
            }
        }
        near = tables.cell(CellKey { subscribers: subscriber.scope, destinations });
    }
    let far = if subscriber.cells & HAS_ANY != 0 {
        let destinations = if remote.is_ipv6() { ANY_IPV6 } else { ANY_IPV4 };
        tables.cell(CellKey { subscribers: subscriber.class, destinations })
    } else {
        None
    };
    [near, far]
}

static NOTHING: Cell = Cell {
    block: NO_RULE,
    relay: NO_RULE,
    exception: NO_RULE,
    expired: NO_RULE,
    until: 0,
    exception_limit: 0,
    padding: 0,
};

/// Block, relay, exception, expired, default, in that order; the more specific destination names the rule. With it comes
/// its limit.
#[inline(always)]
fn judge<L: Lookup>(cells: [Option<&Cell>; 2], relay_limit: u32, tables: &L) -> (Reason, u64, u32) {
    // Most of what is blocked.
    if let [None, None] = cells {
        return (Reason::Default, NO_RULE, 0);
    }
    let [near, far] = cells.map(|cell| cell.unwrap_or(&NOTHING));
    let first = |near, far| if near == NO_RULE { far } else { near };
    let block = first(near.block, far.block);
    if block != NO_RULE {
        return (Reason::BlockRule, block, 0);
    }
    let relay = first(near.relay, far.relay);
    if relay != NO_RULE {
        return (Reason::Relay, relay, relay_limit);
    }
    for cell in [near, far] {
        if cell.exception != NO_RULE && (cell.until == FOREVER || tables.now() < cell.until) {
            return (Reason::Exception, cell.exception, cell.exception_limit);
        }
    }
    let expired = first(near.expired, far.expired);
    if expired != NO_RULE {
        return (Reason::Expired, expired, 0);
    }
    (Reason::Default, NO_RULE, 0)
}

/// Blocked in silence; the subscriber's zone says whether that is carried out.
#[inline(always)]
fn malformed<L: Lookup>(subscriber: Address, direction: Direction, tables: &L) -> Verdict {
    let (enforced, zone) = match tables.subscriber(subscriber) {
        Some(subscriber) if !is_off(&subscriber, direction) => {
            (enforces(&subscriber, direction), subscriber.zone)
        }
        // As one of no zone, which is blocked nowhere on the way back.
        _ if matches!(direction, Direction::Return) => (false, NO_ZONE),
        _ => (tables.settings(direction).enforce_unmanaged, NO_ZONE),
    };
    block(Reason::Malformed, Action::Drop, enforced, zone, NO_RULE)
}

#[inline(always)]
const fn pass(reason: Reason, zone: u32, rule: u64) -> Verdict {
    Verdict { decision: Decision::Pass, reason, action: Action::None, enforced: false, zone, rule }
}

#[inline(always)]
const fn block(reason: Reason, action: Action, enforced: bool, zone: u32, rule: u64) -> Verdict {
    Verdict { decision: Decision::Block, reason, action, enforced, zone, rule }
}
