//! Monitor mode: the same verdict and the same counters, and the packet passes.

use crate::bench::{Bench, row};
use crate::expect::{drop, malformed, not_smtp, relay, reset, unmanaged};
use crate::frames::{connect, plain, relayed, relayed_v6, syn};
use crate::policies::{MAIN, WATCHING};
use gate25::datapath::object::Unmanaged;
use gate25_common::verdict::Family;
use gate25_common::verdict::Reason::{BlockRule, Default};
use gate25_tests::packet::{Ipv4, Link, RST, Tcp};

#[test]
fn a_zone_that_monitors() {
    let from = "203.0.113.7";
    let rst = Tcp::new(40_000, 25, RST);
    let fragment =
        Ipv4 { fragment: Ipv4::MORE, ..Ipv4::tcp([203, 0, 113, 7].into(), [9, 9, 9, 9].into(), &syn()) };
    Bench::new(WATCHING).check([
        row("default", connect(from, "9.9.9.9"), reset(Default, "watch").monitored()),
        row(
            "block rule",
            connect(from, "198.51.100.66"),
            reset(BlockRule, "watch").naming("bad-host").monitored(),
        ),
        row("relay", connect(from, "192.0.2.25"), relay("watch", "relay")),
        row("ipv6", connect("2001:db8:100::1", "2620:fe::fe"), reset(Default, "watch").v6().monitored()),
        // The action is what would have been done.
        row(
            "a RST",
            crate::frames::between(from, "9.9.9.9", &rst),
            drop(Default, "watch").quiet().monitored(),
        ),
        row("a fragment", plain(fragment), drop(Default, "watch").monitored()),
        row("no zone", connect("192.168.0.1", "9.9.9.9"), unmanaged()),
        row(
            "port 587",
            crate::frames::between(from, "9.9.9.9", &Tcp::syn(40_000, 587)),
            not_smtp(Family::Ipv4),
        ),
    ]);
}

/// Without a source address: enforced when any zone enforces.
#[test]
fn malformed_without_a_source() {
    let five_tags = || Link::new().tags(0x8100, 5).carry(relayed());
    let cut = || plain(relayed())[..14 + 15].to_vec();
    let cut_v6 = || plain(relayed_v6())[..14 + 23].to_vec();
    let rows = |of: fn(crate::expect::Expect) -> crate::expect::Expect| {
        [
            row("five tags", five_tags(), of(malformed().other())),
            row("cut before the source", cut(), of(malformed())),
            row("cut before the source, ipv6", cut_v6(), of(malformed().v6())),
        ]
    };
    Bench::main().check(rows(|expect| expect));
    Bench::new(WATCHING).check(rows(crate::expect::Expect::monitored));
    // Not even where sources of no zone are blocked: no zone enforces.
    Bench::with(WATCHING, Unmanaged::Block, true).check(rows(crate::expect::Expect::monitored));
}

/// `enforce: false`: this node monitors, whatever the policy says.
#[test]
fn a_node_that_monitors() {
    let from = "203.0.113.7";
    Bench::with(MAIN, Unmanaged::Pass, false).check([
        row("default", connect(from, "9.9.9.9"), reset(Default, "west").monitored()),
        row("default of lab", connect("203.0.113.66", "9.9.9.9"), drop(Default, "lab").monitored()),
        row(
            "block rule",
            connect(from, "198.51.100.66"),
            reset(BlockRule, "west").naming("bad-host").monitored(),
        ),
        row("relay", connect(from, "192.0.2.25"), relay("west", "west-relay")),
        row("five tags", Link::new().tags(0x8100, 5).carry(relayed()), malformed().other().monitored()),
    ]);
}
