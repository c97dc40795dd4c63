//! Prefixes that nest, from the first to the last, with what each inherits.

use super::classes::Member;
use super::{MAX_MEMBERS, TooLarge};
use crate::progress::{Step, note};
use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use rustc_hash::FxHashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// After so many it is said how far this is.
const NOTED: usize = 1 << 14;

/// Prefixes to be swept; each inherits from those that contain it.
#[derive(Default)]
pub(in crate::policy) struct Sweep {
    ipv4: Vec<(Ipv4, Item)>,
    ipv6: Vec<(Ipv6, Item)>,
}

#[derive(Clone, Copy)]
enum Item {
    Zone(u32),
    Rule(u32),
}

/// What holds for a prefix.
pub(in crate::policy) struct Held<'a> {
    pub(in crate::policy) prefix: IpNetwork,
    /// That of the most specific zone prefix.
    pub(in crate::policy) zone: Option<usize>,
    /// The rules that list it or a wider one, in order.
    pub(in crate::policy) members: &'a [Member],
    /// The same members have the same number.
    pub(in crate::policy) set: usize,
    /// The rules that list it itself, each as often as it does, in no order.
    pub(in crate::policy) own: &'a [Member],
}

impl Sweep {
    /// A prefix of a zone.
    pub(in crate::policy) fn zone(&mut self, prefix: IpNetwork, zone: usize) {
        self.add(prefix, Item::Zone(zone as u32));
    }

    /// A prefix that a rule lists.
    pub(in crate::policy) fn member(&mut self, prefix: IpNetwork, rule: usize) {
        self.add(prefix, Item::Rule(rule as u32));
    }

    /// Prefixes that a rule lists, mostly of one family: room for them is made at once.
    pub(in crate::policy) fn members(&mut self, prefixes: &[IpNetwork], rule: usize) {
        match prefixes.first() {
            Some(IpNetwork::V4(_)) => self.ipv4.reserve(prefixes.len()),
            Some(IpNetwork::V6(_)) => self.ipv6.reserve(prefixes.len()),
            None => {}
        }
        for prefix in prefixes {
            self.member(*prefix, rule);
        }
    }

    fn add(&mut self, prefix: IpNetwork, item: Item) {
        match prefix {
            IpNetwork::V4(prefix) => {
                self.ipv4
                    .push((Ipv4(u64::from(prefix.ip().to_bits()) << 8 | u64::from(prefix.prefix())), item));
            }
            IpNetwork::V6(prefix) => self.ipv6.push((Ipv6(prefix.ip().to_bits(), prefix.prefix()), item)),
        }
    }

