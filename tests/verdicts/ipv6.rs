//! The IPv6 header: version, payload length, fragments.

use crate::bench::{Bench, Row, row};
use crate::expect::{Expect, drop, not_smtp, relay, reset};
use crate::frames::{STRANGER_V6, WEST_V6, ipv6, plain, relayed_v6, syn};
use gate25_common::verdict::Family::Ipv6 as V6;
use gate25_common::verdict::Reason::{Default, Malformed};
use gate25_tests::packet::{Extension, Ipv6, Tcp, protocol, udp};

fn bad() -> Expect {
    drop(Malformed, "west").quiet().v6()
}

fn passed() -> Expect {
    relay("west", "west-relay").v6()
}

#[test]
fn version() {
    let rows = (0..=15).map(|version| {
        let expect = if version == 6 { passed() } else { bad() };
        row(format!("version {version}"), plain(Ipv6 { version, ..relayed_v6() }), expect)
    });
    Bench::main().check(rows);
}

#[test]
fn payload_length() {
    let of = |length, packet: Ipv6| plain(Ipv6 { payload_length: Some(length), ..packet });
    let mut rows: Vec<Row> = Vec::new();
    for length in 1..=3 {
        rows.push(row(format!("payload length {length}"), of(length, relayed_v6()), bad()));
        let udp = Ipv6::new(WEST_V6, STRANGER_V6, protocol::UDP, udp(25, 25, &[]));
        rows.push(row(format!("payload length {length}, udp"), of(length, udp), not_smtp(V6)));
    }
    let extended = || relayed_v6().with([Extension::hop_by_hop()]);
    for length in [1, 3, 8, 11] {
        rows.push(row(format!("payload length {length} with an extension"), of(length, extended()), bad()));
    }
    rows.extend([
        row("the ports with an extension", of(12, extended()), passed().quiet()),
        row("the ports alone", of(4, relayed_v6()), passed().quiet()),
        row("just before the flags", of(13, relayed_v6()), passed().quiet()),
        row("up to the flags", of(14, relayed_v6()), passed()),
        row("longer than the frame", of(1500, relayed_v6()), passed()),
        row("much longer", of(65_535, relayed_v6()), passed()),
        row("longer than the frame, blocked", of(21, ipv6(&syn())), drop(Default, "west").v6()),
        row("0: by the frame alone", of(0, relayed_v6()), passed()),
        row("0, blocked", of(0, ipv6(&syn())), reset(Default, "west").v6()),
        row("0, cut before the ports", of(0, relayed_v6())[..57].to_vec(), bad()),
        row("0, cut behind them", of(0, relayed_v6())[..58].to_vec(), passed().quiet()),
        row(
            "padding behind the packet",
            [plain(ipv6(&syn())), vec![0xee; 6]].concat(),
            reset(Default, "west").v6(),
        ),
    ]);
    Bench::main().check(rows);
}

#[test]
fn fragments() {
    let of = |offset, more, packet: Ipv6| plain(packet.with([Extension::fragment(offset, more)]));
    let mut rows: Vec<Row> = Vec::new();
    for offset in [1, 2, 185, 0x1fff] {
        for more in [false, true] {
            rows.push(row(
                format!("offset {offset}, more {more}"),
                of(offset, more, ipv6(&syn())),
                not_smtp(V6),
            ));
            let nested = ipv6(&syn()).with([Extension::hop_by_hop(), Extension::fragment(offset, more)]);
            rows.push(row(
                format!("offset {offset}, more {more}, behind options"),
                plain(nested),
                not_smtp(V6),
            ));
        }
    }
    rows.extend([
        row("the first", of(0, true, ipv6(&syn())), drop(Default, "west").v6()),
        row("the first, to a relay", of(0, true, relayed_v6()), passed()),
        row("the first, port 587", of(0, true, ipv6(&Tcp::syn(40_000, 587))), not_smtp(V6)),
        // RFC 6946: alone it is no fragment.
        row("the only one", of(0, false, ipv6(&syn())), reset(Default, "west").v6()),
    ]);
    for kept in [0, 1, 2, 3, 4, 8, 16] {
        let tiny = || {
            let packet = relayed_v6();
            let payload = packet.payload[..kept].to_vec();
            plain(Ipv6 { payload, ..packet }.with([Extension::fragment(0, true)]))
        };
        let expect = if kept < 4 { bad() } else { passed() };
        let expect = if kept < 14 { expect.quiet() } else { expect };
        rows.push(row(format!("the first, {kept} octets"), tiny(), expect));
        let padded = [tiny(), vec![0; 20]].concat();
        rows.push(row(format!("the first, {kept} octets, padded"), padded, expect));
    }
    // RFC 7112: the chain must end in the first fragment. What cannot be TCP passes all the same.
    let split = ipv6(&syn()).with([Extension::fragment(0, true), Extension::sized(60, 3)]);
    let length = 14 + 40 + 8;
    let ending = |kept: usize| {
        let mut frame = plain(split.clone());
        frame.truncate(length + kept);
        let payload = (8 + kept) as u16;
        frame[18..20].copy_from_slice(&payload.to_be_bytes());
        frame
    };
    for kept in [0, 1, 3, 4, 8, 16, 24, 32, 33, 35] {
        rows.push(row(format!("a chain cut after {kept} octets"), ending(kept), bad()));
    }
    rows.push(row("a chain that ends", ending(36), drop(Default, "west").v6().quiet()));
    Bench::main().check(rows);
}
