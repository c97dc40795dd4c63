//! Policy → [`Tables`], at an instant: overlaps, precedence and dates are resolved here, once, so that the packet path
//! looks up and never searches.
//!
//! Every source prefix gets a *class*: the set of rules that list subscribers there. Every destination prefix likewise.
//! Zones to which the same rules apply share a *scope*. A cell then says which rules win for (class or scope,
//! destination class); see [`gate25_common::decide`] for how the two or three cells of a packet combine.

mod classes;

use super::{Mode, Policy, Scope};
use crate::tables::{Rule, Tables};
use classes::{Classes, Member, Sweep};
use gate25_common::abi::{ANY_IPV4, ANY_IPV6, Cell, CellKey, FIRST_LISTED, FOREVER, NO_RULE, Subscriber};
use gate25_common::verdict::RuleKind;
use ipnetwork::IpNetwork;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};

/// Cells that a policy may need; one that needs more pairs too many listed subscribers with too many destinations.
pub const MAX_CELLS: usize = 1 << 22;
/// Prefixes of one kind and family that a policy may have.
pub const MAX_PREFIXES: usize = 1 << 22;

/// The two clocks read together: dates are of the wall, the program checks the boot clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Wall clock.
    pub wall: Timestamp,
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub boot: u64,
}

