//! TCP (RFC 9293 section 3.1) and UDP (RFC 768).

use super::{checksum, protocol};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};

/// No more data from the sender.
pub const FIN: u8 = 0x01;
/// First of a connection.
pub const SYN: u8 = 0x02;
/// End of a connection.
pub const RST: u8 = 0x04;
/// Push.
pub const PSH: u8 = 0x08;
/// The acknowledgement number counts.
pub const ACK: u8 = 0x10;

/// A segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tcp {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Sequence number. Every new value of this type has another one, so that no SYN is by chance a retransmission.
    pub sequence: u32,
    /// Acknowledgement number.
    pub acknowledgement: u32,
    /// Flags, of which this module names some.
    pub flags: u8,
    /// Octets between the fixed header and the payload; a multiple of 4.
    pub options: Vec<u8>,
    /// Header length in words of 4 octets, where it shall not be the true one.
    pub data_offset: Option<u8>,
    /// What follows the header.
    pub payload: Vec<u8>,
    /// One bit of the checksum is wrong.
    pub wrong_checksum: bool,
}

impl Tcp {
    /// A segment with those flags.
    #[must_use]
    pub fn new(source: u16, destination: u16, flags: u8) -> Self {
        static SEQUENCE: AtomicU32 = AtomicU32::new(0x1234_5678);
        let acknowledgement = if flags & ACK == 0 { 0 } else { 0x8765_4321 };
        Self {
            source,
            destination,
            sequence: SEQUENCE.fetch_add(0x0001_0007, Ordering::Relaxed),
            acknowledgement,
            flags,
            options: Vec::new(),
            data_offset: None,
            payload: Vec::new(),
            wrong_checksum: false,
        }
    }

    /// A bare SYN.
    #[must_use]
    pub fn syn(source: u16, destination: u16) -> Self {
        Self::new(source, destination, SYN)
    }

    /// With that payload.
    #[must_use]
    pub fn payload(self, payload: impl Into<Vec<u8>>) -> Self {
        Self { payload: payload.into(), ..self }
    }

    /// With those options.
    #[must_use]
    pub fn options(self, options: impl Into<Vec<u8>>) -> Self {
        Self { options: options.into(), ..self }
    }

    /// With a checksum that does not fit.
    #[must_use]
    pub fn broken(self) -> Self {
        Self { wrong_checksum: true, ..self }
    }

    /// As it lies behind an IP header with those addresses.
    #[must_use]
    pub fn octets(&self, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let words = self.data_offset.unwrap_or(5 + (self.options.len() / 4) as u8);
        let mut octets = Vec::new();
        octets.extend(self.source.to_be_bytes());
        octets.extend(self.destination.to_be_bytes());
        octets.extend(self.sequence.to_be_bytes());
        octets.extend(self.acknowledgement.to_be_bytes());
        octets.extend([words << 4, self.flags, 0x20, 0, 0, 0, 0, 0]);
        octets.extend(&self.options);
        octets.extend(&self.payload);
        let sum = checksum([pseudo_header(source, destination, octets.len()).as_slice(), &octets]);
        octets[16..18].copy_from_slice(&(sum ^ u16::from(self.wrong_checksum)).to_be_bytes());
        octets
    }
}

fn pseudo_header(source: IpAddr, destination: IpAddr, length: usize) -> Vec<u8> {
    let mut octets = Vec::new();
    for address in [source, destination] {
        match address {
            IpAddr::V4(address) => octets.extend(address.octets()),
            IpAddr::V6(address) => octets.extend(address.octets()),
        }
    }
    octets.extend((length as u32).to_be_bytes());
    octets.extend([0, 0, 0, protocol::TCP]);
    octets
}

/// A UDP datagram without checksum.
#[must_use]
pub fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    octets.extend(source.to_be_bytes());
    octets.extend(destination.to_be_bytes());
    octets.extend((8 + payload.len() as u16).to_be_bytes());
    octets.extend([0, 0]);
    octets.extend(payload);
    octets
}
