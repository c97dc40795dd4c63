//! Policy → [`Tables`], at an instant: overlaps, precedence and dates are resolved here, once, so that the packet path
//! looks up and never searches.
//!
//! Every source prefix gets a *class*: the set of rules that list subscribers there. Every destination prefix likewise.
//! Zones to which the same rules apply share a *scope*. A cell then says which rules win for (class or scope,
//! destination class); see [`gate25_common::decide`] for how the two or three cells of a packet combine.

mod cells;
pub(super) mod classes;
mod rules;
pub(super) mod sweep;

use super::{Action, Endpoints, Mode, Policy, ReturnPath, Zone};
use crate::tables::Tables;
use cells::{Compiler, Scopes, is_everywhere};
use classes::Classes;
use gate25_common::abi::{
    ANY_IPV4, ANY_IPV6, CellKey, FIRST_LISTED, FOREVER, HAS_ANY, HAS_PAIRS, Subscriber, Target,
};
use gate25_common::address::Address;
use gate25_common::parse::SMTP;
use ipnetwork::IpNetwork;
use jiff::Timestamp;
use rules::{active, names};
pub use rules::{held_back, next_change, rule_number};
use rustc_hash::FxHashMap;
use std::net::IpAddr;
use sweep::{Held, Sweep};

/// Cells that a policy may need; one that needs more pairs too many listed subscribers with too many destinations.
pub const MAX_CELLS: usize = 1 << 22;
/// Rules that list a prefix or a wider one, summed over all prefixes.
pub const MAX_MEMBERS: usize = 1 << 23;
/// Rules looked at while pairs are resolved: what bounds the time.
pub const MAX_STEPS: usize = 1 << 27;
/// Prefixes of one kind and family that a policy may have.
pub const MAX_PREFIXES: usize = 1 << 22;

/// The clocks read together: dates are of the wall, the program checks the boot clock.
///
/// Where the wall clock was set back, a date is taken so that nothing opens again: an exception begins by the wall clock
/// and ends by the newest time seen, a block begins by the newest time seen and ends by the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Wall clock.
    pub wall: Timestamp,
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub boot: u64,
    /// The newest that the wall clock ever was: `wall`, unless that was set back.
    pub newest: Timestamp,
}

impl Clock {
    /// A wall clock that was never set back.
    #[must_use]
    pub const fn new(wall: Timestamp, boot: u64) -> Self {
        Self { wall, boot, newest: wall }
    }

    /// A clock that stands at `wall`.
    #[must_use]
    pub const fn standing_at(wall: Timestamp) -> Self {
        Self::new(wall, 0)
    }

    /// The same, where `seen` was seen before.
    #[must_use]
    pub fn having_seen(self, seen: Timestamp) -> Self {
        Self { newest: self.newest.max(seen), ..self }
    }

    /// The boot clock's reading at a wall instant; one that never comes in 500 years is [`FOREVER`].
    #[must_use]
    pub fn boot_at(&self, instant: Timestamp) -> u64 {
        let ahead = instant.as_nanosecond() - self.wall.as_nanosecond();
        u64::try_from(i128::from(self.boot) + ahead).map_or(if ahead < 0 { 0 } else { FOREVER }, |boot| boot)
    }
}

/// The policy cannot be put into tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooLarge {
    /// What there is too much of.
    pub what: &'static str,
    /// How many the policy needs, at least.
    pub needed: usize,
    /// How many there may be.
    pub limit: usize,
}

impl std::fmt::Display for TooLarge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, needed, limit } = self;
        write!(
            f,
            "policy: {needed} {what}: more than the {limit} that fit (merge prefixes, or drop rules that overlap)"
        )
    }
}

impl std::error::Error for TooLarge {}

