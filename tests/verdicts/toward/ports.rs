//! Which packets are looked at: TCP from port 25, whatever its flags.

use super::{BLOCKED, RELAYED, answer, ipv4, ipv6, plain, relayed};
use crate::bench::{Bench, Row, back};
use crate::expect::not_smtp;
use crate::frames::{STRANGER, STRANGER_V6, WEST, WEST_V6};
use gate25_common::verdict::Family::{Ipv4 as V4, Ipv6 as V6};
use gate25_tests::packet::{ACK, Extension, FIN, Ipv4, Ipv6, PSH, RST, SYN, Tcp, protocol, udp};

#[test]
fn ports() {
    let mut rows = Vec::new();
    for source in [0, 1, 24, 26, 0x1900, 0x0119, 465, 587, 2525, 65_535] {
        let tcp = Tcp { source, ..answer() };
        rows.push(back(format!("from port {source}"), plain(ipv4(&tcp)), not_smtp(V4)));
        rows.push(back(format!("from port {source}, ipv6"), plain(ipv6(&tcp)), not_smtp(V6)));
        // To a server of the subscriber's: what it is asked is not judged here.
        let tcp = Tcp { source, destination: 25, ..answer() };
        rows.push(back(format!("from port {source} to 25"), plain(ipv4(&tcp)), not_smtp(V4)));
        rows.push(back(format!("from port {source} to 25, ipv6"), plain(ipv6(&tcp)), not_smtp(V6)));
    }
    for destination in [0, 24, 25, 26, 465, 65_535] {
        let tcp = Tcp { destination, ..answer() };
        rows.push(back(format!("to port {destination}"), plain(ipv4(&tcp)), BLOCKED));
        rows.push(back(format!("to port {destination}, ipv6"), plain(ipv6(&tcp)), BLOCKED.v6()));
    }
    Bench::main().check(rows);
}

/// A block on this way is always a drop; a SYN without ACK is an attempt here as well.
#[test]
fn flags() {
    let mut rows = Vec::new();
    for flags in [0, SYN | ACK, ACK, PSH | ACK, FIN | ACK, RST, RST | ACK, SYN, SYN | 0xc0] {
        let tcp = Tcp::new(25, 40_000, flags).payload(*b"220 mail.example\r\n");
        let expect = |mut expect: crate::expect::Expect| {
            expect.attempt = flags & (SYN | ACK) == SYN;
            expect
        };
        rows.push(back(format!("flags {flags:#x}"), plain(ipv4(&tcp)), expect(BLOCKED)));
        rows.push(back(format!("flags {flags:#x}, ipv6"), plain(ipv6(&tcp)), expect(BLOCKED.v6())));
        let relayed = Ipv4::tcp(crate::frames::RELAY, WEST, &tcp);
        rows.push(back(format!("flags {flags:#x}, relay"), plain(relayed), expect(RELAYED)));
        let broken = plain(ipv4(&Tcp { wrong_checksum: true, ..Tcp::new(25, 40_000, flags) }));
        rows.push(back(format!("flags {flags:#x}, wrong checksum"), broken, expect(BLOCKED)));
    }
    // The flags are the fourteenth octet; beyond the packet's own end they are padding.
    let syn = || Ipv4::tcp(STRANGER, WEST, &Tcp::syn(25, 40_000));
    for kept in [4, 13, 14, 19] {
        let expect = crate::expect::Expect { attempt: kept >= 14, ..BLOCKED };
        let frame = plain(syn());
        rows.push(back(format!("a SYN cut to {kept}"), frame[..34 + kept].to_vec(), expect));
        let short = Ipv4 { total_length: Some(20 + kept as u16), ..syn() };
        rows.push(back(format!("a SYN whose packet has {kept}"), plain(short), expect));
    }
    Bench::main().check(rows);
}

#[test]
fn other_protocols() {
    let octets = udp(25, 25, b"220 mail.example");
    let mut rows: Vec<Row> = Vec::new();
    for number in [2, 4, 5, 7, protocol::UDP, 33, 41, protocol::GRE, protocol::ESP, 132, 253, 255] {
        let packet = Ipv4::new(STRANGER, WEST, number, octets.clone());
        rows.push(back(format!("protocol {number}"), plain(packet), not_smtp(V4)));
        let packet = Ipv6::new(STRANGER_V6, WEST_V6, number, octets.clone());
        rows.push(back(format!("next header {number}"), plain(packet), not_smtp(V6)));
    }
    // ICMP, errors that quote a blocked connection among it, passes as it is. In IPv6 each number is the other's.
    for number in [protocol::ICMP, protocol::ICMPV6] {
        for kind in [0, 1, 2, 3, 4, 8, 11, 12, 128, 135] {
            let error = |quote: Vec<u8>| [vec![kind, 1, 0, 0, 0, 0, 0, 0], quote].concat();
            let syn = Tcp::syn(40_000, 25);
            let quote = error(Ipv4::tcp(WEST, STRANGER, &syn).octets());
            let packet = Ipv4::new(STRANGER, WEST, number, quote);
            rows.push(back(format!("{number} of type {kind}"), plain(packet.clone()), not_smtp(V4)));
            let fragment = Ipv4 { fragment: Ipv4::MORE, ..packet };
            rows.push(back(format!("{number} of type {kind}, fragment"), plain(fragment), not_smtp(V4)));
            let quote = error(Ipv6::tcp(WEST_V6, STRANGER_V6, &syn).octets());
            let packet = Ipv6::new(STRANGER_V6, WEST_V6, number, quote);
            rows.push(back(format!("{number} of type {kind}, ipv6"), plain(packet.clone()), not_smtp(V6)));
            let behind = packet.with([Extension::destination()]);
            rows.push(back(format!("{number} of type {kind}, chain"), plain(behind), not_smtp(V6)));
        }
        let odd = Ipv4 { ihl: Some(3), ..Ipv4::new(STRANGER, WEST, number, vec![3, 1, 0, 0]) };
        rows.push(back(format!("{number} in an odd header"), plain(odd), not_smtp(V4)));
    }
    rows.push(back("a pass beside them", plain(relayed()), RELAYED));
    Bench::main().check(rows);
}
