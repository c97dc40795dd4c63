//! The way back: frames toward subscribers. Of these the source port and the destination address count.

mod headers;
mod link;
mod ports;
mod replay;
mod zones;

use crate::expect::{Expect, drop, exception, relay};
use crate::frames::{RELAY, RELAY_V6, STRANGER, STRANGER_V6, WEST, WEST_V6};
use gate25_common::verdict::Reason::{Default, Malformed};
use gate25_tests::packet::{ACK, Ipv4, Ipv6, Link, Payload, SYN, Tcp, packet};
use std::net::IpAddr;

/// A remote server's answer to a SYN.
fn answer() -> Tcp {
    Tcp::new(25, 40_000, SYN | ACK)
}

/// A segment toward west from a stranger.
fn ipv4(tcp: &Tcp) -> Ipv4 {
    Ipv4::tcp(STRANGER, WEST, tcp)
}

/// The same in IPv6.
fn ipv6(tcp: &Tcp) -> Ipv6 {
    Ipv6::tcp(STRANGER_V6, WEST_V6, tcp)
}

/// An answer of the relay of west.
fn relayed() -> Ipv4 {
    Ipv4::tcp(RELAY, WEST, &answer())
}

/// The same in IPv6.
fn relayed_v6() -> Ipv6 {
    Ipv6::tcp(RELAY_V6, WEST_V6, &answer())
}

/// Toward the subscriber, in the gateway's frame.
fn link() -> Link {
    let mut link = Link::new();
    (link.destination, link.source) = (Link::SUBSCRIBER, Link::GATEWAY);
    link
}

fn plain(packet: impl Into<Payload>) -> Vec<u8> {
    link().carry(packet)
}

/// A segment between any two addresses of one family; the subscriber's is the first here as everywhere.
fn between(subscriber: &str, remote: &str, tcp: &Tcp) -> Vec<u8> {
    let [subscriber, remote] = [subscriber, remote].map(|text| text.parse::<IpAddr>().expect("an address"));
    plain(packet(remote, subscriber, tcp))
}

/// An IPv4 packet of west that is blocked; on this way that is always a drop.
const BLOCKED: Expect = drop(Default, "west").quiet();
/// One that cannot be read, but for its destination.
const BAD: Expect = drop(Malformed, "west").quiet();
/// One of the relay.
const RELAYED: Expect = relay("west", "west-relay").quiet();
/// One of a host that everybody in west may reach.
const CAMPUS: Expect = exception("west", "campus").quiet();
