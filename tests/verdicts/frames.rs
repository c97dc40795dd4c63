//! Short words for the frames of the table. Subscribers and remote hosts are those of [`crate::policies::MAIN`].

use gate25_tests::packet::{Ipv4, Ipv6, Link, Tcp, packet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A subscriber of zone west whom no rule names.
pub(crate) const WEST: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
/// The same in IPv6.
pub(crate) const WEST_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 0, 0, 0, 0, 7);
/// A host that no rule names.
pub(crate) const STRANGER: Ipv4Addr = Ipv4Addr::new(198, 18, 255, 1);
/// The same in IPv6.
pub(crate) const STRANGER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x5, 0, 0, 0, 0, 1);
/// The relay of zone west.
pub(crate) const RELAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 25);
/// The same in IPv6.
pub(crate) const RELAY_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x25, 0, 0, 0, 0, 25);

/// A bare SYN to port 25.
pub(crate) fn syn() -> Tcp {
    Tcp::syn(40_000, 25)
}

/// An untagged frame with a segment between any two addresses of one family.
pub(crate) fn between(subscriber: &str, remote: &str, tcp: &Tcp) -> Vec<u8> {
    let [subscriber, remote] = [subscriber, remote].map(|text| text.parse::<IpAddr>().expect("an address"));
    Link::new().carry(packet(subscriber, remote, tcp))
}

/// An untagged frame with a bare SYN to port 25.
pub(crate) fn connect(subscriber: &str, remote: &str) -> Vec<u8> {
    between(subscriber, remote, &syn())
}

/// A segment from west to a stranger.
pub(crate) fn ipv4(tcp: &Tcp) -> Ipv4 {
    Ipv4::tcp(WEST, STRANGER, tcp)
}

/// The same in IPv6.
pub(crate) fn ipv6(tcp: &Tcp) -> Ipv6 {
    Ipv6::tcp(WEST_V6, STRANGER_V6, tcp)
}

/// A bare SYN to the relay of west.
pub(crate) fn relayed() -> Ipv4 {
    Ipv4::tcp(WEST, RELAY, &syn())
}

/// The same in IPv6.
pub(crate) fn relayed_v6() -> Ipv6 {
    Ipv6::tcp(WEST_V6, RELAY_V6, &syn())
}

/// On Ethernet, without anything between.
pub(crate) fn plain(packet: impl Into<gate25_tests::packet::Payload>) -> Vec<u8> {
    Link::new().carry(packet)
}
