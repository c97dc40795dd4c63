//! Which rules win for each pair of classes.

use super::classes::{Classes, Member};
use super::rules::Active;
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
                for zone in only.iter() {
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
    pub(super) clock: Clock,
}

pub(super) fn is_everywhere(rule: &Active<'_>, ipv6: bool) -> bool {
    rule.destinations
        .is_none_or(|prefixes| prefixes.iter().any(|prefix| prefix.prefix() == 0 && prefix.is_ipv6() == ipv6))
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
        let mut steps = 0;
        for (target, members) in self.targets.iter() {
            let lists_nobody = |member: &&Member| self.rules[member.rule].subscribers.is_none();
            let open: Vec<Member> = members.iter().filter(lists_nobody).copied().collect();
            for scope in &self.scopes.list {
                let matching = self.near(*scope, &[], &open);
                if !matching.is_empty() {
                    put(*scope, target, self.resolve(matching))?;
                }
            }
            let pairing = members.iter().filter_map(|member| classes_of.get(&member.rule)).flatten();
            for class in pairing.copied().collect::<BTreeSet<_>>() {
                for ipv6 in [false, true] {
                    if self.targets.has(target, ipv6) && self.sources.has(class, ipv6) {
                        steps += self.sources.get(class).map_or(0, |(_, own)| own.len());
                        if steps > MAX_STEPS {
                            let what = "comparisons of rules for the same subscribers and destinations";
                            return Err(TooLarge { what, needed: steps, limit: MAX_STEPS });
                        }
                        let mut matching = self.near(class, members, &open);
                        matching.extend(self.everywhere(class, ipv6));
                        put(class, target, self.resolve(matching))?;
                        marks.insert(class);
                    }
                }
            }
        }
        Ok(marks)
    }

    /// The rules among a destination class's that hold for a class of subscribers, with how specific each is. Those that
    /// list subscribers are found from the subscribers' side, which has few; `open` are those that list none.
    fn near(&self, class: u32, members: &[Member], open: &[Member]) -> Vec<Match> {
        let (_, own) = self.sources.get(class).unwrap_or_default();
        let paired = own.iter().filter_map(|subscriber| {
            let place = members.binary_search_by_key(&subscriber.rule, |member| member.rule).ok()?;
            Some(Match {
                rule: subscriber.rule,
                destination: members[place].length,
                subscriber: subscriber.length,
            })
        });
        let open = open.iter().filter_map(|target| {
            let subscriber = self.bears(class, target.rule)?;
            Some(Match { rule: target.rule, destination: target.length, subscriber })
        });
        paired.chain(open).collect()
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
            return members
                .binary_search_by_key(&rule, |member| member.rule)
                .ok()
                .map(|place| members[place].length);
        }
        self.rules[rule].zones.has(&self.scopes.representative[scope as usize]).then_some(0)
    }

    /// Who wins: the most specific destination, then the most specific subscriber, then the smallest id.
    fn resolve(&self, mut matching: Vec<Match>) -> Cell {
        matching.sort_by_key(|found| (u8::MAX - found.destination, u8::MAX - found.subscriber, found.rule));
        let first = |wanted: &dyn Fn(&Active<'_>) -> bool| {
            matching.iter().map(|found| &self.rules[found.rule]).find(|rule| wanted(rule))
        };
        let exception = |rule: &Active<'_>| rule.kind == RuleKind::Exception;
        let ends = matching
            .iter()
            .map(|found| &self.rules[found.rule])
            .filter(|rule| exception(rule) && !rule.ended)
            .map(|rule| rule.until.map_or(FOREVER, |until| self.clock.boot_at(until)));
        let number = |rule: Option<&Active<'_>>| rule.map_or(NO_RULE, |rule| rule.number);
        let holding = first(&|rule| exception(rule) && !rule.ended);
        Cell {
            block: number(first(&|rule| rule.kind == RuleKind::Block)),
            relay: number(first(&|rule| rule.kind == RuleKind::Relay)),
            exception: number(holding),
            expired: number(first(&|rule| exception(rule) && rule.until.is_some())),
            until: ends.max().unwrap_or(0),
            exception_limit: holding.and_then(|rule| rule.limit).unwrap_or(0),
            padding: 0,
        }
    }
}

/// A rule that holds for a pair of classes, and how specific it is there, in prefix lengths.
struct Match {
    rule: usize,
    destination: u8,
    subscriber: u8,
}
