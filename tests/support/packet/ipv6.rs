//! RFC 8200 sections 3 and 4.

use super::{Payload, Tcp, protocol};
use std::net::Ipv6Addr;

/// An IPv6 packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ipv6 {
    /// Source address.
    pub source: Ipv6Addr,
    /// Destination address.
    pub destination: Ipv6Addr,
    /// 6, or something wrong.
    pub version: u8,
    /// Payload length, where it shall not be the true one.
    pub payload_length: Option<u16>,
    /// Headers between the fixed one and the payload.
    pub extensions: Vec<Extension>,
    /// What the last header says that follows.
    pub protocol: u8,
    /// What follows the last header.
    pub payload: Vec<u8>,
}

/// An extension header: its number, and its octets without the first (which says what follows it).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// The number by which the header before it announces it.
    pub number: u8,
    /// All but its first octet.
    pub rest: Vec<u8>,
}

impl Extension {
    /// Hop-by-hop options, 8 octets.
    #[must_use]
    pub fn hop_by_hop() -> Self {
        Self::sized(0, 0)
    }

    /// A routing header of that type with no segments left, 8 octets.
    #[must_use]
    pub fn routing(kind: u8) -> Self {
        Self { number: 43, rest: vec![0, kind, 0, 0, 0, 0, 0] }
    }

    /// Destination options, 8 octets.
    #[must_use]
    pub fn destination() -> Self {
        Self::sized(60, 0)
    }

    /// Any header that counts its length in units of 8 octets beyond the first 8, filled with one `PadN` option.
    #[must_use]
    pub fn sized(number: u8, units: u8) -> Self {
        let length = (usize::from(units) + 1) * 8;
        let mut rest = vec![0; length - 1];
        rest[0] = units;
        rest[1] = 1;
        rest[2] = (length - 4).min(255) as u8;
        Self { number, rest }
    }

    /// A fragment header (section 4.5); the offset counts 8 octets.
    #[must_use]
    pub fn fragment(offset: u16, more: bool) -> Self {
        let [high, low] = (offset << 3 | u16::from(more)).to_be_bytes();
        Self { number: 44, rest: vec![0, high, low, 0, 0, 0, 7] }
    }

    /// An authentication header (RFC 4302) whose length field says `units`: 4 × (`units` + 2) octets.
    #[must_use]
    pub fn authentication(units: u8) -> Self {
        let mut rest = vec![0; (usize::from(units) + 2) * 4 - 1];
        rest[0] = units;
        Self { number: protocol::AUTHENTICATION, rest }
    }
}

impl Ipv6 {
    /// A packet of any protocol.
    #[must_use]
    pub fn new(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, payload: Vec<u8>) -> Self {
        let extensions = Vec::new();
        Self { source, destination, version: 6, payload_length: None, extensions, protocol, payload }
    }

    /// A TCP segment.
    #[must_use]
    pub fn tcp(source: Ipv6Addr, destination: Ipv6Addr, tcp: &Tcp) -> Self {
        Self::new(source, destination, protocol::TCP, tcp.octets(source.into(), destination.into()))
    }

    /// With those headers in between.
    #[must_use]
    pub fn with(self, extensions: impl Into<Vec<Extension>>) -> Self {
        Self { extensions: extensions.into(), ..self }
    }

    /// The packet's octets.
    #[must_use]
    pub fn octets(&self) -> Vec<u8> {
        let numbers: Vec<u8> =
            self.extensions.iter().map(|header| header.number).chain([self.protocol]).collect();
        let mut behind = Vec::new();
        for (header, following) in self.extensions.iter().zip(&numbers[1..]) {
            behind.push(*following);
            behind.extend(&header.rest);
        }
        behind.extend(&self.payload);
        let length = self.payload_length.unwrap_or(behind.len() as u16);
        let mut octets = vec![self.version << 4, 0, 0, 0];
        octets.extend(length.to_be_bytes());
        octets.extend([numbers[0], 63]);
        octets.extend(self.source.octets());
        octets.extend(self.destination.octets());
        octets.extend(behind);
        octets
    }
}

impl From<Ipv6> for Payload {
    fn from(packet: Ipv6) -> Self {
        Self { ethertype: 0x86dd, octets: packet.octets() }
    }
}
