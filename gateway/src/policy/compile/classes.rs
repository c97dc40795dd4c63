//! Classes of addresses that the same rules list.

use std::collections::HashMap;

/// A rule that lists a prefix which has the address, with that prefix's length (the longest, where it lists several).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::policy) struct Member {
    /// Index of the rule.
    pub(in crate::policy) rule: usize,
    /// Length of its prefix.
    pub(in crate::policy) length: u8,
}

/// A scope, and the rules that list addresses there.
pub(super) type Class = (u32, Vec<Member>);

/// Distinct sets of members within a scope, numbered, and the families in which each occurs.
pub(super) struct Classes {
    first: u32,
    numbers: HashMap<Class, u32>,
    list: Vec<(Class, [bool; 2])>,
}

impl Classes {
    /// None yet; the first will have that number.
    pub(super) fn starting_at(first: u32) -> Self {
        Self { first, numbers: HashMap::new(), list: Vec::new() }
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
    pub(super) fn intern(&mut self, class: Class, ipv6: bool) -> u32 {
        let next = self.first + self.list.len() as u32;
        let number = *self.numbers.entry(class.clone()).or_insert(next);
        if number == next {
            self.list.push((class, [false; 2]));
        }
        self.list[(number - self.first) as usize].1[usize::from(ipv6)] = true;
        number
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
