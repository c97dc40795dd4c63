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

#[cfg(test)]
mod tests {
    use super::*;

    /// The addresses 0 to 7 of a mask, or the last eight of the family.
    fn set(mask: u32, ipv6: bool, at_end: bool) -> Set {
        let base = if at_end { Span::all(ipv6).last - 7 } else { 0 };
        let addresses = (0..8).filter(|bit| mask >> bit & 1 == 1).map(|bit| base + bit);
        Set::union(addresses.map(|one| Span { first: one, last: one }).collect())
    }

    #[test]
    fn arithmetic_is_that_of_bits() {
        for (ipv6, at_end) in [(false, false), (false, true), (true, true)] {
            let of = |mask| set(mask, ipv6, at_end);
            for (one, other) in (0..256).flat_map(|one| (0..256).map(move |other| (one, other))) {
                assert_eq!(both(&of(one), &of(other)), of(one & other), "{one:b} {other:b}");
                assert_eq!(without(&of(one), &of(other)), of(one & !other), "{one:b} {other:b}");
            }
        }
    }

    #[test]
    fn prefixes_are_the_fewest_that_have_nothing_else() {
        // A prefix of eight addresses at each place of each size, as a mask.
        let sizes = [1_u32, 2, 4, 8];
        let blocks: Vec<u32> = sizes
            .iter()
            .flat_map(|size| (0..8 / size).map(move |place| ((1 << size) - 1) << (place * size)))
            .collect();
        let mut fewest = vec![usize::MAX; 256];
        fewest[0] = 0;
        for _ in 0..8 {
            for set in 0..256_usize {
                for block in &blocks {
                    let wider = set | *block as usize;
                    fewest[wider] = fewest[wider].min(fewest[set].saturating_add(1));
                }
            }
        }
        for (ipv6, at_end) in [(false, false), (false, true), (true, true)] {
            for mask in 0..256 {
                let of = set(mask, ipv6, at_end);
                let prefixes = prefixes(&of, ipv6);
                assert_eq!(
                    Set::union(prefixes.iter().map(|prefix| Span::of(*prefix)).collect()),
                    of,
                    "{prefixes:?}"
                );
                assert_eq!(prefixes.len(), fewest[mask as usize], "{prefixes:?}");
            }
        }
        for ipv6 in [false, true] {
            let all = prefixes(&Set::union(vec![Span::all(ipv6)]), ipv6);
            assert_eq!(all.iter().map(IpNetwork::prefix).collect::<Vec<_>>(), [0]);
        }
    }

    #[test]
    fn spans_are_written_as_nft_reads_them() {
        let of = |first, last, ipv6| written(Span { first, last }, ipv6);
        assert_eq!(of(0xcb00_7100, 0xcb00_7100, false), "203.0.113.0");
        assert_eq!(of(0xcb00_7100, 0xcb00_713f, false), "203.0.113.0/26");
        assert_eq!(of(0xcb00_7101, 0xcb00_713f, false), "203.0.113.1-203.0.113.63");
        assert_eq!(of(0, 0xffff_ffff, false), "0.0.0.0/0");
        assert_eq!(of(0, u128::MAX, true), "::/0");
        assert_eq!(of(u128::MAX - 1, u128::MAX, true), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127");
        assert_eq!(of(1, 2, true), "::1-::2");
    }

    #[test]
    fn no_two_zones_have_one_name() {
        let mut names = Names::default();
        let of = ["a b", "a_b", "a\u{e4}b", "a b"].map(|zone| names.of(zone));
        assert_eq!(of, ["zone_a_b", "zone_a_b.2", "zone_a_b.3", "zone_a_b"]);
    }
}
