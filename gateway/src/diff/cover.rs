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
