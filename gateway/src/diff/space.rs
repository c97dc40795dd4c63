//! Addresses of one family as sets of spans, and the classes into which prefixes divide them.

use ipnetwork::IpNetwork;
use serde::Serialize;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

/// Addresses of a family, as numbers: the first and the last one, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) first: u128,
    pub(crate) last: u128,
}

impl Span {
    /// All of a family.
    pub(crate) const fn all(ipv6: bool) -> Self {
        Self { first: 0, last: if ipv6 { u128::MAX } else { u32::MAX as u128 } }
    }

    pub(crate) fn of(prefix: IpNetwork) -> Self {
        let number = |address| match address {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            IpAddr::V6(address) => address.to_bits(),
        };
        Self { first: number(prefix.network()), last: number(prefix.broadcast()) }
    }
}

/// A set of addresses of one family: spans in order, with a gap between any two.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) struct Set(Vec<Span>);

impl Set {
    /// The addresses of all these spans, in whatever order.
    pub(crate) fn union(mut spans: Vec<Span>) -> Self {
        spans.sort_unstable();
        let mut set = Self::default();
        for span in spans {
            set.push(span);
        }
        set
    }

    pub(crate) fn spans(&self) -> &[Span] {
        &self.0
    }

    /// How many addresses; one too few for all of IPv6.
    pub(crate) fn count(&self) -> u128 {
        self.0.iter().fold(0, |sum: u128, span| sum.saturating_add(span.last - span.first).saturating_add(1))
    }

    /// How many that is for people.
    pub(crate) fn size(&self, ipv6: bool) -> Size {
        if !ipv6 {
            return Size { ipv4_addresses: self.count() as u64, ipv6_networks: 0 };
        }
        let mut networks = 0_u128;
        let mut counted = None;
        for span in &self.0 {
            let (first, last) = (span.first >> 64, span.last >> 64);
            networks += last - first + u128::from(counted != Some(first));
            counted = Some(last);
        }
        Size { ipv4_addresses: 0, ipv6_networks: u64::try_from(networks).unwrap_or(u64::MAX) }
    }

    /// Adds a span that begins no earlier than the last one.
    fn push(&mut self, span: Span) {
        match self.0.last_mut() {
            Some(before) if span.first <= before.last.saturating_add(1) => {
                before.last = before.last.max(span.last);
            }
            _ => self.0.push(span),
        }
    }
}

/// How many subscribers' addresses there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Size {
    /// Of IPv4.
    pub ipv4_addresses: u64,
    /// Of IPv6, in networks of 64 bits that have one.
    pub ipv6_networks: u64,
}

/// What holds for a prefix, from its place in both policies.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Item<T> {
    /// What the old tables say.
    Old(T),
    /// What the new tables say.
    New(T),
    /// A rule that is not the same in both lists it, before or after.
    Rule(usize),
}

/// What holds for addresses that no prefix tells apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Class<T> {
    pub(crate) old: Option<T>,
    pub(crate) new: Option<T>,
    /// Rules that are not the same in both, and list these addresses; in order.
    pub(crate) rules: Vec<usize>,
}

/// Divides all addresses of a family into classes. Of the items of each kind the most specific one holds, of rules all.
pub(crate) fn classes<T: Copy + Eq + Hash>(
    mut items: Vec<(IpNetwork, Item<T>)>,
    ipv6: bool,
) -> Vec<(Class<T>, Set)> {
    items.sort_by_key(|(prefix, _)| (prefix.network(), prefix.prefix()));
    let mut found = Found { numbers: HashMap::new(), list: Vec::new() };
    let nothing = Class { old: None, new: None, rules: Vec::new() };
    let mut open = vec![(Span::all(ipv6).last, nothing)];
    // The first address that is in no class yet; none once all are.
    let mut at = Some(0);
    for group in items.chunk_by(|(one, _), (other, _)| one == other) {
        let here = Span::of(group[0].0);
        while let Some((last, class)) = open.pop_if(|(last, _)| *last < here.first) {
            at = found.add(at, last, class);
        }
        let Some((_, outer)) = open.last() else { break };
        if let Some(before) = here.first.checked_sub(1) {
            at = found.add(at, before, outer.clone());
        }
        let mut inner = outer.clone();
        for (_, item) in group {
            match *item {
                Item::Old(value) => inner.old = Some(value),
                Item::New(value) => inner.new = Some(value),
                Item::Rule(rule) => {
                    if let Err(place) = inner.rules.binary_search(&rule) {
                        inner.rules.insert(place, rule);
                    }
                }
            }
        }
        open.push((here.last, inner));
    }
    while let Some((last, class)) = open.pop() {
        at = found.add(at, last, class);
    }
    found.list
}

/// Classes, each once.
struct Found<T> {
    numbers: HashMap<Class<T>, usize>,
    list: Vec<(Class<T>, Set)>,
}

impl<T: Copy + Eq + Hash> Found<T> {
    /// Addresses from `at` to `last` are of that class, if there are any; what comes behind them.
    fn add(&mut self, at: Option<u128>, last: u128, class: Class<T>) -> Option<u128> {
        let first = at.filter(|first| *first <= last);
        let Some(first) = first else { return at };
        let number = *self.numbers.entry(class).or_insert_with_key(|class| {
            self.list.push((class.clone(), Set::default()));
            self.list.len() - 1
        });
        self.list[number].1.push(Span { first, last });
        last.checked_add(1)
    }
}
