//! Addresses as they lie in a packet.

use crate::verdict::Family;
use core::net::{IpAddr, Ipv6Addr};

/// An IP address, in two words as they lie in a packet (so in network byte order); an IPv4 address takes the first half
/// of the first, zeros follow. One shape for both families leaves no half undefined, which the kernel's verifier refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address {
    words: [u64; 2],
    is_ipv6: bool,
}

impl Address {
    /// An IPv4 address from its octets.
    #[inline(always)]
    #[must_use]
    pub const fn ipv4([a, b, c, d]: [u8; 4]) -> Self {
        Self { words: [u64::from_ne_bytes([a, b, c, d, 0, 0, 0, 0]), 0], is_ipv6: false }
    }

    /// An IPv6 address from its halves.
    #[inline(always)]
    #[must_use]
    pub const fn ipv6(high: [u8; 8], low: [u8; 8]) -> Self {
        Self { words: [u64::from_ne_bytes(high), u64::from_ne_bytes(low)], is_ipv6: true }
    }

    /// From the words as they lie, see [`Self::words`].
    #[inline(always)]
    #[must_use]
    pub const fn from_words(words: [u64; 2], is_ipv6: bool) -> Self {
        Self { words, is_ipv6 }
    }

    /// Which protocol it is of.
    #[inline(always)]
    #[must_use]
    pub const fn is_ipv6(&self) -> bool {
        self.is_ipv6
    }

    /// The protocol as a label.
    #[inline(always)]
    #[must_use]
    pub const fn family(&self) -> Family {
        if self.is_ipv6 { Family::Ipv6 } else { Family::Ipv4 }
    }

    /// The words as they lie.
    #[inline(always)]
    #[must_use]
    pub const fn words(&self) -> [u64; 2] {
        self.words
    }

    /// The four octets of an IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn ipv4_octets(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.words[0].to_ne_bytes();
        [a, b, c, d]
    }

    /// The halves of an IPv6 address.
    #[inline(always)]
    #[must_use]
    pub const fn ipv6_halves(&self) -> [[u8; 8]; 2] {
        [self.words[0].to_ne_bytes(), self.words[1].to_ne_bytes()]
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::ipv4(address.octets()),
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                Self::ipv6(((bits >> 64) as u64).to_be_bytes(), (bits as u64).to_be_bytes())
            }
        }
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        if address.is_ipv6 {
            let [high, low] = address.words.map(|word| u128::from(u64::from_be(word)));
            Self::V6(Ipv6Addr::from_bits(high << 64 | low))
        } else {
            Self::V4(address.ipv4_octets().into())
        }
    }
}
