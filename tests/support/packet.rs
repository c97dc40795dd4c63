//! Frames, right and wrong: every field can be forced, so that a test can make what no stack would send. Nothing here
//! shares code with the parser under test.
//!
//! ```
//! use gate25_tests::packet::{Ipv4, Link, Tcp};
//! let syn = Tcp::syn(40_000, 25);
//! let packet = Ipv4::tcp("203.0.113.7".parse()?, "192.0.2.25".parse()?, &syn);
//! let frame = Link::new().tag(0x8100, 7).carry(packet);
//! assert_eq!(frame.len(), 14 + 4 + 20 + 20);
//! # Ok::<(), std::net::AddrParseError>(())
//! ```

mod ipv4;
mod ipv6;
mod link;
mod tcp;

pub use ipv4::Ipv4;
pub use ipv6::{Extension, Ipv6};
pub use link::{Link, Payload, Ppp, arp};
pub use tcp::{ACK, FIN, PSH, RST, SYN, Tcp, udp};

use std::net::IpAddr;

/// IANA protocol numbers.
pub mod protocol {
    /// RFC 792.
    pub const ICMP: u8 = 1;
    /// RFC 9293.
    pub const TCP: u8 = 6;
    /// RFC 768.
    pub const UDP: u8 = 17;
    /// RFC 2784.
    pub const GRE: u8 = 47;
    /// RFC 4303.
    pub const ESP: u8 = 50;
    /// RFC 4302.
    pub const AUTHENTICATION: u8 = 51;
    /// RFC 4443.
    pub const ICMPV6: u8 = 58;
    /// RFC 8200 section 4.7.
    pub const NO_NEXT: u8 = 59;
}

/// A TCP segment from `subscriber` to `remote` in a packet of their family.
///
/// # Panics
/// If the addresses are of two families.
#[must_use]
pub fn packet(subscriber: IpAddr, remote: IpAddr, tcp: &Tcp) -> Payload {
    match (subscriber, remote) {
        (IpAddr::V4(subscriber), IpAddr::V4(remote)) => Ipv4::tcp(subscriber, remote, tcp).into(),
        (IpAddr::V6(subscriber), IpAddr::V6(remote)) => Ipv6::tcp(subscriber, remote, tcp).into(),
        _ => panic!("{subscriber} and {remote} are of two families"),
    }
}

/// The ones' complement of the ones' complement sum of big-endian words (RFC 1071).
fn checksum<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u16 {
    let octets: Vec<u8> = parts.into_iter().flatten().copied().collect();
    let mut sum = 0_u32;
    for pair in octets.chunks(2) {
        let word = u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
        sum += u32::from(word);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