impl Clock {
    /// A clock that stands at `wall`.
    #[must_use]
    pub const fn standing_at(wall: Timestamp) -> Self {
        Self { wall, boot: 0 }
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

/// A rule of any kind that matters at the instant.
pub(super) struct Active<'a> {
    kind: RuleKind,
    number: u64,
    zones: &'a Scope<usize>,
    subscribers: Option<&'a [IpNetwork]>,
    destinations: Option<&'a [IpNetwork]>,
    /// For an exception: it has ended.
    ended: bool,
    until: Option<Timestamp>,
}

/// The number that stands for a rule in tables and counters: it depends on kind and id alone, so that counters find
/// their rule again after any reload, restart or upgrade.
#[must_use]
pub fn rule_number(kind: RuleKind, id: &str) -> u64 {
    let digest = Sha256::new().chain_update(kind.label()).chain_update([0]).chain_update(id).finalize();
    digest.first_chunk().map_or(1, |octets| u64::from_be_bytes(*octets).max(1))
}

/// The next instant after `at` at which any rule begins or ends.
#[must_use]
pub fn next_change(policy: &Policy, at: Timestamp) -> Option<Timestamp> {
    let exceptions = policy.exceptions.iter().flat_map(|exception| [exception.from, exception.until]);
    let blocks = policy.blocks.iter().flat_map(|block| [block.from, block.until]);
    exceptions.chain(blocks).flatten().filter(|instant| *instant > at).min()
}

/// Compiles. `slot_of` gives a zone's slot by its index; with `enforce` false every zone monitors.
pub fn compile(
    policy: &Policy,
    clock: Clock,
    enforce: bool,
    slot_of: impl Fn(usize) -> u32,
) -> Result<Tables, TooLarge> {
    let rules = active(policy, clock.wall);
    let mut tables = Tables { rules: names(policy), ..Tables::default() };
    let mode = |zone: usize| if enforce { policy.zones[zone].mode } else { Mode::Monitor };
    for (index, zone) in policy.zones.iter().enumerate() {
        tables.zones.insert(slot_of(index), zone.id.clone());
        tables.any_enforced |= mode(index) == Mode::Enforce;
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
    sweep.run(|prefix, zone, members| {
        let Some(zone) = zone else { return };
        let members =
            members.iter().filter(|member| applies(rules[member.rule].zones, zone)).copied().collect();
        let class = sources.intern((scopes.of[zone], members), prefix.is_ipv6());
        subscribers.push((prefix, zone, class));
    });

    let mut targets = Classes::starting_at(FIRST_LISTED);
    let mut sweep = Sweep::default();
    for (index, rule) in rules.iter().enumerate() {
        let listed = rule.destinations.into_iter().flatten().filter(|prefix| prefix.prefix() > 0);
        listed.for_each(|prefix| sweep.member(*prefix, index));
    }
    sweep.run(|prefix, _, members| {
        let class = targets.intern((0, members.to_vec()), prefix.is_ipv6());
        tables.destinations.insert(prefix, class);
    });

    let open = (0..rules.len())
        .filter(|rule| {
            rules[*rule].subscribers.is_none()
                && (0..2).any(|family| is_everywhere(&rules[*rule], family == 1))
        })
        .collect();
    let compiler =
        Compiler { rules: &rules, scopes: &scopes, sources: &sources, targets: &targets, open, clock };
    let marks = compiler.cells(&mut tables.cells)?;
    for (prefix, zone, class) in subscribers {
        let entry = Subscriber {
            zone: slot_of(zone),
            class,
            scope: scopes.of[zone],
            mode: mode(zone) as u8,
            action: policy.zones[zone].action as u8,
            has_any: u8::from(
                tables.cells.contains_key(&CellKey { subscribers: class, destinations: any(prefix) }),
            ),
            has_pairs: u8::from(marks.contains(&class)),
        };
        tables.subscribers.insert(prefix, entry);
    }
    for ipv6 in [false, true] {
        let needed = tables.subscribers.len(ipv6).max(tables.destinations.len(ipv6));
        if needed > MAX_PREFIXES {
            return Err(TooLarge { what: "prefixes", needed, limit: MAX_PREFIXES });
        }
    }
    Ok(tables)
}

fn any(prefix: IpNetwork) -> u32 {
    if prefix.is_ipv6() { ANY_IPV6 } else { ANY_IPV4 }
}

fn applies(zones: &Scope<usize>, zone: usize) -> bool {
    match zones {
        Scope::Every => true,
        Scope::Only(zones) => zones.contains(&zone),
    }
}

fn listed(scope: &Scope<IpNetwork>) -> Option<&[IpNetwork]> {
    match scope {
        Scope::Every => None,
        Scope::Only(prefixes) => Some(prefixes),
    }
}

/// The rules that say something at `at`, in the order of their ids: relays, exceptions that have begun, blocks that hold.
fn active(policy: &Policy, at: Timestamp) -> Vec<Active<'_>> {
    let begun = |from: Option<Timestamp>| from.is_none_or(|from| from <= at);
    let ended = |until: Option<Timestamp>| until.is_some_and(|until| until <= at);
    let mut rules = Vec::new();
    for relay in &policy.relays {
        let rule = Active {
            kind: RuleKind::Relay,
            number: rule_number(RuleKind::Relay, &relay.id),
            zones: &relay.zones,
            subscribers: None,
            destinations: Some(&relay.addresses),
            ended: false,
            until: None,
        };
        rules.push((&relay.id, rule));
    }
    for exception in policy.exceptions.iter().filter(|exception| begun(exception.from)) {
        let rule = Active {
            kind: RuleKind::Exception,
            number: rule_number(RuleKind::Exception, &exception.id),
            zones: &exception.zones,
            subscribers: listed(&exception.subscribers),
            destinations: listed(&exception.destinations),
            ended: ended(exception.until),
            until: exception.until,
        };
        rules.push((&exception.id, rule));
    }
    for block in policy.blocks.iter().filter(|block| begun(block.from) && !ended(block.until)) {
        let rule = Active {
            kind: RuleKind::Block,
            number: rule_number(RuleKind::Block, &block.id),
            zones: &block.zones,
            subscribers: listed(&block.subscribers),
            destinations: listed(&block.destinations),
            ended: false,
            until: None,
        };
        rules.push((&block.id, rule));
    }
    rules.sort_by_key(|(id, _)| *id);
    rules.into_iter().map(|(_, rule)| rule).collect()
}

fn names(policy: &Policy) -> HashMap<u64, Rule> {
    let relays = policy.relays.iter().map(|relay| (RuleKind::Relay, &relay.id, None));
    let exceptions =
        policy.exceptions.iter().map(|exception| (RuleKind::Exception, &exception.id, exception.until));
    let blocks = policy.blocks.iter().map(|block| (RuleKind::Block, &block.id, block.until));
    relays
        .chain(exceptions)
        .chain(blocks)
        .map(|(kind, id, until)| (rule_number(kind, id), Rule { id: id.clone(), kind, until }))
        .collect()
}

/// Zones to which the same rules apply.
struct Scopes {
    /// A zone's scope.
    of: Vec<u32>,
    /// One zone of each scope stands for all of it.
    representative: Vec<usize>,
    list: Vec<u32>,
}

impl Scopes {
    fn new(zones: usize, rules: &[Active<'_>]) -> Self {
        let mut restricted = vec![Vec::new(); zones];
        for (index, rule) in rules.iter().enumerate() {
            if let Scope::Only(only) = rule.zones {
                only.iter().for_each(|zone| restricted[*zone].push(index));
            }
        }
        let mut known = HashMap::new();
        let mut scopes = Self { of: Vec::new(), representative: Vec::new(), list: Vec::new() };
        for (zone, mut rules) in restricted.into_iter().enumerate() {
            rules.dedup();
            let next = scopes.list.len() as u32;
            let scope = *known.entry(rules).or_insert(next);
            if scope == next {
                scopes.list.push(scope);
                scopes.representative.push(zone);
            }
            scopes.of.push(scope);
        }
        scopes
    }
}

struct Compiler<'a> {
    rules: &'a [Active<'a>],
    scopes: &'a Scopes,
    sources: &'a Classes,
    targets: &'a Classes,
    /// Rules for every destination that list no subscribers.
    open: Vec<usize>,
    clock: Clock,
}

fn is_everywhere(rule: &Active<'_>, ipv6: bool) -> bool {
    rule.destinations
        .is_none_or(|prefixes| prefixes.iter().any(|prefix| prefix.prefix() == 0 && prefix.is_ipv6() == ipv6))
}

