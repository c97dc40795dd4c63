//! A set of addresses in the fewest prefixes: some that have them, less some that have too much.

use super::space::{Set, Span};
use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use serde::Serialize;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Addresses that are in one of `prefixes` and in none of `except`. No other two lists are shorter together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Cover {
    /// These,
    pub prefixes: Vec<IpNetwork>,
    /// without these; each is inside one of the first.
    pub except: Vec<IpNetwork>,
}

impl Cover {
    /// That of a set.
    pub(super) fn of(set: &Set, ipv6: bool) -> Self {
        let all = Place { first: 0, length: 0, width: if ipv6 { 128 } else { 32 } };
        let mut cover = Self::default();
        all.node(set.spans()).write(all, false, &mut cover);
        cover
    }
}

impl fmt::Display for Cover {
    /// All of it, in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |list: &[IpNetwork]| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        f.write_str(&list(&self.prefixes))?;
        if self.except.is_empty() { Ok(()) } else { write!(f, " except {}", list(&self.except)) }
    }
}

/// A prefix, as a number and a length.
#[derive(Debug, Clone, Copy)]
struct Place {
    first: u128,
    length: u32,
    width: u32,
}

impl Place {
    fn last(self) -> u128 {
        self.first | u128::MAX.checked_shr(128 - self.width + self.length).unwrap_or(0)
    }

    fn halves(self) -> [Self; 2] {
        let length = self.length + 1;
        let low = Self { length, ..self };
        [low, Self { first: self.first | 1 << (self.width - length), ..low }]
    }

    /// The smallest prefix within this one that has both addresses.
    fn around(self, first: u128, last: u128) -> Self {
        let length = (first ^ last).leading_zeros() + self.width - 128;
        let mask = u128::MAX.checked_shl(self.width - length).unwrap_or(0);
        Self { first: first & mask, length, ..self }
    }

    fn network(self) -> IpNetwork {
        let length = self.length as u8;
        if self.width == 32 {
            let address = Ipv4Addr::from_bits(self.first as u32);
            IpNetwork::V4(Ipv4Network::new_checked(address, length).unwrap_or_else(|| address.into()))
        } else {
            let address = Ipv6Addr::from_bits(self.first);
            IpNetwork::V6(Ipv6Network::new_checked(address, length).unwrap_or_else(|| address.into()))
        }
    }

    /// What of these spans, each of which has some address of this prefix, is in it.
    fn node(self, spans: &[Span]) -> Node {
        let (Some(first), Some(last)) = (spans.first(), spans.last()) else { return Node::Out };
        let (from, to) = (first.first.max(self.first), last.last.min(self.last()));
        let place = self.around(from, to);
        if spans.len() == 1 && (from, to) == (place.first, place.last()) {
            return if place.length == self.length {
                Node::In
            } else {
                Node::Split(Box::new(Split { place, halves: None, costs: [1, place.length - self.length] }))
            };
        }
        let [low, high] = place.halves();
        let begin = spans.partition_point(|span| span.last < high.first);
        let end = spans.partition_point(|span| span.first < high.first);
        let halves = [low.node(&spans[..end]), high.node(&spans[begin..])];
        let inside = halves[0].cost(true) + halves[1].cost(true);
        let outside = (halves[0].cost(false) + halves[1].cost(false)).min(1 + inside);
        let holes = place.length - self.length;
        Node::Split(Box::new(Split { place, halves: Some(halves), costs: [outside, inside + holes] }))
    }
}

/// What of a prefix is in the set.
enum Node {
    Out,
    In,
    Split(Box<Split>),
}

/// Some of it, all of which is below `place`.
struct Split {
    place: Place,
    /// None: all of `place` is in the set.
    halves: Option<[Node; 2]>,
    /// How many prefixes it takes where nothing around is in the cover, and where something is.
    costs: [u32; 2],
}

impl Node {
    fn cost(&self, covered: bool) -> u32 {
        match self {
            Self::Out => u32::from(covered),
            Self::In => u32::from(!covered),
            Self::Split(split) => split.costs[usize::from(covered)],
        }
    }

    fn write(&self, at: Place, covered: bool, cover: &mut Cover) {
        match self {
            Self::Out if covered => cover.except.push(at.network()),
            Self::In if !covered => cover.prefixes.push(at.network()),
            Self::Out | Self::In => {}
            Self::Split(split) => split.write(at, covered, cover),
        }
    }
}

