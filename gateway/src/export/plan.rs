//! A policy at an instant as a filter would say it: for each zone, rules in order over sets of addresses, the first of which
//! decides. Made from the policy's own words, without the compiler's classes and cells, so that it can check those.

use super::sets;
use crate::diff::space::{Item, Set, Span, classes};
use crate::policy::{Policy, Scope, Zone};
use gate25_common::verdict::Reason;
use ipnetwork::IpNetwork;
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// A zone in one family.
pub(super) struct Part<'a> {
    pub(super) zone: &'a Zone,
    pub(super) ipv6: bool,
    /// Addresses of which this zone has the most specific prefix; never none.
    pub(super) subscribers: Set,
    /// In order; the first that matches decides. The last one matches everything.
    pub(super) terms: Vec<Term>,
}

/// One step of a decision.
pub(super) struct Term {
    pub(super) reason: Reason,
    /// Subscribers of the zone; `None` is all of them.
    pub(super) sources: Option<Set>,
    /// `None` is every destination.
    pub(super) destinations: Option<Rc<Set>>,
    /// For an exception: at this instant it no longer holds.
    pub(super) until: Option<Timestamp>,
}

impl Term {
    pub(super) fn matches_all(&self) -> bool {
        self.sources.is_none() && self.destinations.is_none() && self.until.is_none()
    }

    pub(super) fn passes(&self) -> bool {
        matches!(self.reason, Reason::Relay | Reason::Exception)
    }
}

/// What the policy says at an instant, zones by id, IPv4 before IPv6. With `dated` each exception keeps its end, and counts
/// as one that has ended behind it; else all that hold are alike.
pub(super) fn parts(policy: &Policy, at: Timestamp, dated: bool) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    for ipv6 in [false, true] {
        let rules = rules(policy, at, dated, ipv6);
        let prefixes = policy.zones.iter().enumerate().flat_map(|(number, zone)| {
            let own = zone.subscribers.iter().filter(|prefix| prefix.is_ipv6() == ipv6);
            own.map(move |prefix| (*prefix, Item::New(number)))
        });
        for (class, subscribers) in classes(prefixes.collect(), ipv6) {
            let Some(number) = class.new else { continue };
            let terms = terms(&rules, number, &subscribers, ipv6);
            parts.push(Part { zone: &policy.zones[number], ipv6, subscribers, terms });
        }
    }
    parts.sort_by(|one, other| (&one.zone.id, one.ipv6).cmp(&(&other.zone.id, other.ipv6)));
    parts
}

/// A rule in one family; an empty set matches nothing.
struct Rule<'a> {
    reason: Reason,
    zones: &'a Scope<usize>,
    sources: Option<Rc<Set>>,
    destinations: Option<Rc<Set>>,
    until: Option<Timestamp>,
}

/// The rules that say something at the instant, in the order in which they are asked.
fn rules(policy: &Policy, at: Timestamp, dated: bool, ipv6: bool) -> Vec<Rule<'_>> {
    let begun = |from: Option<Timestamp>| from.is_none_or(|from| from <= at);
    let over = |until: Option<Timestamp>| until.is_some_and(|until| until <= at);
    let mut lists = Lists { ipv6, known: HashMap::new() };
    let mut rules = Vec::new();
    for block in policy.blocks.iter().filter(|block| begun(block.from) && !over(block.until)) {
        rules.push(Rule {
            reason: Reason::BlockRule,
            zones: &block.zones,
            sources: lists.scope(&block.subscribers),
            destinations: lists.scope(&block.destinations),
            until: None,
        });
    }
    for relay in &policy.relays {
        let destinations = lists.list(&relay.addresses);
        let reason = Reason::Relay;
        rules.push(Rule { reason, zones: &relay.zones, sources: None, destinations, until: None });
    }
    let exceptions = || policy.exceptions.iter().filter(|exception| begun(exception.from));
    for exception in exceptions().filter(|exception| !over(exception.until)) {
        rules.push(Rule {
            reason: Reason::Exception,
            zones: &exception.zones,
            sources: lists.scope(&exception.subscribers),
            destinations: lists.scope(&exception.destinations),
            until: exception.until.filter(|_| dated),
        });
    }
    for exception in
        exceptions().filter(|exception| over(exception.until) || dated && exception.until.is_some())
    {
        rules.push(Rule {
            reason: Reason::Expired,
            zones: &exception.zones,
            sources: lists.scope(&exception.subscribers),
            destinations: lists.scope(&exception.destinations),
            until: None,
        });
    }
    rules
}

/// Lists of prefixes as sets, each made once, for rules share them.
struct Lists {
    ipv6: bool,
    known: HashMap<(*const IpNetwork, usize), Option<Rc<Set>>>,
}

impl Lists {
    fn scope(&mut self, scope: &Scope<IpNetwork>) -> Option<Rc<Set>> {
        match scope {
            Scope::Every => None,
            Scope::Only(prefixes) => self.list(prefixes),
        }
    }

    /// `None` where it has all of the family.
    fn list(&mut self, prefixes: &[IpNetwork]) -> Option<Rc<Set>> {
        let ipv6 = self.ipv6;
        let place = (prefixes.as_ptr(), prefixes.len());
        let set = self.known.entry(place).or_insert_with(|| {
            let own = prefixes.iter().filter(|prefix| prefix.is_ipv6() == ipv6);
            let set = Set::union(own.map(|prefix| Span::of(*prefix)).collect());
            (set.spans() != [Span::all(ipv6)]).then(|| Rc::new(set))
        });
        set.clone()
    }
}

/// What rules have in common that can be one; in this order the few look-ups come first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Shape {
    All,
    From,
    To,
    Pair(Rc<Set>),
}

/// The terms of a zone with these subscribers.
fn terms(rules: &[Rule<'_>], zone: usize, subscribers: &Set, ipv6: bool) -> Vec<Term> {
    let mut terms = Vec::new();
    for rules in rules.chunk_by(|one, other| one.reason == other.reason) {
        let mut shapes: BTreeMap<(Shape, Option<Timestamp>), Vec<Span>> = BTreeMap::new();
        for rule in rules.iter().filter(|rule| rule.zones.has(&zone)) {
            let (shape, spans) = match (&rule.sources, &rule.destinations) {
                (None, None) => (Shape::All, &[][..]),
                (Some(from), None) => (Shape::From, from.spans()),
                (None, Some(to)) => (Shape::To, to.spans()),
                (Some(from), Some(to)) => (Shape::Pair(Rc::clone(to)), from.spans()),
            };
            shapes.entry((shape, rule.until)).or_default().extend(spans);
        }
        for ((shape, until), spans) in shapes {
            let spans = Set::union(spans);
            let (sources, destinations) = match shape {
                Shape::All => (None, None),
                Shape::From => (Some(sets::both(&spans, subscribers)), None),
                Shape::To => (None, (spans.spans() != [Span::all(ipv6)]).then(|| Rc::new(spans))),
                Shape::Pair(to) => (Some(sets::both(&spans, subscribers)), Some(to)),
            };
            let is_empty = |set: &Set| set.spans().is_empty();
            if sources.as_ref().is_some_and(is_empty) || destinations.as_deref().is_some_and(is_empty) {
                continue;
            }
            let sources = sources.filter(|sources| sources != subscribers);
            let term = Term { reason: rules[0].reason, sources, destinations, until };
            let is_last = term.matches_all();
            terms.push(term);
            if is_last {
                return terms;
            }
        }
    }
    terms.push(Term { reason: Reason::Default, sources: None, destinations: None, until: None });
    terms
}
