//! Exceptions that do nothing as a whole.

use super::Side;
use super::rules::{Rule, includes};
use super::sweep::{Sets, Sides};
use crate::policy::problem::{Code, Why};
use crate::policy::{Exception, Policy, Scope};
use gate25_common::verdict::RuleKind;
use jiff::Timestamp;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;

/// So many comparisons are made at most: a policy in which they are not enough has thousands of exceptions for the same
/// prefixes.
const MAX_STEPS: usize = 1 << 24;

/// The rules that do nothing: index, key to show, and why.
pub(super) fn look(
    rules: &[Rule<'_>],
    policy: &Policy,
    at: Timestamp,
    sides: &Sides,
) -> Vec<(usize, &'static str, Why)> {
    let mut found = Vec::new();
    let all: Vec<usize> = (0..policy.zones.len()).collect();
    let stopped = stopped(rules, policy.zones.len());
    let families: Vec<_> = policy.zones.iter().map(|zone| families(&zone.subscribers)).collect();
    let mut others = Others { rules, policy, at, sides, steps: 0, lists: FxHashMap::default() };
    for (index, rule) in
        rules.iter().enumerate().filter(|(_, rule)| rule.counts && rule.kind != RuleKind::Block)
    {
        let zones = match rule.zones {
            Scope::Every => all.as_slice(),
            Scope::Only(zones) => zones,
        };
        let is_exception = rule.kind == RuleKind::Exception;
        let block = zones.first().and_then(|zone| stopped[*zone]);
        if let Some(block) = block.filter(|_| zones.iter().all(|zone| stopped[*zone].is_some())) {
            let cause = format!("is only for zones that block {} stops", rules[block].id);
            found.push((index, "id", Why::new(cause, "remove it, or the block").coded(Code::Shadowed)));
        } else if is_exception && sides.unusable.binary_search(&index).is_ok() {
            let why = Why::new(
                "are in no zone of this exception, so nobody can use it",
                "correct them or the zones",
            );
            found.push((index, rule.key(Side::Subscribers), why.coded(Code::Unusable)));
        } else if is_exception && !meet(rule, &policy.exceptions[rule.index], zones, &families) {
            let cause = "are of another family than its subscribers, so nobody can use it";
            let why = Why::new(cause, "add those of the other family, or remove the exception");
            found.push((index, rule.key(Side::Destinations), why.coded(Code::Unusable)));
        } else if is_exception && let Some(other) = others.covering(index) {
            let cause =
                format!("adds nothing: exception {} allows all of it and ends no earlier", rules[other].id);
            found.push((
                index,
                "id",
                Why::new(cause, "remove it, or narrow the other").coded(Code::Redundant),
            ));
        }
    }
    found
}

/// Of each zone, the block of everything that it has.
fn stopped(rules: &[Rule<'_>], zones: usize) -> Vec<Option<usize>> {
    let mut stopped = vec![None; zones];
    for (index, rule) in
        rules.iter().enumerate().filter(|(_, rule)| rule.kind == RuleKind::Block && rule.counts)
    {
        if let (None, None, Scope::Only(zones)) = (rule.subscribers, rule.destinations, rule.zones) {
            zones.iter().for_each(|zone| stopped[*zone] = Some(index));
        }
    }
    stopped
}

/// Whether there are IPv4 and IPv6 prefixes.
fn families(prefixes: &[ipnetwork::IpNetwork]) -> [bool; 2] {
    [false, true].map(|ipv6| prefixes.iter().any(|prefix| prefix.is_ipv6() == ipv6))
}

/// Whether subscribers and destinations of an exception are of one family. A name may be of both.
fn meet(rule: &Rule<'_>, exception: &Exception, zones: &[usize], families_of: &[[bool; 2]]) -> bool {
    let subscribers = rule.subscribers.map_or_else(
        || [0, 1].map(|family: usize| zones.iter().any(|zone| families_of[*zone][family])),
        families,
    );
    let has_names = !exception.names.list.is_empty();
    let destinations = rule.destinations.filter(|_| !has_names).map_or([true; 2], families);
    (0..2).any(|family| subscribers[family] && destinations[family])
}

/// Exceptions that may cover one.
struct Others<'a> {
    rules: &'a [Rule<'a>],
    policy: &'a Policy,
    at: Timestamp,
    sides: &'a Sides,
    steps: usize,
    /// Of a set of one side (`None`: of all rules), those in question; what ends last comes first.
    lists: FxHashMap<Option<(Side, usize)>, Vec<usize>>,
}

impl Others<'_> {
    fn exception(&self, rule: usize) -> &Exception {
        &self.policy.exceptions[self.rules[rule].index]
    }

    /// The exception that covers one whole; of two that cover each other, the first. With a limit, each has its own.
    fn covering(&mut self, rule: usize) -> Option<usize> {
        if self.exception(rule).limit.is_some() {
            return None;
        }
        let smallest = |sets: &Sets, side| {
            let set = sets.of[rule].iter().min_by_key(|set| sets.members[**set].len())?;
            Some(Some((side, *set)))
        };
        let near = [
            smallest(&self.sides.subscribers, Side::Subscribers),
            smallest(&self.sides.destinations, Side::Destinations),
            Some(None),
        ];
        for list in near.into_iter().flatten() {
            let others = self.lists.remove(&list).unwrap_or_else(|| self.list(list));
            let found = others.iter().copied().find(|other| {
                *other != rule
                    && self.steps < MAX_STEPS
                    && self.covers(*other, rule)
                    && (*other < rule || !self.covers(rule, *other))
            });
            self.lists.insert(list, others);
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Those that list a prefix of the set, or a wider one, on the side of subscribers; on the other side, those for
    /// every subscriber; and those for everybody and everywhere.
    fn list(&self, list: Option<(Side, usize)>) -> Vec<usize> {
        let is_near = |rule: &usize| {
            let other = &self.rules[*rule];
            let is_open = other.subscribers.is_none();
            other.kind == RuleKind::Exception
                && other.counts
                && self.exception(*rule).limit.is_none()
                && match list {
                    Some((Side::Subscribers, _)) => true,
                    Some((Side::Destinations, _)) => is_open,
                    None => is_open && other.destinations.is_none(),
                }
        };
        let mut others: Vec<usize> = match list {
            Some((Side::Subscribers, set)) => self.sides.subscribers.members[set].clone(),
            Some((Side::Destinations, set)) => self.sides.destinations.members[set].clone(),
            None => (0..self.rules.len()).collect(),
        };
        others.retain(is_near);
        others.sort_by_key(|rule| Reverse(self.exception(*rule).until.unwrap_or(Timestamp::MAX)));
        others
    }

    /// Whether one allows all that the other does, as long as that does.
    fn covers(&mut self, outer: usize, inner: usize) -> bool {
        let Sides { subscribers, destinations, .. } = self.sides;
        self.steps += 1 + subscribers.of[inner].len() + destinations.of[inner].len();
        let rules = [&self.rules[outer], &self.rules[inner]];
        let [long, short] = [self.exception(outer), self.exception(inner)];
        let begins = short.from.map_or(self.at, |from| from.max(self.at));
        long.until.is_none_or(|until| short.until.is_some_and(|end| end <= until))
            && long.from.is_none_or(|from| from <= begins)
            && includes(rules[0].zones, rules[1].zones, self.policy.zones.len())
            && (rules[0].subscribers.is_none()
                || rules[1].subscribers.is_some() && subscribers.covers(outer, inner))
            && (rules[0].destinations.is_none()
                || rules[1].destinations.is_some()
                    && short.names.list.is_empty()
                    && destinations.covers(outer, inner))
    }
}
