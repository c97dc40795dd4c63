//! Layouts of redirected connections, and of what the gateway says in its own name.

use crate::address::Address;

/// Where a zone's blocked connections are redirected (`notice.address` or `relay_to`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Target {
    /// As [`Address::words`].
    pub ipv6: [u64; 2],
    /// In network byte order.
    pub ipv4: [u8; 4],
    /// Host byte order; 0: there is no target for IPv4.
    pub ipv4_port: u16,
    /// Host byte order; 0: there is no target for IPv6.
    pub ipv6_port: u16,
}

/// A redirected connection, as both ends of it know it: the subscriber's address and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FlowKey {
    /// As [`Address::words`].
    pub subscriber: [u64; 2],
    /// Host byte order.
    pub port: u32,
    /// 1 for IPv6.
    pub is_ipv6: u32,
}

impl Target {
    /// Address and port in a family.
    #[inline(always)]
    #[must_use]
    pub fn of(&self, is_ipv6: bool) -> Option<(Address, u16)> {
        let (address, port) = if is_ipv6 {
            (Address::from_words(self.ipv6, true), self.ipv6_port)
        } else {
            (Address::ipv4(self.ipv4), self.ipv4_port)
        };
        if port == 0 { None } else { Some((address, port)) }
    }
}

impl FlowKey {
    /// Of a subscriber's address and port.
    #[inline(always)]
    #[must_use]
    pub fn new(subscriber: Address, port: u16) -> Self {
        Self {
            subscriber: subscriber.words(),
            port: u32::from(port),
            is_ipv6: u32::from(subscriber.is_ipv6()),
        }
    }
}

/// What the gate keeps of a redirected connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Flow {
    /// Whom the subscriber believes to talk to (port 25), as [`Address::words`]; of the key's family.
    pub remote: [u64; 2],
    /// Whom it talks to, as [`Address::words`].
    pub target: [u64; 2],
    /// The rule named when it was redirected, or [`NO_RULE`](super::NO_RULE).
    pub rule: u64,
    /// When its last packet from the subscriber came: the monotonic clock, in nanoseconds.
    pub seen: u64,
    /// What the subscriber's first ACK must acknowledge, host byte order; see [`Flow::ANSWERED`].
    pub acknowledges: u32,
    /// Sequence number of the subscriber's SYN, host byte order.
    pub sequence: u32,
    /// The zone's slot.
    pub zone: u32,
    /// Port of `target`, host byte order.
    pub target_port: u16,
    /// A [`Reason`](crate::verdict::Reason).
    pub reason: u8,
    /// An [`Action`](crate::verdict::Action); `none` for a connection that means the target itself, see [`Flow::is_direct`].
    pub action: u8,
    /// What the subscriber said: [`Flow::DONE`], [`Flow::RESET`]. Only the XDP program writes it.
    pub from_subscriber: u8,
    /// What the target said: the same, and [`Flow::ANSWERED`]. Only the TC program writes it.
    pub from_target: u8,
    /// Zeros.
    pub padding: [u8; 6],
}

impl Flow {
    /// A FIN was seen.
    pub const DONE: u8 = 1;
    /// A RST was seen.
    pub const RESET: u8 = 2;
    /// The SYN-ACK was seen, and `acknowledges` is of it.
    pub const ANSWERED: u8 = 4;
}

/// The gateway's own addresses on an interface, for what it says in its own name. Zeros: it has none of that family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Gateway {
    /// As [`Address::words`].
    pub ipv6: [u64; 2],
    /// As the first word of [`Address::words`].
    pub ipv4: u64,
}

/// Redirected connections whose subscriber has answered the target's SYN-ACK, and that nobody has begun to close.
pub const FLOW_CAPACITY: u32 = 65_536;
/// Those before and after that; the least recently used give way.
pub const HALF_FLOW_CAPACITY: u32 = 65_536;
/// Ports that targets have or had, a bit each: only packets from them can be of a redirected connection.
pub const PORT_WORDS: u32 = 1024;
