//! Pairs of classes whose verdicts are not the same under two policies.

use super::cover::Cover;
use super::line::{Line, Outcome};
use super::rules::{Pair, Text};
use super::space::{Class, Item, Set, Span, classes};
use super::zones::{Enforcement, Moved};
use crate::policy::compile::TooLarge;
use crate::tables::{Tables, connection};
use gate25_common::abi::{Cell, CellKey, Subscriber};
use gate25_common::address::Address;
use gate25_common::decide::{Limit, Lookup, Settings, decide};
use gate25_common::parse::{Parsed, Segment};
use gate25_common::verdict::{Decision, Direction, Mode, Reason, Verdict};
use ipnetwork::IpNetwork;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Pairs of classes that are decided; some seconds' worth.
const MAX_PAIRS: usize = 1 << 25;

/// A subscriber's place in a policy: slot of the zone and class, which say all of its entry.
type Near = (u32, u32);

/// Subscribers and destinations of a family, in classes.
pub(super) struct Sides<'a> {
    tables: [&'a Tables; 2],
    rules: &'a [Pair<'a>],
    ipv6: bool,
    /// What the tables say of each place.
    entries: [HashMap<Near, Subscriber>; 2],
    subscribers: Vec<(Class<Near>, Set)>,
    destinations: Vec<(Class<u32>, Set)>,
}

