//! Exports, in what they are for: the ruleset in the kernel, before real packets, the list in a real rbldnsd; and the prefixes
//! as their own description reads. What each must say is worked out from the contract's prose. Needs root.
#![allow(clippy::expect_used, reason = "a test that cannot go on shall stop")]

mod answers;
mod command;
mod prefixes;
mod rbldnsd;
mod ruleset;

#[path = "../verdicts/policies.rs"]
#[allow(dead_code, reason = "the packet table's")]
mod policies;
#[path = "../verdicts/random.rs"]
#[allow(dead_code, reason = "the packet table's")]
mod random;
#[path = "../verdicts/reference.rs"]
mod reference;
#[path = "../verdicts/runs.rs"]
mod runs;

use gate25::export::{Format, Wanted, export};
use gate25::policy::Policy;
use gate25_common::verdict::Direction;
use jiff::Timestamp;
use reference::Judgement;
use std::net::IpAddr;

/// The policy at an instant, for somebody.
fn exported(policy: &Policy, format: Format, at: Timestamp) -> String {
    let wanted = Wanted { format, at, goes_on: false, knows_names: true, interfaces: Vec::new() };
    export(policy, &wanted).text
}

/// What the contract says of a packet between these addresses at an instant.
fn judge(policy: &Policy, pair: (IpAddr, IpAddr), at: Timestamp, direction: Direction) -> Judgement {
    reference::judge(policy, pair, (at, at), direction, false)
}

/// All pairs of a subscriber and a destination among the sixteen addresses of random policies.
fn pairs() -> impl Iterator<Item = (IpAddr, IpAddr)> {
    let both = (0..2).flat_map(|family| (0..64).map(move |pair| (family == 1, pair)));
    both.map(|(ipv6, pair)| (random::address(ipv6, pair / 8), random::address(ipv6, pair % 8)))
}
