//! Zones, modes and rules with the roles swapped.

use super::{BAD, BLOCKED, CAMPUS, RELAYED, answer, between, link, plain, relayed};
use crate::bench::{Bench, Row, back};
use crate::expect::{Expect, drop, exception, malformed, not_smtp, relay, unmanaged};
use crate::host::Host;
use crate::policies::{self, MAIN};
use gate25::clock;
use gate25::datapath::object::Unmanaged;
use gate25::policy::compile::Clock;
use gate25_common::verdict::Family;
use gate25_common::verdict::Reason::{BlockRule, Default, Exception, Expired};
use gate25_common::verdict::{Direction, Reason};
use gate25_tests::packet::{Ipv4, Ipv6, Tcp};
use jiff::{SignedDuration, Timestamp};
use std::net::IpAddr;

/// An answer in IPv4 and the like of it in IPv6; the first address is the subscriber's.
fn both(name: &str, v4: [&str; 2], v6: [&str; 2], expect: Expect) -> [Row; 2] {
    [(v4, expect), (v6, expect.v6())].map(|([subscriber, remote], expect)| {
        back(format!("{name}, {remote}"), between(subscriber, remote, &answer()), expect.quiet())
    })
}

#[test]
fn zones() {
    let to = |subscriber: &str, subscriber_v6: &str, expect| {
        let stranger = ["198.18.255.1", "2001:db8:5::1"];
        both(subscriber, [subscriber, stranger[0]], [subscriber_v6, stranger[1]], expect)
    };
    let watched = |zone| drop(Default, zone).monitored();
    let rows = [
        to("203.0.113.0", "2001:db8:100::", BLOCKED),
        to("203.0.113.255", "2001:db8:1ff:ffff:ffff:ffff:ffff:ffff", BLOCKED),
        to("203.0.112.255", "2001:db8:ff:ffff:ffff:ffff:ffff:ffff", unmanaged()),
        to("203.0.114.0", "2001:db8:200::", unmanaged()),
        to("203.0.113.63", "2001:db8:13f:ffff:ffff:ffff:ffff:ffff", BLOCKED),
        // Lab looks at nothing on this way; desk, inside it, does.
        to("203.0.113.64", "2001:db8:140::", unmanaged()),
        to("203.0.113.65", "2001:db8:140::5", watched("desk")),
        to("203.0.113.66", "2001:db8:140::6", unmanaged()),
        to("203.0.113.128", "2001:db8:150::", BLOCKED),
        to("198.18.0.1", "2001:db8:300::1", watched("watch")),
        // The subscriber's zone decides, and no zone of the remote's.
        both(
            "west to watch",
            ["198.18.0.1", "203.0.113.7"],
            ["2001:db8:300::1", "2001:db8:100::7"],
            watched("watch"),
        ),
        both("watch to west", ["203.0.113.7", "198.18.0.1"], ["2001:db8:100::7", "2001:db8:300::1"], BLOCKED),
    ];
    Bench::main().check(rows.into_iter().flatten());
}