impl Split {
    fn write(&self, mut at: Place, mut covered: bool, cover: &mut Cover) {
        while at.length < self.place.length {
            let [low, high] = at.halves();
            let (here, beside) = if self.place.first < high.first { (low, high) } else { (high, low) };
            if covered {
                cover.except.push(beside.network());
            }
            at = here;
        }
        match &self.halves {
            None if covered => {}
            None => cover.prefixes.push(at.network()),
            Some(halves) => {
                let apart: u32 = halves.iter().map(|half| half.cost(false)).sum();
                let together: u32 = halves.iter().map(|half| half.cost(true)).sum();
                if !covered && 1 + together < apart {
                    cover.prefixes.push(at.network());
                    covered = true;
                }
                for (half, place) in halves.iter().zip(at.halves()) {
                    half.write(place, covered, cover);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every prefix of eight addresses, as a mask of those it has.
    fn masks() -> Vec<u8> {
        let of = |length: u32| (0..1_u32 << length).map(move |place| (length, place));
        let width = |length: u32| 8_u32 >> length;
        (0..=3)
            .flat_map(of)
            .map(|(length, place)| (((1_u32 << width(length)) - 1) << (place * width(length))) as u8)
            .collect()
    }

    /// For each set of eight addresses, the fewest prefixes that have all of them and nothing else.
    fn unions() -> Vec<usize> {
        let mut fewest = vec![usize::MAX; 256];
        fewest[0] = 0;
        for _ in 0..8 {
            for set in 0..256 {
                for mask in masks() {
                    let wider = set | usize::from(mask);
                    fewest[wider] = fewest[wider].min(fewest[set].saturating_add(1));
                }
            }
        }
        fewest
    }

    fn members(cover: &Cover) -> Vec<u128> {
        let has = |list: &[IpNetwork], address: u128| {
            list.iter()
                .map(|prefix| Span::of(*prefix))
                .any(|span| (span.first..=span.last).contains(&address))
        };
        let around = 0xcb00_7100_u128 - 8..0xcb00_7100 + 16;
        around.filter(|address| has(&cover.prefixes, *address) && !has(&cover.except, *address)).collect()
    }

    #[test]
    fn every_set_of_eight_has_the_fewest_prefixes() {
        let unions = unions();
        for wanted in 0..256_usize {
            let addresses = (0..8).filter(|bit| wanted >> bit & 1 == 1).map(|bit| 0xcb00_7100_u128 + bit);
            let addresses: Vec<u128> = addresses.collect();
            let set = Set::union(addresses.iter().map(|one| Span { first: *one, last: *one }).collect());
            let cover = Cover::of(&set, false);
            assert_eq!(members(&cover), addresses, "{cover}");
            // Any cover less any holes that leave just the wanted.
            let fewest = (0..256_usize)
                .flat_map(|some| (0..256_usize).map(move |holes| (some, holes)))
                .filter(|(some, holes)| some & !holes == wanted)
                .map(|(some, holes)| unions[some] + unions[holes])
                .min();
            assert_eq!(Some(cover.prefixes.len() + cover.except.len()), fewest, "{cover}");
        }
    }

    #[test]
    fn all_of_a_family_and_all_but_little() {
        let of = |spans: Vec<Span>, ipv6| Cover::of(&Set::union(spans), ipv6).to_string();
        assert_eq!(of(vec![Span::all(false)], false), "0.0.0.0/0");
        assert_eq!(of(vec![Span::all(true)], true), "::/0");
        assert_eq!(of(Vec::new(), true), "");
        // What lies apart is no reason for a wider cover: its emptiness would have to be cut out.
        let apart = [(0, 4), (6, 15), (16, 18)].map(|(first, last)| Span { first, last });
        assert_eq!(of(apart.to_vec(), false), "0.0.0.0/28 0.0.0.16/31 0.0.0.18/32 except 0.0.0.5/32");
        let but = |at: u128, last| vec![Span { first: at + 1, last }, Span { first: 0, last: at - 1 }];
        assert_eq!(of(but(0xc000_0219, u128::from(u32::MAX)), false), "0.0.0.0/0 except 192.0.2.25/32");
        assert_eq!(of(but(0xff << 120, u128::MAX), true), "::/0 except ff00::/128");
        assert_eq!(
            of(vec![Span { first: u128::MAX, last: u128::MAX }], true),
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"
        );
    }
}
