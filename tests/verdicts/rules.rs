//! Steps 1 to 6 of the contract's decision, in both families: each block beside its nearest pass.

use crate::bench::{Bench, Row, row};
use crate::expect::{self, Expect, block, drop, exception, malformed, relay, reset, unmanaged};
use crate::frames::{connect, plain, syn};
use crate::policies::MAIN;
use gate25::datapath::object::Unmanaged;
use gate25_common::verdict::Reason::{BlockRule, Default, Expired, Malformed, Unmanaged as NoZone};
use gate25_tests::packet::{Ipv4, Link, Tcp};

/// A connection in IPv4 and the like of it in IPv6.
fn both(name: &str, [from, to]: [&str; 2], [from_v6, to_v6]: [&str; 2], expect: Expect) -> [Row; 2] {
    [
        row(format!("{name}, ipv4"), connect(from, to), expect),
        row(format!("{name}, ipv6"), connect(from_v6, to_v6), expect.v6()),
    ]
}

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

#[test]
fn relays() {
    let from = ("203.0.113.7", "2001:db8:100::7");
    let lab = ("203.0.113.66", "2001:db8:140::6");
    let west = |name: &str, to, to_v6, expect| both(name, [from.0, to], [from.1, to_v6], expect);
    let rows = [
        west("the relay of west", "192.0.2.25", "2001:db8:25::", relay("west", "west-relay")),
        west("beside it", "192.0.2.26", "2001:db8:25:1::", reset(Default, "west")),
        west("before it", "192.0.2.24", "2001:db8:24:ffff:ffff:ffff:ffff:ffff", reset(Default, "west")),
        west("the relay of all", "192.0.2.53", "2001:db8:53::53", relay("west", "all-relay")),
        both(
            "lab to the relay of west",
            [lab.0, "192.0.2.25"],
            [lab.1, "2001:db8:25::1"],
            drop(Default, "lab"),
        ),
        both(
            "lab to a relay of all",
            [lab.0, "192.0.2.66"],
            [lab.1, "2001:db8:53::66"],
            drop(BlockRule, "lab").naming("bad-host"),
        ),
        both(
            "watch to the relay of all",
            ["198.18.0.1", "192.0.2.53"],
            ["2001:db8:300::1", "2001:db8:53::53"],
            relay("watch", "all-relay"),
        ),
        both(
            "a relay beats an exception",
            ["203.0.113.9", "192.0.2.25"],
            ["2001:db8:100::9", "2001:db8:25::1"],
            relay("west", "west-relay"),
        ),
        both(
            "a relay beats an exception of all",
            ["100.64.0.1", "192.0.2.53"],
            ["2001:db8:f00::1", "2001:db8:53::53"],
            relay("free", "all-relay"),
        ),
        both(
            "a relay beats one that has ended",
            ["203.0.113.48", "192.0.2.25"],
            ["2001:db8:168::48", "2001:db8:25::1"],
            relay("west", "west-relay"),
        ),
    ];
    Bench::main().check(rows.into_iter().flatten());
}

#[test]
fn exceptions() {
    let from = ("203.0.113.7", "2001:db8:100::7");
    let west = |name: &str, to, to_v6, expect| both(name, [from.0, to], [from.1, to_v6], expect);
    let rows = [
        west("by destination", "198.51.100.1", "2001:db8:ca::1", exception("west", "campus")),
        west("behind it", "198.51.101.1", "2001:db8:cb::1", reset(Default, "west")),
        both(
            "of another zone",
            ["203.0.113.66", "198.51.100.1"],
            ["2001:db8:140::6", "2001:db8:ca::1"],
            drop(Default, "lab"),
        ),
        both(
            "by subscriber",
            ["203.0.113.9", "9.9.9.9"],
            ["2001:db8:100::9", "2620:fe::fe"],
            exception("west", "mailer"),
        ),
        both(
            "beside that one",
            ["203.0.113.8", "9.9.9.9"],
            ["2001:db8:100::8", "2620:fe::fe"],
            reset(Default, "west"),
        ),
        both(
            "a pair",
            ["203.0.113.16", "198.19.7.0"],
            ["2001:db8:116::1", "2001:db8:7::1"],
            exception("west", "pair"),
        ),
        both(
            "its last",
            ["203.0.113.31", "198.19.7.255"],
            ["2001:db8:116:ffff::1", "2001:db8:7:ffff::1"],
            exception("west", "pair"),
        ),
        both(
            "not its subscriber",
            ["203.0.113.15", "198.19.7.0"],
            ["2001:db8:115::1", "2001:db8:7::1"],
            reset(Default, "west"),
        ),
        both(
            "not its destination",
            ["203.0.113.16", "198.19.6.255"],
            ["2001:db8:116::1", "2001:db8:6::1"],
            reset(Default, "west"),
        ),
        both(
            "a pair's subscriber, by destination",
            ["203.0.113.16", "198.51.100.1"],
            ["2001:db8:116::1", "2001:db8:ca::1"],
            exception("west", "campus"),
        ),
        both(
            "a whole zone",
            ["100.127.255.255", "9.9.9.9"],
            ["2001:db8:fff::1", "2620:fe::fe"],
            exception("free", "all-free"),
        ),
        both(
            "behind that zone",
            ["100.128.0.0", "9.9.9.9"],
            ["2001:db8:1000::1", "2620:fe::fe"],
            unmanaged(),
        ),
    ];
    Bench::main().check(rows.into_iter().flatten());
}

