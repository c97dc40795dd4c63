//! The IPv4 header: options, lengths, fragments.

use crate::bench::{Bench, Row, row};
use crate::expect::{drop, not_smtp, relay, reset};
use crate::frames::{STRANGER, WEST, ipv4, plain, relayed, syn};
use gate25_common::verdict::Family::Ipv4 as V4;
use gate25_common::verdict::Reason::{Default, Malformed};
use gate25_tests::packet::{Ipv4, Tcp, protocol, udp};

fn bad() -> crate::expect::Expect {
    drop(Malformed, "west").quiet()
}

#[test]
fn options() {
    let mut rows: Vec<Row> = Vec::new();
    for words in 0..=10 {
        let options = vec![1; words * 4];
        let with = |packet: Ipv4| plain(Ipv4 { options: options.clone(), ..packet });
        let other = Tcp::syn(40_000, 587);
        rows.push(row(format!("{words} words"), with(ipv4(&syn())), reset(Default, "west")));
        rows.push(row(format!("{words} words, relay"), with(relayed()), relay("west", "west-relay")));
        rows.push(row(format!("{words} words, port 587"), with(ipv4(&other)), not_smtp(V4)));
    }
    // Options that look like the ports of something else, and the reverse.
    let looks = |first: [u8; 4], tcp: &Tcp| plain(Ipv4 { options: first.to_vec(), ..ipv4(tcp) });
    rows.push(row("options like port 587", looks([0x9c, 0x40, 0x02, 0x4b], &syn()), reset(Default, "west")));
    rows.push(row("options like port 25", looks([0x9c, 0x40, 0, 25], &Tcp::syn(40_000, 587)), not_smtp(V4)));
    Bench::main().check(rows);
}

#[test]
fn header_length_and_version() {
    let mut rows: Vec<Row> = Vec::new();
    let datagram = || Ipv4::new(WEST, STRANGER, protocol::UDP, udp(25, 25, &[0; 40]));
    for ihl in 0..5 {
        rows.push(row(format!("length {ihl}"), plain(Ipv4 { ihl: Some(ihl), ..relayed() }), bad()));
        let udp = Ipv4 { ihl: Some(ihl), ..datagram() };
        rows.push(row(format!("length {ihl}, udp"), plain(udp), not_smtp(V4)));
    }
    // 20 octets of TCP are 5 more words: the ports of a header of 10 lie beyond the packet.
    rows.push(row("beyond the packet", plain(Ipv4 { ihl: Some(10), ..relayed() }), bad()));
    rows.push(row("far beyond", plain(Ipv4 { ihl: Some(15), ..relayed() }), bad()));
    rows.push(row("beyond, udp", plain(Ipv4 { ihl: Some(15), ..datagram() }), not_smtp(V4)));
    for version in (0..=15).filter(|version| *version != 4) {
        rows.push(row(format!("version {version}"), plain(Ipv4 { version, ..relayed() }), bad()));
    }
    rows.push(row("version 4", plain(relayed()), relay("west", "west-relay")));
    Bench::main().check(rows);
}

#[test]
fn total_length() {
    let of = |total, packet: Ipv4| plain(Ipv4 { total_length: Some(total), ..packet });
    let with_options = || Ipv4 { options: vec![1; 8], ..relayed() };
    let mut rows: Vec<Row> = Vec::new();
    for total in 1..=23 {
        rows.push(row(format!("total length {total}"), of(total, relayed()), bad()));
        let udp = Ipv4::new(WEST, STRANGER, protocol::UDP, udp(25, 25, &[0; 40]));
        rows.push(row(format!("total length {total}, udp"), of(total, udp), not_smtp(V4)));
    }
    for total in [20, 27, 28, 31] {
        rows.push(row(format!("total length {total} with options"), of(total, with_options()), bad()));
    }
    rows.extend([
        row("the ports with options", of(32, with_options()), relay("west", "west-relay").quiet()),
        row("the ports alone", of(24, relayed()), relay("west", "west-relay").quiet()),
        row("up to the flags", of(34, relayed()), relay("west", "west-relay")),
        row("just before the flags", of(33, relayed()), relay("west", "west-relay").quiet()),
        row("longer than the frame", of(1500, relayed()), relay("west", "west-relay")),
        row("much longer", of(65_535, relayed()), relay("west", "west-relay")),
        row("longer than the frame, blocked", of(41, ipv4(&syn())), drop(Default, "west")),
        row("0: by the frame alone", of(0, relayed()), relay("west", "west-relay")),
        row("0, blocked", of(0, ipv4(&syn())), reset(Default, "west")),
        row("0, cut before the ports", of(0, relayed())[..37].to_vec(), bad()),
        row("0, cut behind them", of(0, relayed())[..38].to_vec(), relay("west", "west-relay").quiet()),
        row(
            "padding behind the packet",
            [plain(ipv4(&syn())), vec![0xee; 6]].concat(),
            reset(Default, "west"),
        ),
        row("padding behind a packet of 20", [of(20, relayed()), vec![0; 6]].concat(), bad()),
    ]);
    Bench::main().check(rows);
}

#[test]
fn fragments() {
    let of = |fragment, packet: Ipv4| plain(Ipv4 { fragment, ..packet });
    let mut rows: Vec<Row> = Vec::new();
    for offset in [1, 2, 185, 0x1000, 0x1fff] {
        for more in [0, Ipv4::MORE] {
            let name = format!("offset {offset}, more {more:#x}");
            rows.push(row(name.clone(), of(offset | more, ipv4(&syn())), not_smtp(V4)));
            // Not even where nothing else of it can be read.
            let odd = Ipv4 { ihl: Some(4), ..ipv4(&syn()) };
            rows.push(row(format!("{name}, odd"), of(offset | more, odd), not_smtp(V4)));
        }
    }
    for (name, fragment) in [("don't fragment", 0x4000), ("no flag", 0), ("the reserved flag", 0x8000)] {
        rows.push(row(name, of(fragment, ipv4(&syn())), reset(Default, "west")));
    }
    rows.extend([
        row("the first", of(Ipv4::MORE, ipv4(&syn())), drop(Default, "west")),
        row("the first, to a relay", of(Ipv4::MORE, relayed()), relay("west", "west-relay")),
        row("the first, port 587", of(Ipv4::MORE, ipv4(&Tcp::syn(40_000, 587))), not_smtp(V4)),
    ]);
    // A tiny first fragment: what it holds of TCP ends before, or behind, the destination port.
    for kept in [0, 1, 2, 3, 4, 8, 16] {
        let tiny = |packet: Ipv4| {
            let payload = packet.payload[..kept].to_vec();
            Ipv4 { payload, fragment: Ipv4::MORE, ..packet }
        };
        let expect = if kept < 4 { bad() } else { relay("west", "west-relay") };
        let expect = if kept < 14 { expect.quiet() } else { expect };
        rows.push(row(format!("the first, {kept} octets"), plain(tiny(relayed())), expect));
        // Padded to the shortest frame on the wire: its padding is not the packet.
        let padded = [plain(tiny(relayed())), vec![0; 46]].concat()[..60].to_vec();
        rows.push(row(format!("the first, {kept} octets, padded"), padded, expect));
    }
    let rest = Ipv4 { payload: vec![0, 25, 0, 0, 0, 0, 0, 0], fragment: 1, ..relayed() };
    rows.push(row("the second of a tiny first", plain(rest), not_smtp(V4)));
    Bench::main().check(rows);
}
