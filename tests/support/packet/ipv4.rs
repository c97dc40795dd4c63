//! RFC 791 section 3.1.

use super::{Payload, Tcp, checksum, protocol};
use std::net::Ipv4Addr;

/// An IPv4 packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ipv4 {
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// What the header says that follows.
    pub protocol: u8,
    /// 4, or something wrong.
    pub version: u8,
    /// Header length in words of 4 octets, where it shall not be the true one.
    pub ihl: Option<u8>,
    /// Total length, where it shall not be the true one.
    pub total_length: Option<u16>,
    /// Flags and fragment offset, as the field lies.
    pub fragment: u16,
    /// Options; a multiple of 4 octets.
    pub options: Vec<u8>,
    /// What follows the header.
    pub payload: Vec<u8>,
}

impl Ipv4 {
    /// "More fragments" in [`Ipv4::fragment`].
    pub const MORE: u16 = 0x2000;

    /// A packet of any protocol.
    #[must_use]
    pub fn new(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, payload: Vec<u8>) -> Self {
        Self {
            source,
            destination,
            protocol,
            version: 4,
            ihl: None,
            total_length: None,
            fragment: 0x4000,
            options: Vec::new(),
            payload,
        }
    }

    /// A TCP segment.
    #[must_use]
    pub fn tcp(source: Ipv4Addr, destination: Ipv4Addr, tcp: &Tcp) -> Self {
        Self::new(source, destination, protocol::TCP, tcp.octets(source.into(), destination.into()))
    }

    /// The packet's octets, header checksum right.
    #[must_use]
    pub fn octets(&self) -> Vec<u8> {
        let header_length = 20 + self.options.len();
        let ihl = self.ihl.unwrap_or((header_length / 4) as u8);
        let length = self.total_length.unwrap_or((header_length + self.payload.len()) as u16);
        let mut octets = vec![self.version << 4 | ihl, 0];
        octets.extend(length.to_be_bytes());
        octets.extend([0x51, 0x52]);
        octets.extend(self.fragment.to_be_bytes());
        octets.extend([63, self.protocol, 0, 0]);
        octets.extend(self.source.octets());
        octets.extend(self.destination.octets());
        octets.extend(&self.options);
        let sum = checksum([octets.as_slice()]);
        octets[10..12].copy_from_slice(&sum.to_be_bytes());
        octets.extend(&self.payload);
        octets
    }
}

impl From<Ipv4> for Payload {
    fn from(packet: Ipv4) -> Self {
        Self { ethertype: 0x0800, octets: packet.octets() }
    }
}