#[test]
fn blocks() {
    let from = ("203.0.113.7", "2001:db8:100::7");
    let rule = |zone, id| reset(BlockRule, zone).naming(id);
    let rows = [
        both(
            "beats an exception",
            [from.0, "198.51.100.66"],
            [from.1, "2001:db8:ca::66"],
            rule("west", "bad-host"),
        ),
        both(
            "beside it",
            [from.0, "198.51.100.67"],
            [from.1, "2001:db8:ca::67"],
            exception("west", "campus"),
        ),
        both("beats a relay", [from.0, "192.0.2.66"], [from.1, "2001:db8:53::66"], rule("west", "bad-host")),
        both(
            "beats an exception of a whole zone",
            ["100.64.0.1", "198.51.100.66"],
            ["2001:db8:f00::1", "2001:db8:ca::66"],
            rule("free", "bad-host"),
        ),
        both(
            "beats an exception of a subscriber",
            ["203.0.113.9", "198.51.100.66"],
            ["2001:db8:100::9", "2001:db8:ca::66"],
            rule("west", "bad-host"),
        ),
        both(
            "by subscriber beats a relay",
            ["203.0.113.10", "192.0.2.25"],
            ["2001:db8:100::10", "2001:db8:25::1"],
            rule("west", "bad-subscriber"),
        ),
        both(
            "by subscriber beats an exception",
            ["203.0.113.10", "198.51.100.1"],
            ["2001:db8:100::10", "2001:db8:ca::1"],
            rule("west", "bad-subscriber"),
        ),
        both(
            "by subscriber, to a stranger",
            ["203.0.113.10", "9.9.9.9"],
            ["2001:db8:100::10", "2620:fe::fe"],
            rule("west", "bad-subscriber"),
        ),
        both(
            "a pair",
            ["203.0.113.11", "198.51.100.1"],
            ["2001:db8:100::11", "2001:db8:ca::1"],
            rule("west", "bad-pair"),
        ),
        both(
            "a pair's subscriber elsewhere",
            ["203.0.113.11", "192.0.2.25"],
            ["2001:db8:100::11", "2001:db8:25::1"],
            relay("west", "west-relay"),
        ),
        both(
            "a pair's destination from another",
            ["203.0.113.12", "198.51.100.1"],
            ["2001:db8:100::12", "2001:db8:ca::1"],
            exception("west", "campus"),
        ),
        both(
            "of a zone",
            ["203.0.113.66", "192.0.2.53"],
            ["2001:db8:140::6", "2001:db8:53::53"],
            drop(BlockRule, "lab").naming("bad-in-lab"),
        ),
        both(
            "of a zone, from a zone inside it",
            ["203.0.113.65", "192.0.2.53"],
            ["2001:db8:140::5", "2001:db8:53::53"],
            relay("desk", "all-relay"),
        ),
        both(
            "in monitor mode",
            ["198.18.0.1", "198.51.100.66"],
            ["2001:db8:300::1", "2001:db8:ca::66"],
            rule("watch", "bad-host").monitored(),
        ),
    ];
    Bench::main().check(rows.into_iter().flatten());
}

#[test]
fn expired() {
    let from = ("203.0.113.7", "2001:db8:100::7");
    let ended = |id| reset(Expired, "west").naming(id);
    let rows = [
        both("by destination", [from.0, "198.19.8.1"], [from.1, "2001:db8:8::1"], ended("gone")),
        both(
            "in another zone",
            ["203.0.113.66", "198.19.8.1"],
            ["2001:db8:140::6", "2001:db8:8::1"],
            drop(Default, "lab"),
        ),
        both(
            "a pair",
            ["203.0.113.32", "198.19.10.1"],
            ["2001:db8:132::1", "2001:db8:10::1"],
            ended("gone-pair"),
        ),
        both(
            "not that pair",
            ["203.0.113.31", "198.19.10.1"],
            ["2001:db8:131::1", "2001:db8:10::1"],
            reset(Default, "west"),
        ),
        both(
            "by subscriber",
            ["203.0.113.48", "9.9.9.9"],
            ["2001:db8:168::48", "2620:fe::fe"],
            ended("gone-any"),
        ),
        both(
            "ended, but another holds",
            ["203.0.113.48", "198.51.100.1"],
            ["2001:db8:168::48", "2001:db8:ca::1"],
            exception("west", "campus"),
        ),
        both(
            "ended, but by subscriber it holds",
            ["203.0.113.9", "198.19.8.1"],
            ["2001:db8:100::9", "2001:db8:8::1"],
            exception("west", "mailer"),
        ),
        both(
            "a block comes before",
            ["203.0.113.48", "198.51.100.66"],
            ["2001:db8:168::48", "2001:db8:ca::66"],
            reset(BlockRule, "west").naming("bad-host"),
        ),
        both("not yet begun", [from.0, "198.19.9.1"], [from.1, "2001:db8:9::1"], reset(Default, "west")),
    ];
    let dates_of_blocks = [
        row("a block that has ended", connect(from.0, "198.51.100.77"), exception("west", "campus")),
        row("a block to come", connect(from.0, "198.51.100.78"), exception("west", "campus")),
        row("an exception that began", connect(from.0, "198.19.12.1"), exception("west", "began")),
    ];
    Bench::main().check(rows.into_iter().flatten().chain(dates_of_blocks));
}

/// The verdict is a packet's, not a connection's, and only a SYN without ACK is an attempt.
#[test]
fn packets_of_connections() {
    use gate25_tests::packet::{ACK, FIN, PSH, SYN};
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
