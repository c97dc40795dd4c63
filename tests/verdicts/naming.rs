//! Which rule is named where several match: destination, subscriber, id; and never one that neither holds nor ended.

use crate::bench::{Bench, row};
use crate::expect::{Expect, drop, exception, relay};
use crate::frames::connect;
use crate::policies::NAMING;
use gate25_common::verdict::Reason::{BlockRule, Default, Expired};

#[test]
fn exceptions() {
    let rows: [(&str, &str, Expect); 15] = [
        ("10.2.0.1", "198.51.1.1", exception("z", "a-wide")),
        ("10.2.0.1", "198.51.100.1", exception("z", "z-narrow")),
        ("10.2.0.1", "198.51.102.1", exception("z", "a-everyone")),
        ("10.1.0.2", "198.51.102.1", exception("z", "m-subnet")),
        ("10.1.0.1", "198.51.102.1", exception("z", "y-host")),
        // A destination that is more specific wins over a subscriber that is.
        ("10.1.0.3", "198.51.1.1", exception("z", "a-wide")),
        ("10.1.0.3", "9.9.9.9", exception("z", "a-host-any")),
        ("10.1.0.2", "198.51.103.1", exception("z", "tie-a")),
        // An exception of another zone is none.
        ("172.16.0.1", "198.55.0.1", exception("y", "only-y")),
        ("10.2.0.1", "198.55.0.1", drop(Default, "z")),
        ("172.16.0.1", "198.51.102.1", exception("y", "a-everyone")),
        ("2001:db8:1:1::1", "2620:fe::fe", exception("z", "z-host-any").v6()),
        ("2001:db8:1:1::2", "2620:fe::fe", exception("z", "a-all-ipv6").v6()),
        ("2001:db8:1:2::1", "2620:fe::fe", drop(Default, "z").v6()),
        // Among those that hold: the narrower one has ended.
        ("10.2.0.1", "198.53.1.1", exception("z", "h-wide")),
    ];
    Bench::new(NAMING)
        .check(rows.map(|(from, to, expect)| row(format!("{from} to {to}"), connect(from, to), expect)));
}

#[test]
fn expired() {
    let ended = |id| drop(Expired, "z").naming(id);
    let rows: [(&str, &str, Expect); 7] = [
        ("10.2.0.1", "198.52.3.1", ended("ea-wide")),
        ("10.2.0.1", "198.52.1.1", ended("ez-narrow")),
        ("10.1.0.1", "198.52.1.1", ended("ez-host")),
        ("10.1.0.4", "198.52.1.1", ended("ez-narrow")),
        ("10.1.0.4", "9.9.9.9", ended("ea-host-any")),
        ("10.2.0.1", "198.52.2.1", ended("ea-tie")),
        // Not the one to come, though its destination is more specific.
        ("10.2.0.1", "198.52.1.130", ended("ez-narrow")),
    ];
    Bench::new(NAMING)
        .check(rows.map(|(from, to, expect)| row(format!("{from} to {to}"), connect(from, to), expect)));
}

#[test]
fn relays_and_blocks() {
    let blocked = |id| drop(BlockRule, "z").naming(id);
    let rows: [(&str, &str, Expect); 10] = [
        ("10.2.0.1", "192.0.2.1", relay("z", "ra-wide")),
        ("10.2.0.1", "192.0.2.129", relay("z", "rz-narrow")),
        ("10.2.0.1", "192.0.3.1", relay("z", "ra-tie")),
        ("2001:db8:1::1", "2001:db8:25:0:1::", relay("z", "ra-wide").v6()),
        ("2001:db8:1::1", "2001:db8:25:1::", relay("z", "rz-narrow").v6()),
        ("10.2.0.1", "198.54.3.1", blocked("ba-wide")),
        ("10.2.0.1", "198.54.1.1", blocked("bz-narrow")),
        ("10.1.0.5", "198.54.1.1", blocked("bz-narrow")),
        ("10.1.0.5", "9.9.9.9", blocked("ba-host-any")),
        ("10.2.0.1", "198.54.2.1", blocked("b0-tie")),
    ];
    Bench::new(NAMING)
        .check(rows.map(|(from, to, expect)| row(format!("{from} to {to}"), connect(from, to), expect)));
}