impl Compiler<'_> {
    /// Fills the cells, and says which classes of subscribers have cells of their own for listed destinations.
    fn cells(&self, cells: &mut HashMap<CellKey, Cell>) -> Result<BTreeSet<u32>, TooLarge> {
        let mut classes_of = HashMap::<usize, Vec<u32>>::new();
        for (class, members) in self.sources.iter() {
            members.iter().for_each(|member| classes_of.entry(member.rule).or_default().push(class));
        }
        let mut put = |subscribers, destinations, cell| {
            cells.insert(CellKey { subscribers, destinations }, cell);
            let needed = cells.len();
            if needed > MAX_CELLS {
                return Err(TooLarge {
                    what: "pairs of subscribers and destinations",
                    needed,
                    limit: MAX_CELLS,
                });
            }
            Ok(())
        };

        for (class, _) in self.sources.iter() {
            for (ipv6, destinations) in [(false, ANY_IPV4), (true, ANY_IPV6)] {
                if self.sources.has(class, ipv6) || (class as usize) < self.scopes.list.len() {
                    let matching = self.everywhere(class, ipv6);
                    if !matching.is_empty() {
                        put(class, destinations, self.resolve(matching))?;
                    }
                }
            }
        }
        let mut marks = BTreeSet::new();
        for (target, members) in self.targets.iter() {
            for scope in &self.scopes.list {
                let matching: Vec<_> = self.near(*scope, members).collect();
                if !matching.is_empty() {
                    put(*scope, target, self.resolve(matching))?;
                }
            }
            let pairing = members.iter().filter_map(|member| classes_of.get(&member.rule)).flatten();
            for class in pairing.copied().collect::<BTreeSet<_>>() {
                for ipv6 in [false, true] {
                    if self.targets.has(target, ipv6) && self.sources.has(class, ipv6) {
                        let matching =
                            self.near(class, members).chain(self.everywhere(class, ipv6)).collect();
                        put(class, target, self.resolve(matching))?;
                        marks.insert(class);
                    }
                }
            }
        }
        Ok(marks)
    }

    /// The rules among a destination class's that hold for a class of subscribers, with how specific each is.
    fn near<'b>(&'b self, class: u32, members: &'b [Member]) -> impl Iterator<Item = Match> + 'b {
        members.iter().filter_map(move |target| {
            let subscriber = self.bears(class, target.rule)?;
            Some(Match { rule: target.rule, destination: target.length, subscriber })
        })
    }

    /// The rules for every destination (or for a prefix of length 0) of a family that hold for a class.
    fn everywhere(&self, class: u32, ipv6: bool) -> Vec<Match> {
        let (_, members) = self.sources.get(class).unwrap_or_default();
        let own = members.iter().map(|member| member.rule);
        own.chain(self.open.iter().copied())
            .filter(|rule| is_everywhere(&self.rules[*rule], ipv6))
            .filter_map(|rule| Some(Match { rule, destination: 0, subscriber: self.bears(class, rule)? }))
            .collect()
    }

    /// How specific the rule is on the class's subscribers: the prefix length, 0 where it lists none; `None` where it
    /// does not hold for them.
    fn bears(&self, class: u32, rule: usize) -> Option<u8> {
        let (scope, members) = self.sources.get(class)?;
        if self.rules[rule].subscribers.is_some() {
            return members.iter().find(|member| member.rule == rule).map(|member| member.length);
        }
        applies(self.rules[rule].zones, self.scopes.representative[scope as usize]).then_some(0)
    }

    /// Who wins: the most specific destination, then the most specific subscriber, then the smallest id.
    fn resolve(&self, mut matching: Vec<Match>) -> Cell {
        matching.sort_by_key(|found| (u8::MAX - found.destination, u8::MAX - found.subscriber, found.rule));
        let first = |wanted: &dyn Fn(&Active<'_>) -> bool| {
            matching
                .iter()
                .map(|found| &self.rules[found.rule])
                .find(|rule| wanted(rule))
                .map_or(NO_RULE, |rule| rule.number)
        };
        let exception = |rule: &Active<'_>| rule.kind == RuleKind::Exception;
        let ends = matching
            .iter()
            .map(|found| &self.rules[found.rule])
            .filter(|rule| exception(rule) && !rule.ended)
            .map(|rule| rule.until.map_or(FOREVER, |until| self.clock.boot_at(until)));
        Cell {
            block: first(&|rule| rule.kind == RuleKind::Block),
            relay: first(&|rule| rule.kind == RuleKind::Relay),
            exception: first(&|rule| exception(rule) && !rule.ended),
            expired: first(&|rule| exception(rule) && rule.until.is_some()),
            until: ends.max().unwrap_or(0),
        }
    }
}

/// A rule that holds for a pair of classes, and how specific it is there, in prefix lengths.
struct Match {
    rule: usize,
    destination: u8,
    subscriber: u8,
}
