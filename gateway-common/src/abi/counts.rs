//! Layouts of counters, and the closed list of what is counted.

use crate::verdict::{Action, Decision, Reason, Verdict};

/// Packets, octets and new connections of one outcome, on one CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Octets of the linear frame, Ethernet header included.
    pub bytes: u64,
    /// SYNs without ACK, a recognised retransmission not counted.
    pub attempts: u64,
}

/// Packets and new connections for which a rule was named, on one CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct RuleCount {
    /// Packets.
    pub packets: u64,
    /// SYNs without ACK, a recognised retransmission not counted.
    pub attempts: u64,
}

/// Every outcome that a zone (or no zone) counts; its place is its index. `not-smtp` is counted apart.
pub const OUTCOMES: [(Decision, Reason, bool); 15] = [
    (Decision::Pass, Reason::Unmanaged, false),
    (Decision::Pass, Reason::Relay, false),
    (Decision::Pass, Reason::Exception, false),
    (Decision::Block, Reason::Unmanaged, false),
    (Decision::Block, Reason::Default, false),
    (Decision::Block, Reason::BlockRule, false),
    (Decision::Block, Reason::Expired, false),
    (Decision::Block, Reason::Rate, false),
    (Decision::Block, Reason::Malformed, false),
    (Decision::Block, Reason::Unmanaged, true),
    (Decision::Block, Reason::Default, true),
    (Decision::Block, Reason::BlockRule, true),
    (Decision::Block, Reason::Expired, true),
    (Decision::Block, Reason::Rate, true),
    (Decision::Block, Reason::Malformed, true),
];

/// The place of a verdict in [`OUTCOMES`].
#[must_use]
pub const fn outcome(verdict: &Verdict) -> usize {
    let enforced = if verdict.enforced { 6 } else { 0 };
    match (verdict.decision, verdict.reason) {
        (Decision::Pass, Reason::Relay) => 1,
        (Decision::Pass, Reason::Exception) => 2,
        (Decision::Pass, _) => 0,
        (Decision::Block, Reason::Unmanaged) => 3 + enforced,
        (Decision::Block, Reason::BlockRule) => 5 + enforced,
        (Decision::Block, Reason::Expired) => 6 + enforced,
        (Decision::Block, Reason::Rate) => 7 + enforced,
        (Decision::Block, Reason::Malformed) => 8 + enforced,
        (Decision::Block, _) => 4 + enforced,
    }
}

/// All counts of one zone on one CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct ZoneCounts {
    /// By family, then by the place in [`OUTCOMES`].
    pub ipv4: [Count; OUTCOMES.len()],
    /// See above.
    pub ipv6: [Count; OUTCOMES.len()],
    /// See above.
    pub other: [Count; OUTCOMES.len()],
}

/// Packets and octets that are not SMTP, of one family on one CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Passed {
    /// Packets.
    pub packets: u64,
    /// Octets of the linear frame.
    pub bytes: u64,
}

const _: () = {
    // `outcome` and `OUTCOMES` say the same.
    let mut index = 0;
    while index < OUTCOMES.len() {
        let (decision, reason, enforced) = OUTCOMES[index];
        let verdict = Verdict { decision, reason, action: Action::None, enforced, zone: 0, rule: 0 };
        assert!(outcome(&verdict) == index);
        index += 1;
    }
};
