//! Arithmetic of sets of addresses, and how they are written.

use crate::diff::space::{Set, Span};
use ipnetwork::IpNetwork;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is in both.
pub(super) fn both(one: &Set, other: &Set) -> Set {
    let (mut left, mut right) = (one.spans(), other.spans());
    let mut common = Vec::new();
    while let ([a, ..], [b, ..]) = (left, right) {
        let (first, last) = (a.first.max(b.first), a.last.min(b.last));
        if first <= last {
            common.push(Span { first, last });
        }
        if a.last < b.last { left = &left[1..] } else { right = &right[1..] }
    }
    Set::union(common)
}

/// What is in the first alone.
pub(super) fn without(one: &Set, other: &Set) -> Set {
    let mut holes = other.spans();
    let mut rest = Vec::new();
    for span in one.spans() {
        while holes.first().is_some_and(|hole| hole.last < span.first) {
            holes = &holes[1..];
        }
        // What of the span is not looked at yet; none where a hole reaches its end.
        let mut first = Some(span.first);
        for hole in holes.iter().take_while(|hole| hole.first <= span.last) {
            rest.extend(
                first.filter(|first| *first < hole.first).map(|first| Span { first, last: hole.first - 1 }),
            );
            first = hole.last.checked_add(1).filter(|first| *first <= span.last);
        }
        rest.extend(first.map(|first| Span { first, last: span.last }));
    }
    Set::union(rest)
}

/// A set in the fewest prefixes that have nothing else, in order.
pub(super) fn prefixes(set: &Set, ipv6: bool) -> Vec<IpNetwork> {
    let width = if ipv6 { 128 } else { 32 };
    let mut prefixes = Vec::new();
    for span in set.spans() {
        let mut first = Some(span.first);
        while let Some(from) = first {
            // So long as the prefix begins here, and does not reach beyond the last one.
            let aligned = from.trailing_zeros().min(width);
            let bits = (0..=aligned).rev().find(|bits| from | mask(*bits) <= span.last).unwrap_or(0);
            prefixes.push(prefix(from, (width - bits) as u8, ipv6));
            first = (from | mask(bits)).checked_add(1).filter(|next| *next <= span.last);
        }
    }
    prefixes
}

/// So many ones at the end.
fn mask(bits: u32) -> u128 {
    u128::MAX.checked_shr(128 - bits).unwrap_or(0)
}

fn prefix(first: u128, length: u8, ipv6: bool) -> IpNetwork {
    let address = address(first, ipv6);
    IpNetwork::new(address, length).unwrap_or_else(|_| address.into())
}

pub(super) fn address(number: u128, ipv6: bool) -> IpAddr {
    if ipv6 { Ipv6Addr::from_bits(number).into() } else { Ipv4Addr::from_bits(number as u32).into() }
}

/// A span as nft and people write it: a host without its length, a prefix, or else `first-last`.
pub(super) fn written(span: Span, ipv6: bool) -> String {
    let width = if ipv6 { 128 } else { 32 };
    let bits = 128 - (span.first ^ span.last).leading_zeros();
    match bits {
        0 => address(span.first, ipv6).to_string(),
        _ if span.first & mask(bits) == 0 && span.last & mask(bits) == mask(bits) => {
            prefix(span.first, (width - bits) as u8, ipv6).to_string()
        }
        _ => format!("{}-{}", address(span.first, ipv6), address(span.last, ipv6)),
    }
}

/// Sets by name, each once.
#[derive(Default)]
pub(super) struct Lists {
    names: HashMap<(bool, Set), String>,
    /// In the order of their first use.
    pub(super) list: Vec<(String, bool, Set)>,
}

impl Lists {
    /// The name of a set; a new one is called by its `role` and family, and numbered.
    pub(super) fn name(&mut self, set: &Set, ipv6: bool, role: &str) -> String {
        if let Some(name) = self.names.get(&(ipv6, set.clone())) {
            return name.clone();
        }
        let name = format!("{role}.{}.{}", family(ipv6), self.list.len() + 1);
        self.add(name.clone(), set, ipv6);
        name
    }

    /// One whose name is settled.
    pub(super) fn add(&mut self, name: String, set: &Set, ipv6: bool) {
        self.names.insert((ipv6, set.clone()), name.clone());
        self.list.push((name, ipv6, set.clone()));
    }
}

pub(super) fn family(ipv6: bool) -> &'static str {
    if ipv6 { "ipv6" } else { "ipv4" }
}

/// Names for things of a zone in languages with narrower ideas of a name, each once: letters, digits, `_`, `-`.
#[derive(Default)]
pub(super) struct Names(HashMap<String, String>);

impl Names {
    pub(super) fn of(&mut self, zone: &str) -> String {
        if let Some(name) = self.0.get(zone) {
            return name.clone();
        }
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
        let plain: String = zone.chars().map(|letter| if is_plain(letter) { letter } else { '_' }).collect();
        let names =
            (1..).map(
                |number| if number == 1 { format!("zone_{plain}") } else { format!("zone_{plain}.{number}") },
            );
        let taken: Vec<&String> = self.0.values().collect();
        let name = names.into_iter().find(|name| !taken.contains(&name)).unwrap_or_default();
        self.0.insert(zone.to_owned(), name.clone());
        name
    }
}
