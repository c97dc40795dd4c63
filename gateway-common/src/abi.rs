//! What the controller and the program exchange through maps. Every layout is `repr(C)`, in host byte order, with its
//! size asserted; a change of any of them changes [`ABI_VERSION`].

use crate::verdict::{Action, Decision, Direction, Mode, Reason, ReturnPath, Verdict};
use bytemuck::{Pod, Zeroable};

mod attempt;
mod counts;
mod flow;

pub use attempt::{
    EVENT_RING, Event, LIMIT_CAPACITY, LimitKey, REMOTES_LISTED, Remotes, SUSPECT_CAPACITY, SubscriberKey,
    Suspect, Thresholds,
};
pub use counts::{Count, OUTCOMES, Passed, RuleCount, ZoneCounts, outcome};
pub use flow::{FLOW_CAPACITY, Flow, FlowKey, Gateway, HALF_FLOW_CAPACITY, PORT_WORDS, Target};

/// Version of all layouts below. Pinned maps of another version are never touched.
pub const ABI_VERSION: u32 = 5;

/// Zone slots of the counters; slot 0 is [`NO_ZONE`].
pub const ZONE_SLOTS: u32 = 1024;
/// The slot that stands for no zone.
pub const NO_ZONE: u32 = 0;
/// Octets of a zone's id, zero-padded, in the map that keeps ids beside their slots.
pub const ZONE_ID_LENGTH: usize = 120;
/// The number that stands for no rule.
pub const NO_RULE: u64 = 0;
/// An `until` that never comes.
pub const FOREVER: u64 = u64::MAX;
/// Rules that can be counted at a time: those of a policy and, until it is in force, those of the one before it.
pub const RULE_CAPACITY: u32 = 262_144;

/// A destination class that stands for every IPv4 destination.
pub const ANY_IPV4: u32 = 0;
/// A destination class that stands for every IPv6 destination.
pub const ANY_IPV6: u32 = 1;
/// The first class of listed destinations.
pub const FIRST_LISTED: u32 = 2;

/// What the most specific source prefix says of a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Pod, Zeroable)]
#[repr(C)]
pub struct Subscriber {
    /// Slot of the zone.
    pub zone: u32,
    /// Class of subscribers that the same rules name; equals `scope` where no rule names this one.
    pub class: u32,
    /// Class of zones that the same rules apply to.
    pub scope: u32,
    /// A [`Mode`].
    pub mode: u8,
    /// An [`Action`] that the zone can carry out in this family.
    pub action: u8,
    /// A [`ReturnPath`].
    pub return_path: u8,
    /// [`HAS_ANY`] and [`HAS_PAIRS`].
    pub cells: u8,
    /// New connections a minute to the zone's relays; 0: no limit.
    pub relay_limit: u32,
}

/// In [`Subscriber::cells`]: `(class, ANY_…)` has a cell.
pub const HAS_ANY: u8 = 1;
/// In [`Subscriber::cells`]: `(class, listed destination)` may have a cell of its own.
pub const HAS_PAIRS: u8 = 2;

impl Subscriber {
    /// The zone's mode; what cannot be read enforces nothing.
    #[must_use]
    pub fn mode(&self) -> Mode {
        Mode::from_index(self.mode).unwrap_or(Mode::Monitor)
    }

    /// The zone's action.
    #[must_use]
    pub fn action(&self) -> Action {
        Action::from_index(self.action).unwrap_or(Action::Drop)
    }

    /// The zone's return path; what cannot be read is off.
    #[must_use]
    pub fn return_path(&self) -> ReturnPath {
        ReturnPath::from_index(self.return_path).unwrap_or(ReturnPath::Off)
    }
}

/// Where a [`Cell`] lies: a class or scope of subscribers, and a class of destinations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Pod, Zeroable)]
#[repr(C)]
pub struct CellKey {
    /// [`Subscriber::class`] or [`Subscriber::scope`].
    pub subscribers: u32,
    /// A destination class.
    pub destinations: u32,
}

/// Which rules bear on one class of subscribers and one of destinations; overlaps and dates are resolved already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
#[repr(C)]
pub struct Cell {
    /// The block that holds, or [`NO_RULE`]; likewise below.
    pub block: u64,
    /// The relay that is approved.
    pub relay: u64,
    /// The exception that holds until `until`.
    pub exception: u64,
    /// The exception to name once none holds.
    pub expired: u64,
    /// Boot clock in nanoseconds at which the last exception ends, [`FOREVER`] for a permanent one.
    pub until: u64,
    /// New connections a minute of each subscriber by `exception`; 0: no limit.
    pub exception_limit: u32,
    /// Zeros.
    pub padding: u32,
}