#[test]
fn rules() {
    let (v4, v6) = ("203.0.113.7", "2001:db8:100::7");
    let west = |name: &str, remote, remote_v6, expect| both(name, [v4, remote], [v6, remote_v6], expect);
    let blocked = |zone, id| drop(BlockRule, zone).naming(id);
    let rows = [
        west("the relay of west", "192.0.2.25", "2001:db8:25::", RELAYED),
        west("beside it", "192.0.2.26", "2001:db8:25:1::", BLOCKED),
        west("the relay of all", "192.0.2.53", "2001:db8:53::53", relay("west", "all-relay")),
        west("an exception", "198.51.100.1", "2001:db8:ca::1", CAMPUS),
        west("beside it", "198.51.101.1", "2001:db8:cb::1", BLOCKED),
        west("a block beats it", "198.51.100.66", "2001:db8:ca::66", blocked("west", "bad-host")),
        west("a block beats a relay", "192.0.2.66", "2001:db8:53::66", blocked("west", "bad-host")),
        west("expired", "198.19.8.1", "2001:db8:8::1", drop(Expired, "west").naming("gone")),
        west("not yet begun", "198.19.9.1", "2001:db8:9::1", BLOCKED),
        both(
            "by subscriber",
            ["203.0.113.9", "9.9.9.9"],
            ["2001:db8:100::9", "2620:fe::fe"],
            exception("west", "mailer"),
        ),
        both("beside that one", ["203.0.113.8", "9.9.9.9"], ["2001:db8:100::8", "2620:fe::fe"], BLOCKED),
        both(
            "a pair",
            ["203.0.113.16", "198.19.7.0"],
            ["2001:db8:116::1", "2001:db8:7::1"],
            exception("west", "pair"),
        ),
        both(
            "not its subscriber",
            ["203.0.113.15", "198.19.7.0"],
            ["2001:db8:115::1", "2001:db8:7::1"],
            BLOCKED,
        ),
        both(
            "a pair that has ended",
            ["203.0.113.32", "198.19.10.1"],
            ["2001:db8:132::1", "2001:db8:10::1"],
            drop(Expired, "west").naming("gone-pair"),
        ),
        both(
            "a blocked subscriber",
            ["203.0.113.10", "192.0.2.25"],
            ["2001:db8:100::10", "2001:db8:25::1"],
            blocked("west", "bad-subscriber"),
        ),
        both(
            "a blocked pair",
            ["203.0.113.11", "198.51.100.1"],
            ["2001:db8:100::11", "2001:db8:ca::1"],
            blocked("west", "bad-pair"),
        ),
        both(
            "everybody's",
            ["100.64.0.1", "9.9.9.9"],
            ["2001:db8:f00::1", "2620:fe::fe"],
            exception("free", "all-free"),
        ),
        both(
            "monitored block",
            ["198.18.0.1", "198.51.100.66"],
            ["2001:db8:300::1", "2001:db8:ca::66"],
            blocked("watch", "bad-host").monitored(),
        ),
        both(
            "monitored relay",
            ["198.18.0.1", "192.0.2.53"],
            ["2001:db8:300::1", "2001:db8:53::53"],
            relay("watch", "all-relay"),
        ),
        // Egress enforces there, this way monitors.
        both(
            "monitored this way",
            ["100.64.0.1", "198.51.100.66"],
            ["2001:db8:f00::1", "2001:db8:ca::66"],
            blocked("free", "bad-host").monitored(),
        ),
        // Not even a block holds where nobody looks.
        both("off", ["203.0.113.66", "198.51.100.66"], ["2001:db8:140::6", "2001:db8:ca::66"], unmanaged()),
    ];
    Bench::main().check(rows.into_iter().flatten());
}

/// Short, and of `subscriber`; in IPv6 behind nine headers.
fn unreadable(subscriber: &str) -> Vec<u8> {
    match subscriber.parse().expect("an address") {
        IpAddr::V4(subscriber) => {
            plain(Ipv4 { total_length: Some(23), ..Ipv4::tcp([192, 0, 2, 25].into(), subscriber, &answer()) })
        }
        IpAddr::V6(subscriber) => {
            let chain = vec![gate25_tests::packet::Extension::destination(); 9];
            plain(Ipv6::tcp(crate::frames::RELAY_V6, subscriber, &answer()).with(chain))
        }
    }
}

#[test]
fn malformed_by_its_destination() {
    let rows = [
        ("203.0.113.7", "2001:db8:100::7", BAD),
        ("203.0.113.65", "2001:db8:140::5", drop(Reason::Malformed, "desk").monitored()),
        ("198.18.0.1", "2001:db8:300::1", drop(Reason::Malformed, "watch").monitored()),
        // As one of no zone, which nothing on the way back blocks.
        ("203.0.113.66", "2001:db8:140::6", malformed().monitored()),
        ("192.168.0.1", "2001:db8:200::1", malformed().monitored()),
    ];
    Bench::main().check(rows.into_iter().flat_map(|(v4, v6, expect)| {
        [(v4, expect), (v6, expect.v6())].map(|(name, expect)| back(name, unreadable(name), expect.quiet()))
    }));
}

/// The word of an interface about sources of no zone is none about destinations.
#[test]
fn no_zone_is_never_blocked() {
    for unmanaged_is in [Unmanaged::Pass, Unmanaged::Block] {
        let rows = [
            both(
                "no zone",
                ["192.168.1.1", "198.18.255.1"],
                ["2001:db8:200::1", "2001:db8:5::1"],
                unmanaged(),
            ),
            both(
                "no zone, blocked host",
                ["192.168.1.1", "198.51.100.66"],
                ["2001:db8:200::1", "2001:db8:ca::66"],
                unmanaged(),
            ),
            both("off", ["203.0.113.66", "9.9.9.9"], ["2001:db8:140::6", "2620:fe::fe"], unmanaged()),
            both("a zone", ["203.0.113.7", "9.9.9.9"], ["2001:db8:100::7", "2620:fe::fe"], BLOCKED),
        ];
        let cut = ["192.168.0.1", "203.0.113.66"]
            .map(|to| back("cut", unreadable(to), malformed().monitored().quiet()));
        let five_tags = back("five tags", link().tags(0x8100, 5).carry(relayed()), malformed().other());
        let rows = rows.into_iter().flatten().chain(cut).chain([five_tags]);
        Bench::with(MAIN, unmanaged_is, true).check(rows);
    }
}

