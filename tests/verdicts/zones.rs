//! Step 1 of the contract's decision, and what is of a packet rather than of a rule.

use crate::bench::{Bench, row};
use crate::expect::{self, Expect, block, drop, exception, malformed, relay, reset, unmanaged};
use crate::frames::{plain, syn};
use crate::policies::MAIN;
use crate::rules::both;
use gate25::datapath::object::Unmanaged;
use gate25_common::verdict::Reason::{Default, Expired, Malformed, Unmanaged as NoZone};
use gate25_tests::packet::{ACK, FIN, Ipv4, Link, PSH, SYN, Tcp};

#[test]
fn zones() {
    let stranger = ("198.18.255.1", "2001:db8:5::1");
    let to_stranger = |from: &'static str, from_v6: &'static str, expect: Expect| {
        both(&format!("{from} to a stranger"), [from, stranger.0], [from_v6, stranger.1], expect)
    };
    let rows = [
        to_stranger("203.0.113.0", "2001:db8:100::", reset(Default, "west")),
        to_stranger("203.0.113.255", "2001:db8:1ff:ffff:ffff:ffff:ffff:ffff", reset(Default, "west")),
        to_stranger("203.0.112.255", "2001:db8:ff:ffff:ffff:ffff:ffff:ffff", unmanaged()),
        to_stranger("203.0.114.0", "2001:db8:200::", unmanaged()),
        to_stranger("203.0.113.63", "2001:db8:13f:ffff:ffff:ffff:ffff:ffff", reset(Default, "west")),
        to_stranger("203.0.113.64", "2001:db8:140::", drop(Default, "lab")),
        to_stranger("203.0.113.127", "2001:db8:14f:ffff:ffff:ffff:ffff:ffff", drop(Default, "lab")),
        to_stranger("203.0.113.128", "2001:db8:150::", reset(Default, "west")),
        to_stranger("203.0.113.65", "2001:db8:140::5", drop(Default, "desk").monitored()),
        to_stranger("203.0.113.66", "2001:db8:140::6", drop(Default, "lab")),
        to_stranger("198.18.0.1", "2001:db8:300::1", reset(Default, "watch").monitored()),
    ];
    Bench::main().check(rows.into_iter().flatten());
}

#[test]
fn no_zone() {
    let rows = || {
        let outside = ["192.168.1.1", "198.18.255.1"];
        let outside_v6 = ["2001:db8:200::1", "2001:db8:5::1"];
        let relay = ["192.168.1.1", "192.0.2.53"];
        let relay_v6 = ["2001:db8:200::1", "2001:db8:53::53"];
        let blocked = ["192.168.1.1", "198.51.100.66"];
        let blocked_v6 = ["2001:db8:200::1", "2001:db8:ca::66"];
        (outside, outside_v6, relay, relay_v6, blocked, blocked_v6)
    };
    let cut = || {
        let tcp = Ipv4 {
            total_length: Some(23),
            ..Ipv4::tcp([192, 168, 1, 1].into(), [198, 51, 100, 1].into(), &syn())
        };
        plain(tcp)
    };
    for (unmanaged_is, expect, bad) in [
        (Unmanaged::Pass, unmanaged(), malformed().monitored()),
        (Unmanaged::Block, block(NoZone), malformed()),
        (Unmanaged::BlockMonitored, block(NoZone).monitored(), malformed().monitored()),
    ] {
        let (outside, outside_v6, relay_, relay_v6, blocked, blocked_v6) = rows();
        let enforce = unmanaged_is != Unmanaged::BlockMonitored;
        let west = reset(Default, "west");
        let rows = [
            both("a source of no zone", outside, outside_v6, expect),
            // Rules are for the zones' subscribers alone.
            both("no zone, to a relay of all zones", relay_, relay_v6, expect),
            both("no zone, to a blocked host", blocked, blocked_v6, expect),
            both(
                "a zone's source",
                ["203.0.113.7", "198.18.255.1"],
                ["2001:db8:100::7", "2001:db8:5::1"],
                if enforce { west } else { west.monitored() },
            ),
        ];
        let rows = rows.into_iter().flatten().chain([row("no zone, cut", cut(), bad)]);
        Bench::with(MAIN, unmanaged_is, enforce).check(rows);
    }
}

/// The verdict is a packet's, not a connection's, and only a SYN without ACK is an attempt.
#[test]
fn packets_of_connections() {
    let link = Link::new();
    let mut rows = Vec::new();
    for (name, flags, attempt) in [
        ("syn", SYN, true),
        ("syn ack", SYN | ACK, false),
        ("ack", ACK, false),
        ("data", PSH | ACK, false),
        ("fin", FIN | ACK, false),
        ("no flag", 0, false),
        ("syn with ecn", SYN | 0xc0, true),
    ] {
        let expect = |expect: Expect| if attempt { expect } else { expect.quiet() };
        let tcp = Tcp::new(40_000, 25, flags).payload(*b"EHLO");
        let frame = |to: [u8; 4]| link.carry(Ipv4::tcp([203, 0, 113, 7].into(), to.into(), &tcp));
        rows.push(row(
            format!("{name} to a relay"),
            frame([192, 0, 2, 25]),
            expect(relay("west", "west-relay")),
        ));
        rows.push(row(
            format!("{name} by an exception"),
            frame([198, 51, 100, 1]),
            expect(exception("west", "campus")),
        ));
        rows.push(row(format!("{name} blocked"), frame([9, 9, 9, 9]), expect(reset(Default, "west"))));
        rows.push(row(
            format!("{name} to a host that has ended"),
            frame([198, 19, 8, 1]),
            expect(reset(Expired, "west").naming("gone")),
        ));
    }
    Bench::main().check(rows);
}

/// What is malformed is of the zone of its source, where that can be read.
#[test]
fn malformed_by_zone() {
    let cut = |from: [u8; 4]| {
        plain(Ipv4 { total_length: Some(23), ..Ipv4::tcp(from.into(), [192, 0, 2, 25].into(), &syn()) })
    };
    let bad = |zone| drop(Malformed, zone).quiet();
    Bench::main().check([
        row("of west", cut([203, 0, 113, 7]), bad("west")),
        row("of desk", cut([203, 0, 113, 65]), bad("desk").monitored()),
        row("of watch", cut([198, 18, 0, 1]), bad("watch").monitored()),
        row("of none", cut([192, 168, 0, 1]), expect::malformed().monitored()),
    ]);
}
