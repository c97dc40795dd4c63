//! Two policies, in terms of people: who gains or loses access to what, decided for every pair of addresses by the very
//! code that runs in the kernel.
//!
//! Prefixes of both divide subscribers into classes that neither policy tells apart, and destinations likewise; one
//! address of each stands for all of them. Pairs of classes can differ only where a rule that is not the same in both
//! matches, or where the subscribers' zone is another one; so only those are decided.

mod cover;
mod line;
mod pairs;
mod rules;
pub(crate) mod space;
mod zones;

pub use cover::Cover;
pub use line::{Change, Line, Outcome};
pub use rules::RuleChange;
pub use space::Size;
pub use zones::{Enforcement, Moved, ZoneChange};

use crate::policy::Policy;
use crate::policy::compile::{Clock, TooLarge, compile};
use crate::tables::Tables;
use jiff::Timestamp;
use pairs::Sides;
use serde::Serialize;
use space::Set;
use std::collections::{BTreeSet, HashMap};

/// What is other in a policy than in another; its JSON is what `gate25 diff --json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The instant at which both were looked at.
    pub at: Timestamp,
    /// Who loses access to anything, and who gains.
    pub summary: Summary,
    /// Zones that were added or removed, or whose words changed.
    pub zones: Vec<ZoneChange>,
    /// Subscribers that are in another zone, or in none.
    pub moved: Vec<Moved>,
    /// Subscribers of whom blocks begin to be carried out, or are no longer.
    pub enforcement: Vec<Enforcement>,
    /// Rules whose text is other, whether or not that matters at the instant.
    pub rules: Vec<RuleChange>,
    /// Pairs of subscribers and destinations whose verdict is other, or has another reason; no pair is in two of them.
    pub changes: Vec<Line>,
}

/// The lines that lose or gain access, in a few numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Who loses access.
    pub lose: Affected,
    /// Who gains access; somebody may do both.
    pub gain: Affected,
}

/// Subscribers whose access to something changes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Affected {
    /// Their zones now, or before; `None` is none.
    pub zones: BTreeSet<Option<String>>,
    /// How many they are.
    pub subscribers: Size,
}

impl Affected {
    fn of(changes: &[Line], change: Change) -> Self {
        let lines = || changes.iter().filter(|line| line.change == change);
        let size = |ipv6| {
            let lines = lines().filter(|line| line.ipv6 == ipv6);
            Set::union(lines.flat_map(|line| line.who.spans()).copied().collect()).size(ipv6)
        };
        let subscribers =
            Size { ipv4_addresses: size(false).ipv4_addresses, ipv6_networks: size(true).ipv6_networks };
        Self { zones: lines().map(|line| line.zone.clone()).collect(), subscribers }
    }
}

/// Compares two policies at an instant.
pub fn compare(old: &Policy, new: &Policy, at: Timestamp) -> Result<Difference, TooLarge> {
    let mut slots = HashMap::new();
    for zone in old.zones.iter().chain(&new.zones) {
        let next = slots.len() as u32 + 1;
        slots.entry(zone.id.as_str()).or_insert(next);
    }
    let tables = |policy: &Policy| -> Result<Tables, TooLarge> {
        compile(policy, Clock::standing_at(at), true, |zone| slots[policy.zones[zone].id.as_str()])
    };
    let (old_tables, new_tables) = (tables(old)?, tables(new)?);
    let (rules, pairs) = rules::compare(old, new, at);
    let (mut moved, mut enforcement, mut changes) = (Vec::new(), Vec::new(), Vec::new());
    for ipv6 in [false, true] {
        let sides = Sides::new([&old_tables, &new_tables], &pairs, ipv6);
        moved.extend(sides.moved());
        enforcement.extend(sides.enforcement());
        changes.extend(sides.lines()?);
    }
    changes.sort_by(Line::by_weight);
    let affected = |change| Affected::of(&changes, change);
    let summary = Summary { lose: affected(Change::Lose), gain: affected(Change::Gain) };
    Ok(Difference { at, summary, zones: zones::compare(old, new), moved, enforcement, rules, changes })
}

impl Difference {
    /// Whether both policies say the same, at any time.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.zones.is_empty() && self.moved.is_empty() && self.rules.is_empty() && self.changes.is_empty()
    }
}
