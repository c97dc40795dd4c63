//! Steps 2 to 6 of the contract's decision, in both families: each block beside its nearest pass.

use crate::bench::{Bench, Row, row};
use crate::expect::{Expect, drop, exception, relay, reset, unmanaged};
use crate::frames::connect;
use gate25_common::verdict::Reason::{BlockRule, Default, Expired};

/// A connection in IPv4 and the like of it in IPv6.
pub(crate) fn both(
    name: &str,
    [from, to]: [&str; 2],
    [from_v6, to_v6]: [&str; 2],
    expect: Expect,
) -> [Row; 2] {
    [
        row(format!("{name}, ipv4"), connect(from, to), expect),
        row(format!("{name}, ipv6"), connect(from_v6, to_v6), expect.v6()),
    ]
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
