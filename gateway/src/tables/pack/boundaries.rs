//! Prefixes that nest → boundaries in order.

use gate25_common::table::Found;
use ipnetwork::IpNetwork;

/// From that address on, until the next boundary, that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Boundary<A> {
    pub(super) at: A,
    pub(super) found: Found,
}

/// A number of an address.
pub(super) trait Number: Copy + Ord {
    /// Behind the last address there is none.
    fn next(self) -> Option<Self>;
}

impl Number for u32 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Number for u128 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

/// First and last address of an IPv4 prefix.
pub(super) fn ipv4(prefix: IpNetwork) -> Option<[u32; 2]> {
    let IpNetwork::V4(prefix) = prefix else { return None };
    let first = prefix.ip().to_bits();
    Some([first, first | u32::MAX.checked_shr(prefix.prefix().into()).unwrap_or(0)])
}

/// First and last address of an IPv6 prefix.
pub(super) fn ipv6(prefix: IpNetwork) -> Option<[u128; 2]> {
    let IpNetwork::V6(prefix) = prefix else { return None };
    let first = prefix.ip().to_bits();
    Some([first, first | u128::MAX.checked_shr(prefix.prefix().into()).unwrap_or(0)])
}

/// Of spans that nest, in the order of their first addresses, the wider one first. In front of the first boundary nothing
/// holds.
pub(super) fn boundaries<A: Number>(spans: impl Iterator<Item = ([A; 2], u32)>) -> Vec<Boundary<A>> {
    let mut all: Vec<Boundary<A>> = Vec::new();
    let mut put = |at: A, found: Found| {
        if all.last().is_some_and(|last| last.at == at) {
            all.pop();
        }
        if all.last().map_or(Found::NOTHING, |last| last.found) != found {
            all.push(Boundary { at, found });
        }
    };
    // Spans that have begun and not ended, the innermost last.
    let mut open: Vec<(A, u32)> = Vec::new();
    let close = |open: &mut Vec<(A, u32)>, put: &mut dyn FnMut(A, Found)| {
        let ended = open.pop().and_then(|(last, _)| last.next());
        if let Some(behind) = ended {
            put(behind, open.last().map_or(Found::NOTHING, |(_, value)| Found(*value)));
        }
    };
    for ([first, last], value) in spans {
        while open.last().is_some_and(|(end, _)| *end < first) {
            close(&mut open, &mut put);
        }
        put(first, Found(value));
        open.push((last, value));
    }
    while !open.is_empty() {
        close(&mut open, &mut put);
    }
    all
}

/// Parts the boundaries of IPv6 addresses: those of first halves, where `inside` makes a table of second halves of each first
/// half that has boundaries inside (from what holds at its beginning, and those).
pub(super) fn halves(
    all: &[Boundary<u128>],
    mut inside: impl FnMut(Found, &[Boundary<u64>]) -> Found,
) -> Vec<Boundary<u64>> {
    let mut first_halves = Vec::new();
    let mut before = Found::NOTHING;
    for group in all.chunk_by(|one, other| one.at >> 64 == other.at >> 64) {
        let half = (group[0].at >> 64) as u64;
        let starts = group[0].at as u64 == 0;
        let begin = if starts { group[0].found } else { before };
        let rest: Vec<Boundary<u64>> = group[usize::from(starts)..]
            .iter()
            .map(|boundary| Boundary { at: boundary.at as u64, found: boundary.found })
            .collect();
        let behind = rest.last().map_or(begin, |last| last.found);
        let found = if rest.is_empty() { begin } else { inside(begin, &rest).of_second_half() };
        first_halves.push(Boundary { at: half, found });
        let is_followed = rest.is_empty();
        if let (false, Some(next)) = (is_followed, half.checked_add(1)) {
            first_halves.push(Boundary { at: next, found: behind });
        }
        before = behind;
    }
    // A half that begins where the one before ends takes its place.
    let mut list: Vec<Boundary<u64>> = Vec::with_capacity(first_halves.len());
    for boundary in first_halves {
        if list.last().is_some_and(|last| last.at == boundary.at) {
            list.pop();
        }
        list.push(boundary);
    }
    list
}
