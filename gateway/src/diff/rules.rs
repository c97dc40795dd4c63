//! Which rules are not the same in two policies, in their text and at an instant.

use crate::policy::names::Name;
use crate::policy::{Names, Policy, Scope};
use gate25_common::verdict::RuleKind;
use ipnetwork::IpNetwork;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A rule that is in one policy alone, or other in the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleChange {
    /// relay, exception or block.
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// added, removed or changed.
    pub change: &'static str,
    /// The keys that are other, for one that was changed.
    pub keys: Vec<&'static str>,
}

/// Whom a rule is about, and whether it says anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text<'a> {
    /// Ids of zones; `None` is every zone.
    pub(super) zones: Option<BTreeSet<&'a str>>,
    pub(super) subscribers: Option<BTreeSet<IpNetwork>>,
    pub(super) destinations: Option<BTreeSet<IpNetwork>>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    /// What its names stand for is among the destinations.
    names: BTreeSet<&'a Name>,
    limit: Option<u32>,
}

/// Kind and id.
pub(super) type RuleName<'a> = (RuleKind, &'a str);

/// One rule in both policies, where it is not the same.
pub(super) struct Pair<'a> {
    pub(super) old: Option<Text<'a>>,
    pub(super) new: Option<Text<'a>>,
}

impl<'a> Pair<'a> {
    pub(super) fn texts(&self) -> impl Iterator<Item = &Text<'a>> {
        self.old.iter().chain(&self.new)
    }
}

impl Text<'_> {
    /// What it says at an instant: nothing yet, that it holds, or that it has ended.
    fn phase(&self, at: Timestamp) -> [bool; 2] {
        [self.from.is_none_or(|from| from <= at), self.until.is_none_or(|until| at < until)]
    }

    /// Whether both say the same at an instant.
    fn agrees(&self, other: &Self, at: Timestamp) -> bool {
        let said = |text: &Self| text.phase(at);
        (&self.zones, &self.subscribers, &self.destinations, said(self))
            == (&other.zones, &other.subscribers, &other.destinations, said(other))
    }

    fn keys(&self, other: &Self) -> Vec<&'static str> {
        let differ = [
            ("zones", self.zones != other.zones),
            ("subscribers", self.subscribers != other.subscribers),
            ("destinations", self.destinations != other.destinations),
            ("from", self.from != other.from),
            ("until", self.until != other.until),
            ("names", self.names != other.names),
            ("max_new_connections_per_minute", self.limit != other.limit),
        ];
        differ.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }
}

fn names(names: &Names) -> BTreeSet<&Name> {
    names.list.iter().map(|named| &named.name).collect()
}

/// All rules of a policy, by name.
fn texts(policy: &Policy) -> BTreeMap<RuleName<'_>, Text<'_>> {
    let zones = |scope: &Scope<usize>| match scope {
        Scope::Every => None,
        Scope::Only(list) => Some(list.iter().map(|zone| policy.zones[*zone].id.as_str()).collect()),
    };
    let prefixes = |scope: &Scope<IpNetwork>| match scope {
        Scope::Every => None,
        Scope::Only(list) => Some(list.iter().copied().collect()),
    };
    let relays = policy.relays.iter().map(|relay| {
        let text = Text {
            zones: zones(&relay.zones),
            subscribers: None,
            destinations: Some(relay.addresses.iter().copied().collect()),
            from: None,
            until: None,
            names: names(&relay.names),
            limit: None,
        };
        ((RuleKind::Relay, relay.id.as_str()), text)
    });
    let exceptions = policy.exceptions.iter().map(|rule| {
        let text = Text {
            zones: zones(&rule.zones),
            subscribers: prefixes(&rule.subscribers),
            destinations: prefixes(&rule.destinations),
            from: rule.from,
            until: rule.until,
            names: names(&rule.names),
            limit: rule.limit,
        };
        ((RuleKind::Exception, rule.id.as_str()), text)
    });
    let blocks = policy.blocks.iter().map(|rule| {
        let text = Text {
            zones: zones(&rule.zones),
            subscribers: prefixes(&rule.subscribers),
            destinations: prefixes(&rule.destinations),
            from: rule.from,
            until: rule.until,
            names: BTreeSet::new(),
            limit: None,
        };
        ((RuleKind::Block, rule.id.as_str()), text)
    });
    relays.chain(exceptions).chain(blocks).collect()
}

/// Every rule whose text is other, for people; and those that say something else at the instant.
pub(super) fn compare<'a>(
    old: &'a Policy,
    new: &'a Policy,
    at: Timestamp,
) -> (Vec<RuleChange>, Vec<Pair<'a>>) {
    let (mut before, after) = (texts(old), texts(new));
    let mut both: BTreeMap<RuleName<'_>, Pair<'_>> = BTreeMap::new();
    for (name, text) in after {
        let was = before.remove(&name);
        if was.as_ref() != Some(&text) {
            both.insert(name, Pair { old: was, new: Some(text) });
        }
    }
    both.extend(before.into_iter().map(|(name, text)| (name, Pair { old: Some(text), new: None })));
    let changes = both.iter().map(|((kind, id), pair)| {
        let (change, keys) = match (&pair.old, &pair.new) {
            (Some(old), Some(new)) => ("changed", old.keys(new)),
            (Some(_), None) => ("removed", Vec::new()),
            (None, _) => ("added", Vec::new()),
        };
        RuleChange { kind: kind.label(), id: (*id).to_owned(), change, keys }
    });
    let changes = changes.collect();
    let matters = |pair: &Pair<'_>| match (&pair.old, &pair.new) {
        (Some(old), Some(new)) => !old.agrees(new, at),
        _ => true,
    };
    (changes, both.into_values().filter(matters).collect())
}
