//! Ports, and what is not TCP at all.

use crate::bench::{Bench, Row, row};
use crate::expect::{Expect, drop, not_smtp, reset};
use crate::frames::{STRANGER, STRANGER_V6, WEST, WEST_V6, ipv4, ipv6, plain, syn};
use gate25_common::verdict::Family::{Ipv4 as V4, Ipv6 as V6};
use gate25_common::verdict::Reason::Default;
use gate25_tests::packet::{ACK, Ipv4, Ipv6, Link, RST, SYN, Tcp, protocol, udp};

#[test]
fn ports() {
    let mut rows = Vec::new();
    for port in [0, 1, 24, 26, 0x1900, 0x0119, 465, 587, 2525, 65_535] {
        let tcp = Tcp::syn(40_000, port);
        rows.push(row(format!("to port {port}"), plain(ipv4(&tcp)), not_smtp(V4)));
        rows.push(row(format!("to port {port}, ipv6"), plain(ipv6(&tcp)), not_smtp(V6)));
    }
    for source in [0, 24, 25, 26, 465, 65_535] {
        let tcp = Tcp::syn(source, 25);
        rows.push(row(format!("from port {source}"), plain(ipv4(&tcp)), reset(Default, "west")));
        rows.push(row(format!("from port {source}, ipv6"), plain(ipv6(&tcp)), reset(Default, "west").v6()));
    }
    // A subscriber's own server answers: the return path is not judged here.
    let answer = Tcp::new(25, 40_000, SYN | ACK);
    rows.push(row("source port 25", plain(ipv4(&answer)), not_smtp(V4)));
    rows.push(row("source port 25, ipv6", plain(ipv6(&answer)), not_smtp(V6)));
    Bench::main().check(rows);
}

#[test]
fn other_protocols() {
    let octets = udp(25, 25, b"EHLO");
    let mut rows: Vec<Row> = Vec::new();
    // What would be TCP to port 25 if its protocol were 6; but those numbers that IPv6 reads as extension headers.
    let numbers =
        [protocol::ICMP, 2, 4, 5, 7, protocol::UDP, 33, 41, protocol::GRE, protocol::ESP, 97, 132, 253, 255];
    for number in numbers {
        let packet = Ipv4::new(WEST, STRANGER, number, octets.clone());
        rows.push(row(format!("protocol {number}"), plain(packet), not_smtp(V4)));
        let packet = Ipv6::new(WEST_V6, STRANGER_V6, number, octets.clone());
        rows.push(row(format!("next header {number}"), plain(packet), not_smtp(V6)));
    }
    // In IPv4 nothing is an extension header, not even what is one in IPv6; AH is not read.
    for number in [0, 43, 44, protocol::AUTHENTICATION, 60, 135, 139, 140] {
        let mut behind = vec![protocol::TCP, 0, 0, 0, 0, 0, 0, 0];
        behind.extend(syn().octets(WEST.into(), STRANGER.into()));
        let packet = Ipv4::new(WEST, STRANGER, number, behind);
        rows.push(row(format!("protocol {number} before tcp"), plain(packet), not_smtp(V4)));
    }
    Bench::main().check(rows);
}

/// `drop` where no answer can be made, each beside the packet that is answered.
#[test]
fn what_is_never_answered() {
    Bench::main().check(answered_and_not(reset(Default, "west")));
}