/// Compiles. `slot_of` gives a zone's slot by its index; with `enforce` false every zone monitors.
pub fn compile(
    policy: &Policy,
    clock: Clock,
    enforce: bool,
    slot_of: impl Fn(usize) -> u32,
) -> Result<Tables, TooLarge> {
    let rules = active(policy, clock);
    let mut tables = Tables { rules: names(policy), suspects: policy.suspects, ..Tables::default() };
    let mode = |zone: usize| if enforce { policy.zones[zone].mode } else { Mode::Monitor };
    let return_path = |zone: usize| match policy.zones[zone].return_path {
        ReturnPath::Enforce if !enforce => ReturnPath::Monitor,
        path => path,
    };
    for (index, zone) in policy.zones.iter().enumerate() {
        tables.zones.insert(slot_of(index), zone.id.clone());
        tables.prefixes_v6.insert(slot_of(index), zone.subscriber_prefix_v6);
        tables.any_enforced |= mode(index) == Mode::Enforce;
        tables.any_return_enforced |= return_path(index) == ReturnPath::Enforce;
        tables.needs_return |= return_path(index) != ReturnPath::Off;
        let to = zone.redirects_to();
        if to != Endpoints::default() {
            tables.targets.insert(slot_of(index), target(to));
            tables.needs_return |= mode(index) == Mode::Enforce;
            tables.redirects_to_smtp |=
                [to.ipv4.map(|to| to.port()), to.ipv6.map(|to| to.port())].contains(&Some(SMTP));
        }
    }

    let scopes = Scopes::new(policy.zones.len(), &rules);
    let mut sources = Classes::starting_with(scopes.list.iter().map(|scope| (*scope, Vec::new())));
    let mut subscribers = Vec::new();
    let mut sweep = Sweep::default();
    for (index, zone) in policy.zones.iter().enumerate() {
        zone.subscribers.iter().for_each(|prefix| sweep.zone(*prefix, index));
    }
    for (index, rule) in rules.iter().enumerate() {
        rule.subscribers.into_iter().flatten().for_each(|prefix| sweep.member(*prefix, index));
    }
    let mut known = FxHashMap::default();
    sweep.run(|Held { prefix, zone, members, set, .. }| {
        let Some(zone) = zone else { return };
        let class = *known.entry((zone, set, prefix.is_ipv6())).or_insert_with(|| {
            let members = members.iter().filter(|member| rules[member.rule].zones.has(&zone));
            sources.intern((scopes.of[zone], members.copied().collect()), prefix.is_ipv6())
        });
        subscribers.push((prefix, zone, class));
    })?;

    let mut targets = Classes::starting_at(FIRST_LISTED);
    let mut sweep = Sweep::default();
    for (index, rule) in rules.iter().enumerate() {
        let listed = rule.destinations.into_iter().flatten().filter(|prefix| prefix.prefix() > 0);
        listed.for_each(|prefix| sweep.member(*prefix, index));
    }
    let mut known = FxHashMap::default();
    sweep.run(|Held { prefix, members, set, .. }| {
        let class = *known
            .entry((set, prefix.is_ipv6()))
            .or_insert_with(|| targets.intern((0, members.to_vec()), prefix.is_ipv6()));
        tables.destinations.push(prefix, class);
    })?;

    let open = (0..rules.len())
        .filter(|rule| {
            rules[*rule].subscribers.is_none()
                && (0..2).any(|family| is_everywhere(&rules[*rule], family == 1))
        })
        .collect();
    let compiler =
        Compiler { rules: &rules, scopes: &scopes, sources: &sources, targets: &targets, open, clock };
    let marks = compiler.cells(&mut tables.cells)?;
    let mut known = FxHashMap::default();
    for (prefix, zone, class) in subscribers {
        let entry = *known.entry((zone, class, prefix.is_ipv6())).or_insert_with(|| {
            let any = CellKey { subscribers: class, destinations: any(prefix) };
            let has_any = u8::from(tables.cells.contains_key(&any));
            Subscriber {
                zone: slot_of(zone),
                class,
                scope: scopes.of[zone],
                mode: mode(zone) as u8,
                action: action(&policy.zones[zone], prefix.is_ipv6()) as u8,
                return_path: return_path(zone) as u8,
                cells: (has_any * HAS_ANY) | (u8::from(marks.contains(&class)) * HAS_PAIRS),
                relay_limit: policy.zones[zone].relay_limit.unwrap_or(0),
            }
        });
        tables.subscribers.push(prefix, entry);
    }
    for ipv6 in [false, true] {
        let needed = tables.subscribers.len(ipv6).max(tables.destinations.len(ipv6));
        if needed > MAX_PREFIXES {
            return Err(TooLarge { what: "prefixes", needed, limit: MAX_PREFIXES });
        }
    }
    Ok(tables)
}

/// What blocked connections of a family get: a reset where the zone would redirect them, but has nowhere to.
fn action(zone: &Zone, ipv6: bool) -> Action {
    let redirects = matches!(zone.action, Action::Notice | Action::Relay);
    if redirects && zone.redirects_to().of(ipv6).is_none() { Action::Reset } else { zone.action }
}

fn target(Endpoints { ipv4, ipv6 }: Endpoints) -> Target {
    Target {
        ipv6: ipv6.map_or([0; 2], |to| Address::from(IpAddr::V6(*to.ip())).words()),
        ipv4: ipv4.map_or([0; 4], |to| to.ip().octets()),
        ipv4_port: ipv4.map_or(0, |to| to.port()),
        ipv6_port: ipv6.map_or(0, |to| to.port()),
    }
}

fn any(prefix: IpNetwork) -> u32 {
    if prefix.is_ipv6() { ANY_IPV6 } else { ANY_IPV4 }
}
