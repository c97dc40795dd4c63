//! IPv4 and IPv6 headers, whole, odd and cut.

use super::{BAD, BLOCKED, RELAYED, answer, ipv4, ipv6, link, plain, relayed, relayed_v6};
use crate::bench::{Bench, LINEAR, Row, back};
use crate::expect::{malformed, not_smtp};
use crate::frames::{STRANGER, STRANGER_V6, WEST, WEST_V6};
use gate25_common::verdict::Family::{Ipv4 as V4, Ipv6 as V6};
use gate25_tests::packet::{ACK, Extension, Ipv4, Ipv6, Ppp, Tcp, protocol, udp};

fn datagram() -> Ipv4 {
    Ipv4::new(STRANGER, WEST, protocol::UDP, udp(25, 25, &[0; 40]))
}

fn datagram_v6() -> Ipv6 {
    Ipv6::new(STRANGER_V6, WEST_V6, protocol::UDP, udp(25, 25, &[0; 20]))
}

fn from_26() -> Tcp {
    Tcp { source: 26, ..answer() }
}

#[test]
fn ipv4_options_length_and_version() {
    let mut rows: Vec<Row> = Vec::new();
    for words in 0..=10 {
        let with = |packet: Ipv4| plain(Ipv4 { options: vec![1; words * 4], ..packet });
        rows.push(back(format!("{words} words"), with(ipv4(&answer())), BLOCKED));
        rows.push(back(format!("{words} words, relay"), with(relayed()), RELAYED));
        rows.push(back(format!("{words} words, port 26"), with(ipv4(&from_26())), not_smtp(V4)));
    }
    // Options that look like the port of something else, and the reverse.
    let looks = |options: [u8; 4], tcp: &Tcp| plain(Ipv4 { options: options.into(), ..ipv4(tcp) });
    rows.push(back("options like port 587", looks([0x02, 0x4b, 0, 0], &answer()), BLOCKED));
    rows.push(back("options like port 25", looks([0, 25, 0, 25], &from_26()), not_smtp(V4)));
    for ihl in [0, 1, 2, 3, 4, 10, 15] {
        let of = |packet: Ipv4| plain(Ipv4 { ihl: Some(ihl), ..packet });
        rows.push(back(format!("length {ihl}"), of(relayed()), BAD));
        rows.push(back(format!("length {ihl}, udp"), of(datagram()), not_smtp(V4)));
    }
    for version in 0..=15 {
        let expect = if version == 4 { RELAYED } else { BAD };
        rows.push(back(format!("version {version}"), plain(Ipv4 { version, ..relayed() }), expect));
    }
    Bench::main().check(rows);
}

#[test]
fn ipv4_total_length() {
    let of = |total, packet: Ipv4| plain(Ipv4 { total_length: Some(total), ..packet });
    let mut rows: Vec<Row> = Vec::new();
    for total in 1..=23 {
        rows.push(back(format!("total length {total}"), of(total, relayed()), BAD));
        rows.push(back(format!("total length {total}, udp"), of(total, datagram()), not_smtp(V4)));
    }
    let in_options = Ipv4 { options: vec![1; 8], ..relayed() };
    rows.extend([
        row("the ports alone", of(24, relayed())),
        row("longer than the frame", of(1500, relayed())),
        row("much longer", of(65_535, relayed())),
        row("0: by the frame alone", of(0, relayed())),
        row("0, cut behind the ports", of(0, relayed())[..38].to_vec()),
        row("the ports behind options", of(32, in_options.clone())),
        back("before the ports, behind options", of(31, in_options), BAD),
        back("0, cut before the ports", of(0, relayed())[..37].to_vec(), BAD),
        back("0, blocked", of(0, ipv4(&answer())), BLOCKED),
        back("padding behind a packet of 20", [of(20, relayed()), vec![0; 6]].concat(), BAD),
    ]);
    Bench::main().check(rows);
}

/// A pass to the relay.
fn row(name: &str, frame: Vec<u8>) -> Row {
    back(name, frame, RELAYED)
}