impl<'a> Sides<'a> {
    pub(super) fn new(tables: [&'a Tables; 2], rules: &'a [Pair<'a>], ipv6: bool) -> Self {
        let entries = tables.map(|tables| {
            tables.subscribers.iter(ipv6).map(|(_, entry)| ((entry.zone, entry.class), entry)).collect()
        });
        let [old, new] = tables.map(|tables| {
            tables.subscribers.iter(ipv6).map(|(prefix, entry)| (prefix, (entry.zone, entry.class)))
        });
        let mut near: Vec<_> = old.map(|(prefix, value)| (prefix, Item::Old(value))).collect();
        near.extend(new.map(|(prefix, value)| (prefix, Item::New(value))));
        let [old, new] = tables.map(|tables| tables.destinations.iter(ipv6));
        let mut far: Vec<_> = old.map(|(prefix, value)| (prefix, Item::Old(value))).collect();
        far.extend(new.map(|(prefix, value)| (prefix, Item::New(value))));
        for (number, pair) in rules.iter().enumerate() {
            for text in pair.texts() {
                let of = |list: &Option<BTreeSet<IpNetwork>>| -> Vec<IpNetwork> {
                    list.iter().flatten().filter(|prefix| prefix.is_ipv6() == ipv6).copied().collect()
                };
                near.extend(of(&text.subscribers).into_iter().map(|prefix| (prefix, Item::Rule(number))));
                far.extend(of(&text.destinations).into_iter().map(|prefix| (prefix, Item::Rule(number))));
            }
        }
        let (subscribers, destinations) = (classes(near, ipv6), classes(far, ipv6));
        Self { tables, rules, ipv6, entries, subscribers, destinations }
    }

    /// Subscribers whose zone is another one.
    pub(super) fn moved(&self) -> Vec<Moved> {
        let turn = |class: &Class<Near>| {
            let zones = [class.old, class.new].map(|near| near.map(|(zone, _)| zone));
            (zones[0] != zones[1]).then_some(zones)
        };
        let moved = self.grouped(turn).into_iter().map(|([old, new], set)| Moved {
            old_zone: self.zone(0, old),
            zone: self.zone(1, new),
            subscribers: Cover::of(&set, self.ipv6),
            size: set.size(self.ipv6),
        });
        moved.collect()
    }

    /// Subscribers of whom blocks are carried out under one policy alone.
    pub(super) fn enforcement(&self) -> Vec<Enforcement> {
        let enforces = |side: usize, near: Option<Near>| {
            self.entry(side, near).is_some_and(|entry| entry.mode() == Mode::Enforce)
        };
        let turns = |class: &Class<Near>| {
            let (before, now) = (enforces(0, class.old), enforces(1, class.new));
            let zone = class.new.map_or((0, class.old.map(|(zone, _)| zone)), |(zone, _)| (1, Some(zone)));
            (before != now).then_some((before, zone))
        };
        let turned = self.grouped(turns).into_iter().map(|((before, (side, zone)), set)| Enforcement {
            change: if before { "ends" } else { "begins" },
            zone: self.zone(side, zone),
            subscribers: Cover::of(&set, self.ipv6),
            size: set.size(self.ipv6),
        });
        turned.collect()
    }

    /// The subscribers of all classes for which `key` gives the same.
    fn grouped<K: Ord>(&self, key: impl Fn(&Class<Near>) -> Option<K>) -> BTreeMap<K, Set> {
        let mut groups: BTreeMap<K, Vec<Span>> = BTreeMap::new();
        for (class, set) in &self.subscribers {
            if let Some(key) = key(class) {
                groups.entry(key).or_default().extend(set.spans());
            }
        }
        groups.into_iter().map(|(key, spans)| (key, Set::union(spans))).collect()
    }

    /// All pairs whose verdict or reason is other: those of one kind with the same destinations in one line.
    pub(super) fn lines(&self) -> Result<Vec<Line>, TooLarge> {
        // Outcomes under both and destination classes → subscribers.
        let mut groups: BTreeMap<([Found; 2], Vec<usize>), Vec<Span>> = BTreeMap::new();
        let (bearing, mut open) = (self.bearing(), HashMap::new());
        let mut steps = 0;
        for (class, set) in &self.subscribers {
            let candidates = self.candidates(class, &bearing, &mut open);
            steps += candidates.len();
            if steps > MAX_PAIRS {
                let what = "pairs of subscribers and destinations to compare";
                return Err(TooLarge { what, needed: steps, limit: MAX_PAIRS });
            }
            let near = [self.entry(0, class.old), self.entry(1, class.new)];
            let mut row: BTreeMap<[Found; 2], Vec<usize>> = BTreeMap::new();
            for place in candidates {
                let far = &self.destinations[place].0;
                let found = [self.judge(0, near[0], far.old), self.judge(1, near[1], far.new)];
                if found[0].differs(&found[1]) {
                    row.entry(found).or_default().push(place);
                }
            }
            for (found, places) in row {
                groups.entry((found, places)).or_default().extend(set.spans());
            }
        }
        let lines = groups.into_iter().map(|((found, places), spans)| {
            let far =
                places.into_iter().flat_map(|place| self.destinations[place].1.spans()).copied().collect();
            self.line(found, Set::union(spans), Set::union(far))
        });
        Ok(lines.collect())
    }

    fn line(&self, found: [Found; 2], subscribers: Set, destinations: Set) -> Line {
        let outcome = |side: usize| {
            let Found { decision, reason, rule, zone, .. } = found[side];
            let entry = self.tables[side].rules.get(&rule);
            Outcome {
                zone: self.zone(side, (zone != 0).then_some(zone)),
                verdict: decision.label(),
                reason: reason.label(),
                rule: entry.map(|rule| rule.id.clone()),
                until: entry.and_then(|rule| rule.until),
                action: found[side].action,
                enforced: found[side].enforced,
            }
        };
        let cover = |set: &Set| Cover::of(set, self.ipv6);
        Line::new(
            [outcome(0), outcome(1)],
            (cover(&subscribers), subscribers),
            (cover(&destinations), destinations.count()),
            self.ipv6,
        )
    }

    /// Classes of destinations that each rule is about, before or after; `None` is all of them.
    fn bearing(&self) -> Vec<Option<Vec<usize>>> {
        let listed = |pair: &Pair<'_>| pair.texts().all(|text| text.destinations.is_some());
        let mut bearing: Vec<_> = self.rules.iter().map(|pair| listed(pair).then(Vec::new)).collect();
        for (place, (class, _)) in self.destinations.iter().enumerate() {
            for rule in &class.rules {
                bearing[*rule].as_mut().into_iter().for_each(|places| places.push(place));
            }
        }
        bearing
    }

    /// The rules that list no subscribers, and are about a zone before or after.
    fn open(&self, zone: u32) -> Vec<usize> {
        let id = self.zone(0, Some(zone));
        let has = |text: &Text<'_>| {
            let zones = text.zones.as_ref();
            text.subscribers.is_none()
                && zones.is_none_or(|zones| id.as_ref().is_some_and(|id| zones.contains(id.as_str())))
        };
        let rules = self.rules.iter().enumerate().filter(|(_, pair)| pair.texts().any(has));
        rules.map(|(number, _)| number).collect()
    }

    /// Classes of destinations to which the verdict of a class may be other, in order. `open` remembers zones.
    fn candidates(
        &self,
        class: &Class<Near>,
        bearing: &[Option<Vec<usize>>],
        open: &mut HashMap<u32, Vec<usize>>,
    ) -> Vec<usize> {
        let everywhere = || (0..self.destinations.len()).collect();
        let zone = match [class.old, class.new].map(|near| near.map(|(zone, _)| zone)) {
            [None, None] => return Vec::new(),
            [Some(old), Some(new)] if old == new => old,
            _ => return everywhere(),
        };
        let open = open.entry(zone).or_insert_with(|| self.open(zone));
        let mut places = BTreeSet::new();
        for rule in open.iter().chain(&class.rules) {
            match &bearing[*rule] {
                Some(some) => places.extend(some),
                None => return everywhere(),
            }
        }
        places.into_iter().collect()
    }

    fn entry(&self, side: usize, near: Option<Near>) -> Option<Subscriber> {
        near.and_then(|near| self.entries[side].get(&near).copied())
    }

    fn zone(&self, side: usize, slot: Option<u32>) -> Option<String> {
        slot.and_then(|slot| self.tables[side].zones.get(&slot).cloned())
    }

    fn judge(&self, side: usize, subscriber: Option<Subscriber>, destination: Option<u32>) -> Found {
        let place = Pairing { tables: self.tables[side], subscriber, destination };
        decide(&nobody(self.ipv6), Direction::Egress, &place).into()
    }
}

/// A connection whose addresses nobody looks at.
fn nobody(ipv6: bool) -> Parsed {
    let address = Address::from_words([0; 2], ipv6);
    connection(address, address)
}

/// What of a verdict a line tells; in the order in which lines are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    decision: Decision,
    reason: Reason,
    rule: u64,
    zone: u32,
    action: &'static str,
    enforced: bool,
}

impl Found {
    /// Other in itself, not only for another zone or its words.
    fn differs(&self, other: &Self) -> bool {
        (self.decision, self.reason, self.rule) != (other.decision, other.reason, other.rule)
    }
}

impl From<Verdict> for Found {
    fn from(Verdict { decision, reason, action, enforced, zone, rule }: Verdict) -> Self {
        Self { decision, reason, rule, zone, action: action.label(), enforced }
    }
}

/// Tables as a pair of classes sees them.
struct Pairing<'a> {
    tables: &'a Tables,
    subscriber: Option<Subscriber>,
    destination: Option<u32>,
}

impl Lookup for Pairing<'_> {
    fn subscriber(&self, _: Address) -> Option<Subscriber> {
        self.subscriber
    }

    fn destination(&self, _: Address) -> Option<u32> {
        self.destination
    }

    fn cell(&self, key: CellKey) -> Option<&Cell> {
        self.tables.cells.get(&key)
    }

    fn now(&self) -> u64 {
        0
    }

    fn admits(&self, _: &Segment, _: &Limit) -> bool {
        true
    }

    fn settings(&self, _: Direction) -> Settings {
        Settings::default()
    }
}
