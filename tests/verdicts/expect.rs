//! What the contract says of a packet.

use gate25::datapath::testrun::Code;
use gate25_common::verdict::{Action, Decision, Family, Reason};

/// The expected verdict, and what must have been counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expect {
    pub(crate) decision: Decision,
    pub(crate) reason: Reason,
    pub(crate) action: Action,
    pub(crate) enforced: bool,
    pub(crate) zone: Option<&'static str>,
    pub(crate) rule: Option<&'static str>,
    pub(crate) code: Code,
    pub(crate) family: Family,
    /// A SYN without ACK that comes for the first time.
    pub(crate) attempt: bool,
}

/// A pass untouched, of that family.
pub(crate) const fn not_smtp(family: Family) -> Expect {
    let mut expect = pass(Reason::NotSmtp);
    expect.family = family;
    expect.attempt = false;
    expect
}

/// An IPv4 SYN that passes because its source is of no zone.
pub(crate) const fn unmanaged() -> Expect {
    pass(Reason::Unmanaged)
}

/// An IPv4 SYN that passes to a relay.
pub(crate) const fn relay(zone: &'static str, rule: &'static str) -> Expect {
    pass(Reason::Relay).of(zone).naming(rule)
}

/// An IPv4 SYN that passes by an exception.
pub(crate) const fn exception(zone: &'static str, rule: &'static str) -> Expect {
    pass(Reason::Exception).of(zone).naming(rule)
}

/// An IPv4 SYN that is blocked and reset.
pub(crate) const fn reset(reason: Reason, zone: &'static str) -> Expect {
    Expect { action: Action::Reset, code: Code::Tx, ..block(reason) }.of(zone)
}

/// An IPv4 SYN that is blocked and answered with an ICMP error.
pub(crate) const fn icmp(reason: Reason, zone: &'static str) -> Expect {
    Expect { action: Action::Icmp, ..reset(reason, zone) }
}

/// An IPv4 SYN that is blocked in silence.
pub(crate) const fn drop(reason: Reason, zone: &'static str) -> Expect {
    block(reason).of(zone)
}

/// What cannot be read (IPv4, and therefore no SYN); blocked in silence, without a zone.
pub(crate) const fn malformed() -> Expect {
    block(Reason::Malformed).quiet()
}

const fn pass(reason: Reason) -> Expect {
    Expect {
        decision: Decision::Pass,
        reason,
        action: Action::None,
        enforced: false,
        zone: None,
        rule: None,
        code: Code::Pass,
        family: Family::Ipv4,
        attempt: true,
    }
}

/// An IPv4 SYN that is blocked in silence, from no zone.
pub(crate) const fn block(reason: Reason) -> Expect {
    Expect {
        decision: Decision::Block,
        action: Action::Drop,
        enforced: true,
        code: Code::Drop,
        ..pass(reason)
    }
}

impl Expect {
    /// In that zone.
    pub(crate) const fn of(self, zone: &'static str) -> Self {
        Self { zone: Some(zone), ..self }
    }

    /// With that rule named.
    pub(crate) const fn naming(self, rule: &'static str) -> Self {
        Self { rule: Some(rule), ..self }
    }

    /// The same in IPv6.
    pub(crate) const fn v6(self) -> Self {
        Self { family: Family::Ipv6, ..self }
    }

    /// The same of neither protocol.
    pub(crate) const fn other(self) -> Self {
        Self { family: Family::Other, ..self }
    }

    /// Not a new connection.
    pub(crate) const fn quiet(self) -> Self {
        Self { attempt: false, ..self }
    }

    /// Decided but not carried out.
    pub(crate) const fn monitored(self) -> Self {
        Self { enforced: false, code: Code::Pass, ..self }
    }
}
