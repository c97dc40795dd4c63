//! IPv6 extension headers: each kind, how long each is, how many, and chains that end too early.

use crate::bench::{Bench, Row, row};
use crate::expect::{Expect, drop, not_smtp, relay, reset};
use crate::frames::{STRANGER_V6, WEST_V6, ipv6, plain, relayed_v6, syn};
use gate25_common::verdict::Family::Ipv6 as V6;
use gate25_common::verdict::Reason::{Default, Malformed};
use gate25_tests::packet::{Extension, Ipv6, Tcp, protocol, udp};

/// Those that count units of 8 octets.
const OF_EIGHT: [u8; 6] = [0, 43, 60, 135, 139, 140];

fn bad() -> Expect {
    drop(Malformed, "west").quiet().v6()
}

fn datagram() -> Ipv6 {
    Ipv6::new(WEST_V6, STRANGER_V6, protocol::UDP, udp(25, 25, &[0; 20]))
}

/// Behind a chain: a block, its nearest passes.
fn behind(name: &str, chain: &[Extension]) -> [Row; 4] {
    let other = Tcp::syn(40_000, 26);
    [
        row(format!("{name}: blocked"), plain(ipv6(&syn()).with(chain)), reset(Default, "west").v6()),
        row(format!("{name}: relay"), plain(relayed_v6().with(chain)), relay("west", "west-relay").v6()),
        row(format!("{name}: port 26"), plain(ipv6(&other).with(chain)), not_smtp(V6)),
        row(format!("{name}: udp"), plain(datagram().with(chain)), not_smtp(V6)),
    ]
}

#[test]
fn kinds_and_lengths() {
    let mut rows: Vec<Row> = Vec::new();
    for number in OF_EIGHT {
        for units in [0, 1, 2, 7, 31] {
            rows.extend(behind(&format!("{number} of {units} units"), &[Extension::sized(number, units)]));
        }
    }
    for kind in [0, 2, 3, 4, 255] {
        rows.extend(behind(&format!("routing type {kind}"), &[Extension::routing(kind)]));
    }
    // AH counts 4 octets, less two (RFC 4302 section 2.2).
    for units in [1, 2, 3, 4, 5, 22] {
        rows.extend(behind(&format!("ah of {units} units"), &[Extension::authentication(units)]));
    }
    rows.extend(behind("fragment that is none", &[Extension::fragment(0, false)]));
    // An option that looks like what it is not.
    let looks = Extension { number: 60, rest: vec![1, 0, 25, 0, 25, 0, 25, 0, 25, 0, 25, 0, 25, 0, 25] };
    let frame = plain(ipv6(&Tcp::syn(40_000, 26)).with([looks]));
    rows.push(row("options like port 25", frame, not_smtp(V6)));
    Bench::main().check(rows);
}

#[test]
fn what_hides_or_ends_a_chain() {
    let mut rows: Vec<Row> = Vec::new();
    let payload = || syn().octets(WEST_V6.into(), STRANGER_V6.into());
    for number in [protocol::ESP, protocol::NO_NEXT, protocol::ICMPV6, 41, 47, 253, 254] {
        let packet = Ipv6::new(WEST_V6, STRANGER_V6, number, payload());
        rows.push(row(format!("{number}"), plain(packet.clone()), not_smtp(V6)));
        let chain = [Extension::hop_by_hop(), Extension::destination()];
        rows.push(row(format!("{number} behind a chain"), plain(packet.with(chain)), not_smtp(V6)));
    }
    Bench::main().check(rows);
}

#[test]
fn eight_and_nine() {
    let mut rows: Vec<Row> = Vec::new();
    let kinds = OF_EIGHT.into_iter().map(|number| Extension::sized(number, 0));
    for header in kinds.chain([Extension::authentication(1), Extension::fragment(0, false)]) {
        let number = header.number;
        for length in [7, 8] {
            rows.extend(behind(&format!("{length} × {number}"), &vec![header.clone(); length]));
        }
        for length in [9, 10, 20] {
            let chain = vec![header.clone(); length];
            rows.push(row(
                format!("{length} × {number}: relay"),
                plain(relayed_v6().with(chain.clone())),
                bad(),
            ));
            rows.push(row(format!("{length} × {number}: udp"), plain(datagram().with(chain)), bad()));
        }
    }
    let all = |last: Extension| {
        let mut chain: Vec<_> = [0, 43, 60, 135, 139, 140].map(|number| Extension::sized(number, 1)).into();
        chain.extend([Extension::authentication(4), last]);
        chain
    };
    rows.extend(behind("one of each", &all(Extension::fragment(0, false))));
    let later = Extension::fragment(1, false);
    rows.push(row(
        "the eighth a later fragment's",
        plain(ipv6(&syn()).with(all(later.clone()))),
        not_smtp(V6),
    ));
    let mut nine = all(Extension::destination());
    nine.push(later);
    rows.push(row("the ninth a later fragment's", plain(ipv6(&syn()).with(nine)), bad()));
    let first = plain(ipv6(&syn()).with(all(Extension::fragment(0, true))));
    rows.push(row("the eighth a first fragment's", first, drop(Default, "west").v6()));
    Bench::main().check(rows);
}

/// The frame ends, or the packet does, at every octet of a chain of 40.
#[test]
fn cut_chains() {
    let chain = || [Extension::hop_by_hop(), Extension::routing(4), Extension::sized(60, 2)];
    let passed = relay("west", "west-relay").v6();
    let mut rows: Vec<Row> = Vec::new();
    for kept in 0..=60 {
        let expect = match kept {
            0..44 => bad(),
            44..54 => passed.quiet(),
            _ => passed,
        };
        let frame = plain(relayed_v6().with(chain()));
        rows.push(row(format!("frame, {kept} octets"), frame[..54 + kept].to_vec(), expect));
        if kept > 0 {
            let packet = Ipv6 { payload_length: Some(kept as u16), ..relayed_v6() };
            rows.push(row(format!("packet, {kept} octets"), plain(packet.with(chain())), expect));
        }
        // Nothing says that it is UDP before the third header, which begins at the seventeenth octet.
        let frame = plain(datagram().with(chain()));
        if kept <= 16 {
            rows.push(row(format!("udp, {kept} octets"), frame[..54 + kept].to_vec(), bad()));
        } else if kept >= 40 {
            rows.push(row(format!("udp, {kept} octets"), frame[..54 + kept].to_vec(), not_smtp(V6)));
        }
    }
    // A header that says it is longer than all there is.
    for number in OF_EIGHT {
        let mut long = Extension::sized(number, 0);
        long.rest[0] = 255;
        rows.push(row(format!("{number} beyond the packet"), plain(relayed_v6().with([long])), bad()));
    }
    let mut long = Extension::authentication(1);
    long.rest[0] = 255;
    rows.push(row("ah beyond the packet", plain(relayed_v6().with([long])), bad()));
    Bench::main().check(rows);
}