    /// Calls `each` once for every distinct prefix: IPv4 first, in the order of addresses, wider ones first.
    pub(in crate::policy) fn run(self, mut each: impl FnMut(Held<'_>)) -> Result<(), TooLarge> {
        let (mut sets, mut needed) = (Sets::default(), 0);
        run(self.ipv4, &mut sets, &mut needed, &mut each)?;
        run(self.ipv6, &mut sets, &mut needed, &mut each)
    }
}

fn run<P: Prefix>(
    mut items: Vec<(P, Item)>,
    sets: &mut Sets,
    needed: &mut usize,
    each: &mut impl FnMut(Held<'_>),
) -> Result<(), TooLarge> {
    items.sort_unstable_by_key(|(prefix, _)| *prefix);
    let (mut done, mut noted, all) = (0, 0, items.len());
    let (mut open, mut more): (Vec<Open<P>>, _) = (Vec::new(), Vec::new());
    for group in items.chunk_by(|(one, _), (other, _)| one == other) {
        let prefix = group[0].0;
        if done >= noted {
            note(Step::Compiled, done, Some(all));
            noted += NOTED;
        }
        done += group.len();
        while open.last().is_some_and(|outer| !outer.prefix.contains(prefix)) {
            open.pop();
        }
        let mut here =
            open.last().map_or(Open { prefix, zone: None, set: 0 }, |outer| Open { prefix, ..*outer });
        more.clear();
        for (_, item) in group {
            match *item {
                Item::Zone(zone) => here.zone = Some(zone),
                Item::Rule(rule) => more.push(Member { rule: rule as usize, length: prefix.length() }),
            }
        }
        here.set = sets.with(here.set, &more);
        let members = sets.list[here.set].as_slice();
        *needed += members.len();
        if *needed > MAX_MEMBERS {
            let what = "overlaps of listed prefixes";
            return Err(TooLarge { what, needed: *needed, limit: MAX_MEMBERS });
        }
        let zone = here.zone.map(|zone| zone as usize);
        each(Held { prefix: prefix.into(), zone, members, set: here.set, own: &more });
        open.push(here);
    }
    Ok(())
}

/// A prefix that contains what comes next.
#[derive(Clone, Copy)]
struct Open<P> {
    prefix: P,
    zone: Option<u32>,
    set: usize,
}

/// Distinct sets of members; the first one is empty. Many prefixes have few sets, so those are made once.
struct Sets {
    list: Vec<Vec<Member>>,
    numbers: FxHashMap<Vec<Member>, usize>,
    /// What a set becomes with one more member, which is what most prefixes bring.
    larger: FxHashMap<(usize, Member), usize>,
}

impl Default for Sets {
    fn default() -> Self {
        let numbers = [(Vec::new(), 0)].into_iter().collect();
        Self { list: vec![Vec::new()], numbers, larger: FxHashMap::default() }
    }
}

impl Sets {
    /// The set with those members, each in the place of one of the same rule.
    fn with(&mut self, set: usize, more: &[Member]) -> usize {
        match more {
            [] => set,
            [one] => {
                if let Some(larger) = self.larger.get(&(set, *one)) {
                    return *larger;
                }
                let larger = self.number(set, more);
                self.larger.insert((set, *one), larger);
                larger
            }
            _ => self.number(set, more),
        }
    }

    fn number(&mut self, set: usize, more: &[Member]) -> usize {
        // Where a rule is twice, the later one counts: a stable sort, backwards.
        let mut members: Vec<Member> = more.iter().rev().chain(&self.list[set]).copied().collect();
        members.sort_by_key(|member| member.rule);
        members.dedup_by_key(|member| member.rule);
        *self.numbers.entry(members).or_insert_with_key(|members| {
            self.list.push(members.clone());
            self.list.len() - 1
        })
    }
}

/// A prefix as it is sorted: by its first address, the wider one first.
trait Prefix: Copy + Ord + Into<IpNetwork> {
    fn length(self) -> u8;
    /// Whether it has the first address of one that comes later.
    fn contains(self, later: Self) -> bool;
}

/// First address and length in one number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Ipv4(u64);

impl Prefix for Ipv4 {
    fn length(self) -> u8 {
        self.0 as u8
    }

    fn contains(self, later: Self) -> bool {
        (self.0 ^ later.0) >> 8 <= u64::from(u32::MAX.checked_shr(self.length().into()).unwrap_or(0))
    }
}

impl From<Ipv4> for IpNetwork {
    fn from(prefix: Ipv4) -> Self {
        let address = Ipv4Addr::from_bits((prefix.0 >> 8) as u32);
        Self::V4(Ipv4Network::new_checked(address, prefix.length()).unwrap_or_else(|| address.into()))
    }
}

/// First address and length.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Ipv6(u128, u8);

impl Prefix for Ipv6 {
    fn length(self) -> u8 {
        self.1
    }

    fn contains(self, later: Self) -> bool {
        self.0 ^ later.0 <= u128::MAX.checked_shr(self.1.into()).unwrap_or(0)
    }
}

impl From<Ipv6> for IpNetwork {
    fn from(prefix: Ipv6) -> Self {
        let address = Ipv6Addr::from_bits(prefix.0);
        Self::V6(Ipv6Network::new_checked(address, prefix.1).unwrap_or_else(|| address.into()))
    }
}

#[cfg(test)]
mod tests;