#[test]
fn ipv4_fragments() {
    let of = |fragment, packet: Ipv4| plain(Ipv4 { fragment, ..packet });
    let mut rows: Vec<Row> = Vec::new();
    for offset in [1, 2, 185, 0x1fff] {
        for more in [0, Ipv4::MORE] {
            let name = format!("offset {offset}, more {more:#x}");
            rows.push(back(name, of(offset | more, ipv4(&answer())), not_smtp(V4)));
        }
    }
    for (name, fragment) in [("the first", Ipv4::MORE), ("no flag", 0), ("the reserved flag", 0x8000)] {
        rows.push(back(name, of(fragment, ipv4(&answer())), BLOCKED));
        rows.push(back(format!("{name}, relay"), of(fragment, relayed()), RELAYED));
        rows.push(back(format!("{name}, port 26"), of(fragment, ipv4(&from_26())), not_smtp(V4)));
    }
    // A tiny first fragment. The source port is in its first two octets, yet all four of the ports are wanted.
    for kept in [0, 1, 2, 3, 4, 8, 16] {
        let mut tiny = Ipv4 { fragment: Ipv4::MORE, ..relayed() };
        tiny.payload.truncate(kept);
        let expect = if kept < 4 { BAD } else { RELAYED };
        let padded = [plain(tiny.clone()), vec![0; 20]].concat();
        rows.push(back(format!("the first, {kept} octets"), plain(tiny), expect));
        rows.push(back(format!("the first, {kept} octets, padded"), padded, expect));
    }
    Bench::main().check(rows);
}

/// The frame ends at every octet: the destination is the last of an IPv4 header, and behind the source in IPv6. (Without a
/// tag the kernel runs no such frame; see the test of replay.)
#[test]
fn cut() {
    let mut rows: Vec<Row> = Vec::new();
    for (name, link) in [("a tag", link().tags(0x8100, 1)), ("pppoe", link().pppoe(Ppp::Long))] {
        let cut = |frame: Vec<u8>, octets: usize, kept: usize| frame[..frame.len() - octets + kept].to_vec();
        for kept in 0..=40 {
            let expect = match kept {
                0..20 => malformed(),
                20..24 => BAD,
                _ => RELAYED,
            };
            rows.push(back(format!("{name}: {kept}"), cut(link.carry(relayed()), 40, kept), expect));
            let expect = if kept < 10 { malformed() } else { not_smtp(V4) };
            rows.push(back(format!("{name}: udp, {kept}"), cut(link.carry(datagram()), 68, kept), expect));
        }
        for kept in 0..=60 {
            let expect = match kept {
                0..40 => malformed().v6(),
                40..44 => BAD.v6(),
                _ => RELAYED.v6(),
            };
            rows.push(back(format!("{name}: ipv6, {kept}"), cut(link.carry(relayed_v6()), 60, kept), expect));
            let expect = if kept < 7 { malformed().v6() } else { not_smtp(V6) };
            rows.push(back(
                format!("{name}: udp, ipv6, {kept}"),
                cut(link.carry(datagram_v6()), 68, kept),
                expect,
            ));
        }
    }
    Bench::main().check(rows);
}

#[test]
fn ipv6_version_and_payload_length() {
    let of = |length, packet: Ipv6| plain(Ipv6 { payload_length: Some(length), ..packet });
    let extended = || relayed_v6().with([Extension::hop_by_hop()]);
    let mut rows: Vec<Row> = Vec::new();
    for version in 0..=15 {
        let expect = if version == 6 { RELAYED } else { BAD };
        rows.push(back(format!("version {version}"), plain(Ipv6 { version, ..relayed_v6() }), expect.v6()));
    }
    for length in 1..=3 {
        rows.push(back(format!("payload length {length}"), of(length, relayed_v6()), BAD.v6()));
        rows.push(back(format!("payload length {length}, udp"), of(length, datagram_v6()), not_smtp(V6)));
    }
    for length in [1, 3, 8, 11] {
        rows.push(back(format!("payload length {length}, extension"), of(length, extended()), BAD.v6()));
    }
    for (length, packet) in [(4, relayed_v6()), (12, extended()), (1500, relayed_v6()), (0, relayed_v6())] {
        rows.push(back(format!("payload length {length}, whole"), of(length, packet), RELAYED.v6()));
    }
    rows.push(back("0, cut before the ports", of(0, relayed_v6())[..57].to_vec(), BAD.v6()));
    rows.push(back("0, blocked", of(0, ipv6(&answer())), BLOCKED.v6()));
    Bench::main().check(rows);
}

