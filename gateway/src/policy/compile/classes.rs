//! Prefixes that nest → classes of addresses that the same rules list.

use super::{MAX_MEMBERS, MAX_STEPS, TooLarge};
use ipnetwork::IpNetwork;
use std::collections::HashMap;
use std::net::IpAddr;

/// A rule that lists a prefix which has the address, with that prefix's length (the longest, where it lists several).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Member {
    /// Index of the rule.
    pub(super) rule: usize,
    /// Length of its prefix.
    pub(super) length: u8,
}

/// A scope, and the rules that list addresses there.
pub(super) type Class = (u32, Vec<Member>);

/// Distinct sets of members within a scope, numbered, and the families in which each occurs.
pub(super) struct Classes {
    first: u32,
    /// Members of all classes together.
    members: usize,
    numbers: HashMap<Class, u32>,
    list: Vec<(Class, [bool; 2])>,
}

impl Classes {
    /// None yet; the first will have that number.
    pub(super) fn starting_at(first: u32) -> Self {
        Self { first, members: 0, numbers: HashMap::new(), list: Vec::new() }
    }

    /// These, numbered from 0, of no family yet.
    pub(super) fn starting_with(classes: impl Iterator<Item = Class>) -> Self {
        let mut all = Self::starting_at(0);
        for class in classes {
            all.numbers.insert(class.clone(), all.list.len() as u32);
            all.list.push((class, [false; 2]));
        }
        all
    }

    /// The number of a class that occurs in a family.
    pub(super) fn intern(&mut self, class: Class, ipv6: bool) -> Result<u32, TooLarge> {
        let next = self.first + self.list.len() as u32;
        let number = *self.numbers.entry(class.clone()).or_insert(next);
        if number == next {
            self.members += class.1.len();
            TooLarge::unless(self.members, MAX_MEMBERS, "rules listed by prefixes that nest")?;
            self.list.push((class, [false; 2]));
        }
        self.list[(number - self.first) as usize].1[usize::from(ipv6)] = true;
        Ok(number)
    }

    /// Scope and members of a class.
    pub(super) fn get(&self, number: u32) -> Option<(u32, &[Member])> {
        let ((scope, members), _) = self.list.get(number.checked_sub(self.first)? as usize)?;
        Some((*scope, members))
    }

    /// Whether the class occurs in a family.
    pub(super) fn has(&self, number: u32, ipv6: bool) -> bool {
        self.list.get((number - self.first) as usize).is_some_and(|(_, families)| families[usize::from(ipv6)])
    }

    /// Every class with its members.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &[Member])> {
        (self.first..).zip(self.list.iter().map(|((_, members), _)| members.as_slice()))
    }
}

/// Prefixes to be swept from the widest to the most specific; each inherits from those that contain it.
#[derive(Default)]
pub(super) struct Sweep {
    items: Vec<(IpNetwork, Item)>,
}

#[derive(Clone, Copy)]
enum Item {
    Zone(usize),
    Member(usize),
}

impl Sweep {
    /// A prefix of a zone.
    pub(super) fn zone(&mut self, prefix: IpNetwork, zone: usize) {
        self.items.push((prefix, Item::Zone(zone)));
    }

    /// A prefix that a rule lists.
    pub(super) fn member(&mut self, prefix: IpNetwork, rule: usize) {
        self.items.push((prefix, Item::Member(rule)));
    }

    /// Calls `each` once for every distinct prefix, with the zone of the most specific zone prefix and all members,
    /// sorted by rule.
    pub(super) fn run(
        mut self,
        mut each: impl FnMut(IpNetwork, Option<usize>, &[Member]) -> Result<(), TooLarge>,
    ) -> Result<(), TooLarge> {
        let mut steps = 0;
        self.items.sort_by_key(|(prefix, _)| (prefix.network(), prefix.prefix()));
        let mut open: Vec<Open> = Vec::new();
        for group in self.items.chunk_by(|(one, _), (other, _)| one == other) {
            let prefix = group[0].0;
            while open.last().is_some_and(|outer| !contains(outer.prefix, prefix.network())) {
                open.pop();
            }
            let mut here = match open.last() {
                Some(outer) => Open { prefix, ..outer.clone() },
                None => Open { prefix, zone: None, members: Vec::new() },
            };
            for (_, item) in group {
                match *item {
                    Item::Zone(zone) => here.zone = Some(zone),
                    Item::Member(rule) => here.add(Member { rule, length: prefix.prefix() }),
                }
            }
            steps += here.members.len();
            TooLarge::unless(steps, MAX_STEPS, "comparisons of rules listed by prefixes that nest")?;
            each(prefix, here.zone, &here.members)?;
            open.push(here);
        }
        Ok(())
    }
}

#[derive(Clone)]
struct Open {
    prefix: IpNetwork,
    zone: Option<usize>,
    members: Vec<Member>,
}

impl Open {
    fn add(&mut self, member: Member) {
        match self.members.binary_search_by_key(&member.rule, |known| known.rule) {
            Ok(place) => self.members[place] = member,
            Err(place) => self.members.insert(place, member),
        }
    }
}

/// `IpNetwork::contains`, but for addresses of the other family false.
fn contains(prefix: IpNetwork, address: IpAddr) -> bool {
    prefix.is_ipv6() == address.is_ipv6() && prefix.contains(address)
}
