//! What a walk looks for, and what it found.

use super::{MAX_OFFSET, OPEN, SMTP};
use crate::address::Address;
use crate::verdict::{Direction, Family};

/// The way that frames take, and which TCP among them is looked at. The roles of source and destination follow from it.
pub trait Road {
    /// Arriving from subscribers, or leaving toward them.
    const DIRECTION: Direction;

    /// Whether TCP with that port on the remote side is a [`Segment`].
    fn concerns(&self, remote_port: u16) -> bool;
}

/// From subscribers, to port 25.
#[derive(Debug, Clone, Copy)]
pub struct Egress;

impl Road for Egress {
    const DIRECTION: Direction = Direction::Egress;

    #[inline(always)]
    fn concerns(&self, remote_port: u16) -> bool {
        remote_port == SMTP
    }
}

/// Toward subscribers, from port 25.
#[derive(Debug, Clone, Copy)]
pub struct Return;

impl Road for Return {
    const DIRECTION: Direction = Direction::Return;

    #[inline(always)]
    fn concerns(&self, remote_port: u16) -> bool {
        remote_port == SMTP
    }
}

/// What a frame is, as far as port 25 is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// Not TCP to port 25.
    NotSmtp(Family),
    /// It could be TCP to port 25, but cannot be read.
    Malformed {
        /// As far as it was read.
        family: Family,
        /// The subscriber's address (source of egress, destination of return); all zeros where it could not be read.
        subscriber: Address,
        /// Whether it could. (Not an `Option`: its undefined half would not pass the kernel's verifier.)
        known: bool,
    },
    /// TCP between a subscriber and port 25, or another port that the [`Road`] is concerned with.
    Smtp(Segment),
    /// An ICMP or `ICMPv6` message, on the way back only: it may be about a redirected connection.
    Icmp(Icmp),
}

/// Where an ICMP message lies, in octets from the frame's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Icmp {
    /// Where the IP header begins.
    pub network: usize,
    /// Where the ICMP header begins.
    pub transport: usize,
    /// Where the IP packet ends by its own word, see [`Segment::end`].
    pub end: usize,
    /// `ICMPv6`.
    pub is_ipv6: bool,
}

impl Segment {
    /// Where its flags are, in bounds that the kernel's verifier sees.
    #[inline(always)]
    #[must_use]
    pub const fn to_flags(&self) -> usize {
        (self.transport & MAX_OFFSET as usize) + 13
    }

    /// The same segment, with offsets that the kernel's verifier sees to be in bounds.
    #[inline(always)]
    #[must_use]
    pub const fn bounded(self) -> Self {
        const MASK: usize = MAX_OFFSET as usize;
        Self {
            pppoe: self.pppoe & MASK,
            network: self.network & MASK,
            transport: self.transport & MASK,
            end: self.end & OPEN,
            ..self
        }
    }
}

impl Parsed {
    /// The network protocol, as far as it was read.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            Self::NotSmtp(family) | Self::Malformed { family, .. } => *family,
            Self::Smtp(segment) => segment.subscriber.family(),
            Self::Icmp(Icmp { is_ipv6: true, .. }) => Family::Ipv6,
            Self::Icmp(_) => Family::Ipv4,
        }
    }
}

/// A TCP segment between a subscriber and a remote address. Offsets are octets from the frame's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The side that the policy's zones are about.
    pub subscriber: Address,
    /// The other side.
    pub remote: Address,
    /// The subscriber's port, host byte order.
    pub subscriber_port: u16,
    /// The other side's port, host byte order: 25 on the way from subscribers.
    pub remote_port: u16,
    /// Where the `PPPoE` header begins, or [`NO_PPPOE`](super::NO_PPPOE).
    pub pppoe: usize,
    /// Where the IP header begins.
    pub network: usize,
    /// Where the TCP header begins.
    pub transport: usize,
    /// Where the IP packet ends by its own word; [`OPEN`] where it says 0 (a segmentation super-packet).
    pub end: usize,
    /// Part of a fragmented packet (its first fragment).
    pub fragment: bool,
}