/// The one number whose change switches tables: which generation is in force, and what holds for all its zones together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct Active(pub u32);

impl Active {
    /// Some zone enforces.
    pub const ENFORCES: u32 = 1;
    /// Some zone enforces its return path.
    pub const ENFORCES_RETURN: u32 = 2;
    /// Some zone redirects to a port 25, where subscribers may be allowed to connect straight.
    pub const REDIRECTS_TO_SMTP: u32 = 4;

    /// Puts all into one word, so that they change together. Generations begin anew after 2^29.
    #[must_use]
    pub const fn new(generation: u32, flags: u32) -> Self {
        Self(generation << 3 | flags)
    }

    /// Counts policies installed since the maps were made; 0 before the first.
    #[must_use]
    pub const fn generation(self) -> u32 {
        self.0 >> 3
    }

    /// Which of the two tables to read.
    #[must_use]
    pub const fn slot(self) -> u32 {
        self.generation() & 1
    }

    /// Whether any zone enforces in that direction.
    #[must_use]
    pub const fn any_enforced(self, direction: Direction) -> bool {
        let flag = match direction {
            Direction::Egress => Self::ENFORCES,
            Direction::Return => Self::ENFORCES_RETURN,
        };
        self.0 & flag != 0
    }

    /// Whether any zone redirects to a port 25.
    #[must_use]
    pub const fn redirects_to_smtp(self) -> bool {
        self.0 & Self::REDIRECTS_TO_SMTP != 0
    }
}

/// What the program decided on the last packet, for `replay`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Trace {
    /// As in [`Verdict`].
    pub rule: u64,
    /// As in [`Verdict`].
    pub zone: u32,
    /// A [`Decision`].
    pub decision: u8,
    /// A [`Reason`].
    pub reason: u8,
    /// An [`Action`].
    pub action: u8,
    /// 1 for a block that was carried out.
    pub enforced: u8,
}

impl From<Verdict> for Trace {
    fn from(verdict: Verdict) -> Self {
        Self {
            rule: verdict.rule,
            zone: verdict.zone,
            decision: verdict.decision as u8,
            reason: verdict.reason as u8,
            action: verdict.action as u8,
            enforced: u8::from(verdict.enforced),
        }
    }
}

impl Trace {
    /// The verdict again, or `None` if a number is of no word.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        Some(Verdict {
            decision: Decision::from_index(self.decision)?,
            reason: Reason::from_index(self.reason)?,
            action: Action::from_index(self.action)?,
            enforced: self.enforced == 1,
            zone: self.zone,
            rule: self.rule,
        })
    }
}

const _: () = {
    assert!(size_of::<Subscriber>() == 20);
    assert!(size_of::<Target>() == 24);
    assert!(size_of::<FlowKey>() == 24);
    assert!(size_of::<Flow>() == 72);
    assert!(size_of::<Gateway>() == 24);
    assert!(size_of::<SubscriberKey>() == 24);
    assert!(size_of::<LimitKey>() == 32);
    assert!(size_of::<Remotes>() == 136);
    assert!(size_of::<Suspect>() == 208);
    assert!(size_of::<Thresholds>() == 24);
    assert!(size_of::<Event>() == 72);
    assert!(size_of::<CellKey>() == 8);
    assert!(size_of::<Cell>() == 48);
    assert!(size_of::<Count>() == 24);
    assert!(size_of::<RuleCount>() == 16);
    assert!(size_of::<ZoneCounts>() == 1080);
    assert!(size_of::<Passed>() == 16);
    assert!(size_of::<Active>() == 4);
    assert!(size_of::<Trace>() == 16);
};

#[cfg(feature = "user")]
mod pod {
    //! aya's word for "any bit pattern, no padding": each type above has only integers and no hole.
    use super::{
        Active, Event, Flow, FlowKey, Gateway, LimitKey, Passed, RuleCount, SubscriberKey, Suspect, Target,
        Thresholds, Trace, ZoneCounts,
    };

    // SAFETY: repr(C), integers only, no padding (sizes asserted above).
    unsafe impl aya::Pod for ZoneCounts {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Passed {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Active {}
    // SAFETY: as above.
    unsafe impl aya::Pod for RuleCount {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Trace {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Target {}
    // SAFETY: as above.
    unsafe impl aya::Pod for FlowKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Flow {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Gateway {}
    // SAFETY: as above.
    unsafe impl aya::Pod for SubscriberKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for LimitKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Suspect {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Thresholds {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Event {}
}