#[test]
fn ipv6_fragments() {
    let of = |offset, more, packet: Ipv6| plain(packet.with([Extension::fragment(offset, more)]));
    let mut rows: Vec<Row> = Vec::new();
    for offset in [1, 185, 0x1fff] {
        for more in [false, true] {
            let name = format!("offset {offset}, more {more}");
            rows.push(back(name, of(offset, more, ipv6(&answer())), not_smtp(V6)));
        }
    }
    for more in [false, true] {
        rows.push(back(format!("the first, more {more}"), of(0, more, ipv6(&answer())), BLOCKED.v6()));
        rows.push(back(format!("the first, relay, more {more}"), of(0, more, relayed_v6()), RELAYED.v6()));
        rows.push(back(
            format!("the first, port 26, more {more}"),
            of(0, more, ipv6(&from_26())),
            not_smtp(V6),
        ));
    }
    for kept in [0, 1, 2, 3, 4, 8] {
        let mut tiny = relayed_v6();
        tiny.payload.truncate(kept);
        let expect = if kept < 4 { BAD } else { RELAYED };
        rows.push(back(format!("the first, {kept} octets"), of(0, true, tiny), expect.v6()));
    }
    Bench::main().check(rows);
}

#[test]
fn chains() {
    let mut rows: Vec<Row> = Vec::new();
    let mut behind = |name: String, chain: &[Extension]| {
        rows.push(back(format!("{name}: blocked"), plain(ipv6(&answer()).with(chain)), BLOCKED.v6()));
        rows.push(back(format!("{name}: relay"), plain(relayed_v6().with(chain)), RELAYED.v6()));
        rows.push(back(format!("{name}: port 26"), plain(ipv6(&from_26()).with(chain)), not_smtp(V6)));
        rows.push(back(format!("{name}: udp"), plain(datagram_v6().with(chain)), not_smtp(V6)));
    };
    let kinds = [0, 43, 60, 135, 139, 140].map(|number| Extension::sized(number, 1));
    let kinds = || kinds.iter().cloned().chain([Extension::authentication(4), Extension::fragment(0, false)]);
    for header in kinds() {
        for length in [1, 7, 8] {
            behind(format!("{length} × {}", header.number), &vec![header.clone(); length]);
        }
    }
    behind("one of each".to_owned(), &kinds().collect::<Vec<_>>());
    for header in kinds() {
        for length in [9, 20] {
            let (name, chain) = (format!("{length} × {}", header.number), vec![header.clone(); length]);
            rows.push(back(format!("{name}: relay"), plain(relayed_v6().with(chain.clone())), BAD.v6()));
            rows.push(back(format!("{name}: udp"), plain(datagram_v6().with(chain)), BAD.v6()));
        }
    }
    // As long as a test-run takes, and cut at every octet of a short one.
    let long = [Extension::sized(60, 255), Extension::sized(60, 150)];
    rows.push(back("long headers", plain(relayed_v6().with(long)), RELAYED.v6()));
    let chain = [Extension::hop_by_hop(), Extension::routing(4), Extension::sized(60, 2)];
    for kept in 0..=44 {
        let frame = plain(relayed_v6().with(chain.clone()))[..54 + kept].to_vec();
        rows.push(back(format!("{kept} octets"), frame, if kept < 44 { BAD.v6() } else { RELAYED.v6() }));
    }
    Bench::main().check(rows);
}

/// As long as a test-run takes on this way.
#[test]
fn long_segments() {
    let data = |port, length| Tcp { source: port, ..Tcp::new(25, 40_000, ACK).payload(vec![0x5a; length]) };
    let mut rows: Vec<Row> = Vec::new();
    for length in [1460, LINEAR - 54] {
        rows.push(back(format!("{length} octets"), plain(ipv4(&data(25, length))), BLOCKED));
        rows.push(back(format!("{length} octets, port 26"), plain(ipv4(&data(26, length))), not_smtp(V4)));
    }
    Bench::main().check(rows);
}
