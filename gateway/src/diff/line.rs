//! One line of a difference: subscribers and destinations with the same outcomes under both policies.

use super::cover::Cover;
use super::space::Set;
use jiff::Timestamp;
use serde::Serialize;
use std::cmp::{Ordering, Reverse};

/// What becomes of access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It was allowed.
    Lose,
    /// It was blocked.
    Gain,
    /// Nothing, but another reason or rule decides.
    Why,
}

impl Change {
    /// Its word.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Lose => "lose",
            Self::Gain => "gain",
            Self::Why => "why",
        }
    }
}

/// What one policy says; the words of `explain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The subscribers' zone.
    pub zone: Option<String>,
    /// pass or block.
    pub verdict: &'static str,
    /// Why.
    pub reason: &'static str,
    /// The rule that is named.
    pub rule: Option<String>,
    /// When that ends.
    pub until: Option<Timestamp>,
    /// What the policy asks for.
    pub action: &'static str,
    /// A block that is carried out.
    pub enforced: bool,
}

/// Subscribers and destinations, all of whose pairs change alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What becomes of access.
    pub change: Change,
    /// The zone now; the one before, where there is none now.
    pub zone: Option<String>,
    /// Who, of one family.
    pub subscribers: Cover,
    /// To where, of the same family.
    pub destinations: Cover,
    /// What the old policy says.
    pub old: Outcome,
    /// What the new policy says.
    pub new: Outcome,
    /// Their addresses.
    #[serde(skip)]
    pub(super) who: Set,
    /// How many destinations.
    #[serde(skip)]
    pub(super) to: u128,
    #[serde(skip)]
    pub(super) ipv6: bool,
}

impl Line {
    pub(super) fn new(
        [old, new]: [Outcome; 2],
        (subscribers, who): (Cover, Set),
        (destinations, to): (Cover, u128),
        ipv6: bool,
    ) -> Self {
        let change = match (old.verdict, new.verdict) {
            ("pass", "block") => Change::Lose,
            ("block", "pass") => Change::Gain,
            _ => Change::Why,
        };
        let zone = new.zone.clone().or_else(|| old.zone.clone());
        Self { change, zone, subscribers, destinations, old, new, who, to, ipv6 }
    }

    /// What is lost, then what is gained; IPv4 first; the most addresses first,
    /// and those in their order.
    pub(super) fn by_weight(&self, other: &Self) -> Ordering {
        let weight = |line: &Self| (line.change, line.ipv6, Reverse((line.who.count(), line.to)));
        weight(self).cmp(&weight(other)).then_with(|| self.who.spans().cmp(other.who.spans()))
    }
}
