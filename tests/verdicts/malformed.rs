//! Headers cut at every length: what could still be TCP to port 25 is blocked, what cannot be passes.

use crate::bench::{Bench, Row, row};
use crate::expect::{drop, malformed, not_smtp, relay};
use crate::frames::{STRANGER, STRANGER_V6, WEST, WEST_V6, relayed, relayed_v6};
use gate25_common::verdict::Family::{Ipv4 as V4, Ipv6 as V6};
use gate25_common::verdict::Reason::Malformed;
use gate25_tests::packet::{Ipv4, Ipv6, Link, Payload, Ppp, protocol, udp};

/// The link headers that each is behind.
fn links() -> [(&'static str, Link, usize); 3] {
    [
        ("ethernet", Link::new(), 14),
        ("two tags", Link::new().tags(0x88a8, 1).tags(0x8100, 1), 22),
        ("pppoe in a tag", Link::new().tags(0x8100, 1).pppoe(Ppp::Long), 26),
    ]
}

fn cut(link: &Link, header: usize, packet: impl Into<Payload>, kept: usize) -> Vec<u8> {
    let mut frame = link.carry(packet);
    assert!(header + kept <= frame.len());
    frame.truncate(header + kept);
    frame
}

#[test]
fn ipv4_cut() {
    let mut rows: Vec<Row> = Vec::new();
    let bad = |kept| if kept < 16 { malformed() } else { drop(Malformed, "west").quiet() };
    for (name, link, header) in links() {
        for kept in 0..=40 {
            let expect = match kept {
                0..24 => bad(kept),
                24..34 => relay("west", "west-relay").quiet(),
                _ => relay("west", "west-relay"),
            };
            rows.push(row(
                format!("{name}: tcp, {kept} octets"),
                cut(&link, header, relayed(), kept),
                expect,
            ));
            let options = Ipv4 { options: vec![1; 20], ..relayed() };
            let frame = cut(&link, header, options, kept);
            rows.push(row(format!("{name}: tcp with options, {kept} octets"), frame, bad(kept)));
        }
        for kept in 0..=28 {
            // The protocol is the tenth octet.
            let expect = if kept < 10 { malformed() } else { not_smtp(V4) };
            let datagram = Ipv4::new(WEST, STRANGER, protocol::UDP, udp(25, 25, &[]));
            rows.push(row(format!("{name}: udp, {kept} octets"), cut(&link, header, datagram, kept), expect));
            // The fragment offset is in the seventh and eighth.
            let expect = if kept < 8 { malformed() } else { not_smtp(V4) };
            let fragment = Ipv4 { fragment: 1, ..relayed() };
            rows.push(row(
                format!("{name}: fragment, {kept} octets"),
                cut(&link, header, fragment, kept),
                expect,
            ));
        }
        for kept in 1..=40 {
            let wrong = Ipv4 { version: 6, ..relayed() };
            rows.push(row(
                format!("{name}: version 6, {kept} octets"),
                cut(&link, header, wrong, kept),
                bad(kept),
            ));
        }
    }
    Bench::main().check(rows);
}

#[test]
fn ipv6_cut() {
    let mut rows: Vec<Row> = Vec::new();
    let bad = |kept| if kept < 24 { malformed().v6() } else { drop(Malformed, "west").quiet().v6() };
    for (name, link, header) in links() {
        for kept in 0..=60 {
            let expect = match kept {
                0..44 => bad(kept),
                44..54 => relay("west", "west-relay").quiet().v6(),
                _ => relay("west", "west-relay").v6(),
            };
            rows.push(row(
                format!("{name}: tcp, {kept} octets"),
                cut(&link, header, relayed_v6(), kept),
                expect,
            ));
        }
        for number in [protocol::UDP, protocol::ICMPV6, protocol::ESP, protocol::NO_NEXT] {
            for kept in 0..=48 {
                // The next header is the seventh octet.
                let expect = if kept < 7 { malformed().v6() } else { not_smtp(V6) };
                let packet = Ipv6::new(WEST_V6, STRANGER_V6, number, vec![0, 25, 0, 25, 0, 8, 0, 0]);
                rows.push(row(
                    format!("{name}: {number}, {kept} octets"),
                    cut(&link, header, packet, kept),
                    expect,
                ));
            }
        }
        for number in [0, 43, 44, 51, 60, 135, 139, 140] {
            for kept in 0..=40 {
                let packet = Ipv6::new(WEST_V6, STRANGER_V6, number, vec![17; 8]);
                let frame = cut(&link, header, packet, kept);
                rows.push(row(format!("{name}: extension {number}, {kept} octets"), frame, bad(kept)));
            }
        }
        for kept in 1..=60 {
            let wrong = Ipv6 { version: 4, ..relayed_v6() };
            rows.push(row(
                format!("{name}: version 4, {kept} octets"),
                cut(&link, header, wrong, kept),
                bad(kept),
            ));
        }
    }
    Bench::main().check(rows);
}
