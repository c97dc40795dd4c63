//! Frames of several buffers: what is read of them, and headers behind the linear part.

use crate::bench::{Bench, LINEAR, Row, row};
use crate::expect::{drop, not_smtp, relay, reset};
use crate::frames::{STRANGER_V6, WEST_V6, ipv4, ipv6, plain, relayed_v6, syn};
use gate25_common::verdict::Family::{Ipv4 as V4, Ipv6 as V6, Other};
use gate25_common::verdict::Reason::{Default, Malformed};
use gate25_tests::packet::{ACK, Extension, Ipv4, Ipv6, Link, Payload, Tcp, protocol, udp};

fn data(port: u16, length: usize) -> Tcp {
    Tcp::new(40_000, port, ACK).payload(vec![0x5a; length])
}

#[test]
fn long_segments() {
    let passed = relay("west", "west-relay").quiet();
    let silent = drop(Default, "west").quiet();
    let mut rows: Vec<Row> = Vec::new();
    for length in [LINEAR - 54 - 1, LINEAR - 54, LINEAR - 54 + 1, 9_000, 20_000, 40_000, 64_000] {
        let to_relay = |tcp: &Tcp| Ipv4::tcp([203, 0, 113, 7].into(), [192, 0, 2, 25].into(), tcp);
        rows.push(row(format!("{length} octets to a relay"), plain(to_relay(&data(25, length))), passed));
        rows.push(row(format!("{length} octets, blocked"), plain(ipv4(&data(25, length))), silent));
        rows.push(row(format!("{length} octets, ipv6"), plain(ipv6(&data(25, length))), silent.v6()));
        rows.push(row(format!("{length} octets to port 26"), plain(ipv4(&data(26, length))), not_smtp(V4)));
        let datagram = Ipv6::new(WEST_V6, STRANGER_V6, protocol::UDP, udp(25, 25, &vec![0; length]));
        rows.push(row(format!("{length} octets of udp"), plain(datagram), not_smtp(V6)));
        let other = Payload { ethertype: 0x88b5, octets: vec![0; length] };
        rows.push(row(format!("{length} octets of neither"), plain(other), not_smtp(Other)));
    }
    // A super-packet says 0.
    let packet = Ipv4 { total_length: Some(0), ..ipv4(&data(25, 64_000)) };
    rows.push(row("total length 0", plain(packet), silent));
    let packet = Ipv6 { payload_length: Some(0), ..ipv6(&data(25, 64_000)) };
    rows.push(row("payload length 0", plain(packet), silent.v6()));
    Bench::main().check(rows);
}

/// The longest that is answered ends 2,048 octets into its frame; padding behind a packet counts for nothing.
#[test]
fn longest_answered() {
    let (answered, silent) = (reset(Default, "west").quiet(), drop(Default, "west").quiet());
    let padded = |packet: Ipv4, length| [plain(packet), vec![0xee; length]].concat();
    Bench::main().check([
        row("2,048 octets", plain(ipv4(&data(25, 2048 - 54))), answered),
        row("2,049 octets", plain(ipv4(&data(25, 2049 - 54))), silent),
        row("2,048 octets, ipv6", plain(ipv6(&data(25, 2048 - 74))), answered.v6()),
        row("2,049 octets, ipv6", plain(ipv6(&data(25, 2049 - 74))), silent.v6()),
        row("2,000 octets behind a packet", padded(ipv4(&data(25, 100)), 2_000), answered),
        row("5,000 octets behind a packet", padded(ipv4(&data(25, 100)), 5_000), answered),
        row("60,000 octets behind a SYN", padded(ipv4(&syn()), 60_000), reset(Default, "west")),
    ]);
}

/// Eight headers of 2,048 octets, and TCP behind them: RFC 8200 allows it, so it must be read.
#[test]
fn headers_behind_the_linear_part() {
    let long = |number| Extension::sized(number, 255);
    let chain = |length: usize| vec![long(60); length];
    let other = Tcp::syn(40_000, 26);
    let passed = relay("west", "west-relay").v6();
    // Its end lies too far into the frame to be answered.
    let silent = drop(Default, "west").v6();
    let datagram = Ipv6::new(WEST_V6, STRANGER_V6, protocol::UDP, udp(25, 25, &[]));
    let mut rows: Vec<Row> = Vec::new();
    for length in 1..=8 {
        rows.push(row(format!("{length}: blocked"), plain(ipv6(&syn()).with(chain(length))), silent));
        rows.push(row(format!("{length}: relay"), plain(relayed_v6().with(chain(length))), passed));
        rows.push(row(format!("{length}: port 26"), plain(ipv6(&other).with(chain(length))), not_smtp(V6)));
        rows.push(row(format!("{length}: udp"), plain(datagram.clone().with(chain(length))), not_smtp(V6)));
        let later = [chain(length - 1), vec![Extension::fragment(9, true)]].concat();
        rows.push(row(format!("{length}: later fragment"), plain(ipv6(&syn()).with(later)), not_smtp(V6)));
        let in_tags = Link::new().tags(0x9100, 4).carry(relayed_v6().with(chain(length)));
        rows.push(row(format!("{length}: in tags"), in_tags, passed));
        let all_kinds = [0, 43, 60, 135, 139, 140, 60, 43].map(long);
        rows.push(row(
            format!("{length}: all kinds"),
            plain(relayed_v6().with(&all_kinds[..length])),
            passed,
        ));
        let whole = plain(relayed_v6().with(chain(length)));
        let ports = whole.len() - 16;
        let bad = drop(Malformed, "west").v6().quiet();
        rows.push(row(format!("{length}: cut in the ports"), whole[..ports - 1].to_vec(), bad));
        rows.push(row(format!("{length}: cut behind them"), whole[..ports].to_vec(), passed.quiet()));
    }
    let bad = drop(Malformed, "west").v6().quiet();
    rows.push(row("9: relay", plain(relayed_v6().with(chain(9))), bad));
    rows.push(row("9: udp", plain(datagram.with(chain(9))), bad));
    // The ports lie across the border of two buffers.
    for before in 0..=8 {
        let last = LINEAR - 54 - 2048 - 8 * before;
        let units = (last / 8 - 1) as u8;
        let frame = plain(relayed_v6().with([long(60), Extension::sized(60, units)]));
        rows.push(row(format!("{before} words before the border"), frame, passed));
    }
    Bench::main().check(rows);
}
