//! Which rules win for each pair of classes.

use super::classes::{Classes, Member};
use super::rules::{Active, applies};
use super::{Clock, MAX_CELLS, MAX_STEPS, TooLarge};
use crate::policy::Scope;
use gate25_common::abi::{ANY_IPV4, ANY_IPV6, Cell, CellKey, FOREVER, NO_RULE};
use gate25_common::verdict::RuleKind;
use std::collections::{BTreeSet, HashMap};

/// Zones to which the same rules apply.
pub(super) struct Scopes {
    /// A zone's scope.
    pub(super) of: Vec<u32>,
    /// One zone of each scope stands for all of it.
    pub(super) representative: Vec<usize>,
    pub(super) list: Vec<u32>,
}

impl Scopes {
    pub(super) fn new(zones: usize, rules: &[Active<'_>]) -> Self {
        let mut restricted = vec![Vec::new(); zones];
        for (index, rule) in rules.iter().enumerate() {
            if let Scope::Only(only) = rule.zones {
                for zone in only {
                    restricted[*zone].push(index);
                }
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

pub(super) struct Compiler<'a> {
    pub(super) rules: &'a [Active<'a>],
    pub(super) scopes: &'a Scopes,
    pub(super) sources: &'a Classes,
    pub(super) targets: &'a Classes,
    /// Rules for every destination that list no subscribers.
    pub(super) open: Vec<usize>,
    /// Of each class of subscribers, the rules for every destination that list it.
    pub(super) wide: Vec<Vec<usize>>,
    pub(super) clock: Clock,
}

pub(super) fn is_everywhere(rule: &Active<'_>, ipv6: bool) -> bool {
    rule.destinations
        .is_none_or(|prefixes| prefixes.iter().any(|prefix| prefix.prefix() == 0 && prefix.is_ipv6() == ipv6))
}

/// Of each class of subscribers, the rules for every destination that list it.
pub(super) fn wide(rules: &[Active<'_>], sources: &Classes) -> Vec<Vec<usize>> {
    let everywhere: Vec<_> =
        rules.iter().map(|rule| is_everywhere(rule, false) || is_everywhere(rule, true)).collect();
    let own = |members: &[Member]| {
        members.iter().map(|member| member.rule).filter(|rule| everywhere[*rule]).collect()
    };
    sources.iter().map(|(_, members)| own(members)).collect()
}

impl Compiler<'_> {
    /// Fills the cells, and says which classes of subscribers have cells of their own for listed destinations.
    pub(super) fn cells(&self, cells: &mut HashMap<CellKey, Cell>) -> Result<BTreeSet<u32>, TooLarge> {
        let mut classes_of = HashMap::<usize, Vec<u32>>::new();
        for (class, members) in self.sources.iter() {
            for member in members {
                classes_of.entry(member.rule).or_default().push(class);
            }
        }
        let mut put = |subscribers, destinations, cell| {
            cells.insert(CellKey { subscribers, destinations }, cell);
            TooLarge::unless(cells.len(), MAX_CELLS, "pairs of subscribers and destinations")
        };
        let mut steps = 0;
        let mut step = |more: usize| {
            steps += more;
            TooLarge::unless(
                steps,
                MAX_STEPS,
                "comparisons of rules for the same subscribers and destinations",
            )
        };

        for (class, _) in self.sources.iter() {
            for (ipv6, destinations) in [(false, ANY_IPV4), (true, ANY_IPV6)] {
                if self.sources.has(class, ipv6) || (class as usize) < self.scopes.list.len() {
                    step(self.width(class))?;
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
                step(members.len())?;
                let matching: Vec<_> = self.near(*scope, members).collect();
                if !matching.is_empty() {
                    put(*scope, target, self.resolve(matching))?;
                }
            }
            let pairing = members.iter().filter_map(|member| classes_of.get(&member.rule)).flatten();
            step(pairing.clone().count())?;
            for class in pairing.copied().collect::<BTreeSet<_>>() {
                for ipv6 in [false, true] {
                    if self.targets.has(target, ipv6) && self.sources.has(class, ipv6) {
                        step(members.len() + self.width(class))?;
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
        let own = self.wide[class as usize].iter();
        own.chain(&self.open)
            .copied()
            .filter(|rule| is_everywhere(&self.rules[*rule], ipv6))
            .filter_map(|rule| Some(Match { rule, destination: 0, subscriber: self.bears(class, rule)? }))
            .collect()
    }

    /// How many rules [`Self::everywhere`] looks at.
    fn width(&self, class: u32) -> usize {
        self.wide[class as usize].len() + self.open.len()
    }

    /// How specific the rule is on the class's subscribers: the prefix length, 0 where it lists none; `None` where it
    /// does not hold for them.
    fn bears(&self, class: u32, rule: usize) -> Option<u8> {
        let (scope, members) = self.sources.get(class)?;
        if self.rules[rule].subscribers.is_some() {
            let place = members.binary_search_by_key(&rule, |member| member.rule).ok()?;
            return Some(members[place].length);
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