/// The rows of that, where an answer is this one.
pub(crate) fn answered_and_not(answered: Expect) -> Vec<Row> {
    let silent = drop(Default, "west");
    let link = Link::new();
    let data = |flags| Tcp::new(40_000, 25, flags).payload(*b"EHLO client.example\r\n");
    let to = |address: [u8; 4], tcp: &Tcp| Ipv4::tcp(WEST, address.into(), tcp);
    let to_v6 = |address: &str, tcp: &Tcp| Ipv6::tcp(WEST_V6, address.parse().expect("an address"), tcp);
    let more = |packet: Ipv4| Ipv4 { fragment: Ipv4::MORE, ..packet };
    let mut rows = vec![
        row("a RST", plain(ipv4(&data(RST))), silent.quiet()),
        row("a RST with ACK", plain(ipv4(&data(RST | ACK))), silent.quiet()),
        row("an ACK", plain(ipv4(&data(ACK))), answered.quiet()),
        row("a fragment", plain(more(ipv4(&syn()))), silent),
        row("no fragment", plain(ipv4(&syn())), answered),
        row("a wrong checksum", plain(ipv4(&data(ACK).broken())), silent.quiet()),
        row("a SYN with data and a wrong checksum", plain(ipv4(&data(SYN).broken())), silent),
        row("a SYN with data", plain(ipv4(&data(SYN))), answered),
        row("a bare SYN with a wrong checksum", plain(ipv4(&syn().broken())), answered),
        row("a wrong checksum, ipv6", plain(ipv6(&data(ACK).broken())), silent.v6().quiet()),
        row("a right one, ipv6", plain(ipv6(&data(ACK))), answered.v6().quiet()),
        row("to 223.255.255.255", plain(to([223, 255, 255, 255], &syn())), answered),
        row("to 224.0.0.1", plain(to([224, 0, 0, 1], &syn())), silent),
        row("to 239.255.255.255", plain(to([239, 255, 255, 255], &syn())), silent),
        row("to 255.255.255.255", plain(to([255; 4], &syn())), silent),
        row("to ff02::1", plain(to_v6("ff02::1", &syn())), silent.v6()),
        row("to fe00::1", plain(to_v6("fe00::1", &syn())), answered.v6()),
        row(
            "to a group's MAC address",
            link.clone().to([0x01, 0, 0x5e, 0, 0, 1]).carry(ipv4(&syn())),
            silent,
        ),
        row("to ff:ff:ff:ff:ff:ff", link.clone().to([0xff; 6]).carry(ipv6(&syn())), silent.v6()),
        row("to 02:01:01:01:01:01", link.clone().to([2, 1, 1, 1, 1, 1]).carry(ipv4(&syn())), answered),
        row("header length 4", plain(ipv4(&Tcp { data_offset: Some(4), ..data(ACK) })), silent.quiet()),
        row("header length 0", plain(ipv4(&Tcp { data_offset: Some(0), ..data(ACK) })), silent.quiet()),
        row(
            "header beyond the packet",
            plain(ipv4(&Tcp { data_offset: Some(11), ..data(ACK) })),
            silent.quiet(),
        ),
        row(
            "header as long as the packet",
            plain(ipv4(&Tcp { data_offset: Some(10), ..data(ACK).payload([0; 20]) })),
            answered.quiet(),
        ),
    ];
    // The segment cut in the frame: behind the ports it is read, but not answered. The flags are the 14th octet.
    for kept in [4, 8, 13, 14, 19] {
        let expect = if kept < 14 { silent.quiet() } else { silent };
        let cut = |frame: Vec<u8>, network: usize| frame[..14 + network + kept].to_vec();
        rows.push(row(format!("{kept} octets of tcp"), cut(plain(ipv4(&syn())), 20), expect));
        rows.push(row(format!("{kept} octets of tcp, ipv6"), cut(plain(ipv6(&syn())), 40), expect.v6()));
        let short = Ipv4 { total_length: Some(20 + kept as u16), ..ipv4(&syn()) };
        rows.push(row(format!("{kept} octets of tcp by the total length"), plain(short), expect));
        let short = Ipv6 { payload_length: Some(kept as u16), ..ipv6(&syn()) };
        rows.push(row(format!("{kept} octets of tcp by the payload length"), plain(short), expect.v6()));
    }
    let whole = Ipv4 { total_length: Some(40), ..ipv4(&syn()) };
    rows.push(row("20 octets of tcp by the total length", plain(whole), answered));
    let cut = plain(ipv4(&data(ACK)));
    rows.push(row("payload cut", cut[..cut.len() - 1].to_vec(), silent.quiet()));
    rows
}

/// The checksum is verified over payloads of every length, and of every length a wrong one is found.
#[test]
fn checksums() {
    let mut rows = Vec::new();
    for length in (1..=70).chain([511, 512, 513, 1000, 1001, 1440, 1460]) {
        let payload: Vec<u8> = (0..length).map(|octet: u32| (octet * 37 + 11) as u8).collect();
        let tcp = Tcp::new(40_000, 25, ACK).payload(payload);
        let wrong_at_the_end = |mut frame: Vec<u8>| {
            *frame.last_mut().expect("an octet") ^= 0x10;
            frame
        };
        let (answered, silent) = (reset(Default, "west").quiet(), drop(Default, "west").quiet());
        rows.push(row(format!("{length} octets"), plain(ipv4(&tcp)), answered));
        rows.push(row(format!("{length} octets, ipv6"), plain(ipv6(&tcp)), answered.v6()));
        rows.push(row(
            format!("{length} octets, the last wrong"),
            wrong_at_the_end(plain(ipv4(&tcp))),
            silent,
        ));
        rows.push(row(
            format!("{length} octets, the last wrong, ipv6"),
            wrong_at_the_end(plain(ipv6(&tcp))),
            silent.v6(),
        ));
    }
    Bench::main().check(rows);
}