/// Without a destination: enforced when any zone's return path is, whatever the zones' modes.
#[test]
fn malformed_without_a_destination() {
    let zones = |paths: [&str; 2]| {
        format!(
            "version: 1\nzones:\n  - {{id: a, subscribers: [10.0.0.0/9], mode: enforce, return_path: {}}}\n  \
             - {{id: b, subscribers: [10.128.0.0/9], mode: enforce, return_path: {}}}\n",
            paths[0], paths[1]
        )
    };
    for (paths, enforced) in [
        (["off", "off"], false),
        (["monitor", "off"], false),
        (["monitor", "monitor"], false),
        (["off", "enforce"], true),
        (["enforce", "monitor"], true),
    ] {
        let of = |expect: Expect| if enforced { expect } else { expect.monitored() };
        Bench::new(&zones(paths)).check([
            back("five tags", link().tags(0x8100, 5).carry(relayed()), of(malformed().other())),
            back(
                "cut before the destination",
                link().tags(0x8100, 1).carry(relayed())[..18 + 19].to_vec(),
                of(malformed()),
            ),
            back(
                "port 26",
                between("10.0.0.1", "9.9.9.9", &Tcp { source: 26, ..answer() }),
                not_smtp(Family::Ipv4),
            ),
        ]);
    }
}

/// `enforce: false`: what is enforced elsewhere is monitored here, and what is off stays off.
#[test]
fn a_node_that_monitors() {
    let rows = [
        both("default", ["203.0.113.7", "9.9.9.9"], ["2001:db8:100::7", "2620:fe::fe"], BLOCKED.monitored()),
        both(
            "block",
            ["203.0.113.7", "198.51.100.66"],
            ["2001:db8:100::7", "2001:db8:ca::66"],
            drop(BlockRule, "west").naming("bad-host").monitored(),
        ),
        both("relay", ["203.0.113.7", "192.0.2.25"], ["2001:db8:100::7", "2001:db8:25::1"], RELAYED),
        both("off", ["203.0.113.66", "9.9.9.9"], ["2001:db8:140::6", "2620:fe::fe"], unmanaged()),
        both("no zone", ["192.168.1.1", "9.9.9.9"], ["2001:db8:200::1", "2620:fe::fe"], unmanaged()),
    ];
    let rows = rows.into_iter().flatten().chain([
        back("cut", unreadable("203.0.113.7"), BAD.monitored()),
        back("five tags", link().tags(0x8100, 5).carry(relayed()), malformed().other().monitored()),
    ]);
    Bench::with(MAIN, Unmanaged::BlockMonitored, false).check(rows);
}

/// An exception holds until, and not at, the instant of its end, in the tables of that instant and by the clock alone.
#[test]
fn exceptions_are_half_open() {
    let policy = policies::load(
        "version: 1\nzones: [{id: w, subscribers: [203.0.113.0/24], mode: enforce, return_path: enforce}]\n\
         exceptions: [{id: e, destinations: [198.51.100.0/24], from: '2004-07-01T00:00:00Z', until: '2004-07-28T00:00:00-07:00'}]\n",
    );
    let [from, until] =
        ["2004-07-01T00:00:00Z", "2004-07-28T07:00:00Z"].map(|text| text.parse::<Timestamp>().expect("one"));
    let frame = between("203.0.113.7", "198.51.100.1", &answer());
    let tables = |wall| Host::new(&policy, Clock::new(wall, 5_000_000_000), Unmanaged::Pass, true);
    let reason = |host: &Host, boot| host.verdict(Direction::Return, &frame, boot).reason;
    let nanosecond = SignedDuration::from_nanos(1);
    for (wall, expected) in
        [(from - nanosecond, Default), (from, Exception), (until - nanosecond, Exception), (until, Expired)]
    {
        assert_eq!(reason(&tables(wall), 5_000_000_000), expected, "{wall}");
    }
    let before = tables(until - SignedDuration::from_secs(1));
    assert_eq!(reason(&before, 5_999_999_999), Exception);
    assert_eq!(reason(&before, 6_000_000_000), Expired);
    // The program, by the boot clock: one that ended in the last second, and one that ends an hour later.
    for (seconds, expect) in [(-1, drop(Expired, "w").naming("e")), (3_600, exception("w", "e"))] {
        let now = clock::now();
        let then = Clock::new(until - SignedDuration::from_secs(seconds), now.boot);
        let installed = Clock::new(then.wall - SignedDuration::from_secs(2), now.boot - 2_000_000_000);
        Bench::of(&policy, installed, Unmanaged::Pass, true).check([back(
            "e",
            frame.clone(),
            expect.quiet(),
        )]);
    }
}
