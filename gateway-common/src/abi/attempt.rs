//! Layouts of what is kept of subscribers that try, and of those that are limited.

use crate::address::Address;

/// A subscriber as limits, events and suspects count: one IPv4 address, or one IPv6 prefix of the zone's
/// `subscriber_prefix_v6`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct SubscriberKey {
    /// As [`Address::words`], the bits behind the prefix zero.
    pub words: [u64; 2],
    /// 1 for IPv6.
    pub is_ipv6: u32,
    /// Zeros.
    pub padding: u32,
}

impl SubscriberKey {
    /// The subscriber that an address belongs to; `prefix_v6` is a length in bits, 1 to 128.
    #[inline(always)]
    #[must_use]
    pub fn new(address: Address, prefix_v6: u32) -> Self {
        let [high, low] = address.words();
        let words = if address.is_ipv6() {
            [high & mask(prefix_v6.min(64)), low & mask(prefix_v6.saturating_sub(64))]
        } else {
            [high, low]
        };
        Self { words, is_ipv6: u32::from(address.is_ipv6()), padding: 0 }
    }

    /// Its (first) address.
    #[must_use]
    pub fn address(&self) -> Address {
        Address::from_words(self.words, self.is_ipv6 != 0)
    }
}

/// The first `bits` of a word as it lies in a packet.
#[inline(always)]
const fn mask(bits: u32) -> u64 {
    if bits == 0 { 0 } else { (u64::MAX << ((64 - bits) & 63)).to_be() }
}

/// Whom a limit is for, and of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct LimitKey {
    /// Who opens connections.
    pub subscriber: SubscriberKey,
    /// The exception's number; of a zone's limit to relays its slot (no number is so small, but for one in 2^54).
    pub of: u64,
}

/// A subscriber whose connections were blocked. All times are of the monotonic clock, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Suspect {
    /// Blocked attempts since `first`. The one field that several CPUs add to at once.
    pub attempts: u64,
    /// The first one.
    pub first: u64,
    /// The newest one.
    pub last: u64,
    /// When the present window began; see [`crate::suspect`].
    pub window: u64,
    /// `attempts` when it began.
    pub before: u64,
    /// When events of this subscriber will have used no credit, see [`crate::limit`].
    pub told: u64,
    /// `attempts` when the last event was made.
    pub reported: u64,
    /// [`crate::suspect::QUIET`] and the like.
    pub standing: u64,
    /// The zone's slot.
    pub zone: u32,
    /// A [`Reason`](crate::verdict::Reason), of the newest attempt.
    pub reason: u8,
    /// An [`Action`](crate::verdict::Action), of the newest attempt.
    pub action: u8,
    /// 1 where the newest attempt was blocked, and not only counted.
    pub enforced: u8,
    /// Zero.
    pub padding: u8,
    /// The distinct remotes of the present window.
    pub remotes: Remotes,
}

/// Distinct addresses: the first sixteen one by one, more by a sketch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Remotes {
    /// Bits that are set in `sketch`.
    pub bits: u32,
    /// Entries of `list`.
    pub listed: u32,
    /// Hashes, none of them zero.
    pub list: [u32; REMOTES_LISTED],
    /// The bit of each hash, modulo 512.
    pub sketch: [u64; 8],
}

/// Remotes that are told apart exactly.
pub const REMOTES_LISTED: usize = 16;

/// When a subscriber becomes a suspect: `suspects` of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Thresholds {
    /// Nanoseconds.
    pub within: u64,
    /// So many attempts; 0: nobody does.
    pub attempts: u32,
    /// To so many remotes.
    pub remotes: u32,
    /// The bits of [`Remotes::sketch`] that so many remotes set, where they are too many to be listed; else 0.
    pub bits: u32,
    /// Zeros.
    pub padding: u32,
}

/// What the program tells the controller, through a ring buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Event {
    /// Monotonic clock, nanoseconds.
    pub time: u64,
    /// As [`Address::words`]; of a suspect those of its [`SubscriberKey`].
    pub subscriber: [u64; 2],
    /// As [`Address::words`].
    pub remote: [u64; 2],
    /// The rule named, or [`NO_RULE`](super::NO_RULE).
    pub rule: u64,
    /// Of a blocked connection those since the subscriber's last event, this one included; of a suspect those of the
    /// window.
    pub attempts: u64,
    /// Index of the interface.
    pub interface: u32,
    /// The zone's slot, or [`NO_ZONE`](super::NO_ZONE).
    pub zone: u32,
    /// Host byte order.
    pub subscriber_port: u16,
    /// An [`EventKind`](crate::verdict::EventKind).
    pub kind: u8,
    /// 1 for IPv6.
    pub is_ipv6: u8,
    /// A [`Reason`](crate::verdict::Reason).
    pub reason: u8,
    /// An [`Action`](crate::verdict::Action).
    pub action: u8,
    /// 1 for a block that was carried out.
    pub enforced: u8,
    /// Zero.
    pub padding: u8,
}

/// Subscribers that can be kept: those of `top`.
pub const SUSPECT_CAPACITY: u32 = 131_072;
/// Limited subscribers that can be kept; the least recently used give way, with a full bucket.
pub const LIMIT_CAPACITY: u32 = 65_536;
/// Octets of the ring buffer of events.
pub const EVENT_RING: u32 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::IpAddr;

    fn key(address: &str, prefix: u32) -> IpAddr {
        SubscriberKey::new(address.parse::<IpAddr>().unwrap().into(), prefix).address().into()
    }

    #[test]
    fn a_subscriber_is_an_address_or_a_prefix() {
        let full = "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff";
        for (address, prefix, wanted) in [
            ("203.0.113.255", 64, "203.0.113.255"),
            ("203.0.113.255", 1, "203.0.113.255"),
            (full, 64, "2001:db8:ffff:ffff::"),
            (full, 56, "2001:db8:ffff:ff00::"),
            (full, 65, "2001:db8:ffff:ffff:8000::"),
            (full, 127, "2001:db8:ffff:ffff:ffff:ffff:ffff:fffe"),
            (full, 128, full),
            ("ffff::1", 1, "8000::"),
        ] {
            assert_eq!(key(address, prefix), wanted.parse::<IpAddr>().unwrap(), "{address}/{prefix}");
        }
        let v4 = SubscriberKey::new(Address::ipv4([0x20, 1, 0xd, 0xb8]), 64);
        let v6 = SubscriberKey::new("2001:db8::".parse::<IpAddr>().unwrap().into(), 64);
        assert!(v4.words == v6.words && v4 != v6, "the same octets, of two protocols");
    }
}
