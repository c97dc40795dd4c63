//! Random policies, and all connections between their addresses, as packets through the ruleset.

use crate::random::{noon, policy};
use crate::runs::run_until;
use crate::{exported, judge, pairs};
use gate25::export::Format;
use gate25::policy::{Action, Policy};
use gate25_common::verdict::Direction;
use gate25_tests::lab::Lab;
use gate25_tests::netfilter::{Side, list, load, observe};
use gate25_tests::packet::{ACK, Ipv4, Link, SYN, Tcp, packet, protocol, udp};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// How many random policies at a time; each takes some tenths of a second.
const POLICIES: u32 = 40;

#[test]
fn decides_as_the_contract_does() {
    let lab = Lab::new().expect("a lab");
    // Of the sixteen addresses none is the router's, and all are the subscribers'.
    lab.edge
        .ip("addr del 192.0.2.1/24 dev eth0\nroute add 192.0.2.0/29 via 203.0.113.10\nroute add 2001:db8::/125 via 2001:db8:100::10\n")
        .expect("routes");
    let seen = RefCell::new(BTreeMap::new());
    run_until(
        POLICIES,
        &policy(Action::ALL),
        |policy| agrees(&lab, &policy, &mut seen.borrow_mut()),
        || missing(&seen.borrow()).is_empty(),
    );
    let seen = seen.into_inner();
    let missing = missing(&seen);
    assert!(missing.is_empty(), "never seen: {missing:?} in {seen:?}");
}

/// How often each direction, reason and enforcement was.
type Seen = BTreeMap<(&'static str, &'static str, bool), usize>;

/// What must be seen, and was not: all reasons to pass, and what blocks to be carried out, too.
fn missing(seen: &Seen) -> Vec<(&'static str, &'static str, bool)> {
    let reasons = ["unmanaged", "relay", "exception", "default", "block-rule", "expired"];
    let blocks = &reasons[3..];
    let passed = reasons.iter().map(|reason| (*reason, false));
    let wanted: Vec<_> = passed.chain(blocks.iter().map(|reason| (*reason, true))).collect();
    let of = |direction: &Direction| {
        wanted.iter().map(|(reason, enforced)| (direction.label(), *reason, *enforced)).collect::<Vec<_>>()
    };
    Direction::ALL.iter().flat_map(of).filter(|key| !seen.contains_key(key)).collect()
}

fn agrees(lab: &Lab, policy: &Policy, seen: &mut Seen) -> TestCaseResult {
    let ruleset = exported(policy, Format::Nftables, noon());
    if let Err(error) = load(lab, &ruleset).and_then(|()| load(lab, &ruleset)) {
        return Err(TestCaseError::fail(format!("{error:#}\n{ruleset}")));
    }
    let mut counters = BTreeMap::new();
    for &direction in Direction::ALL {
        let is_return = direction == Direction::Return;
        let frames: Vec<_> = pairs()
            .map(|(subscriber, remote)| match direction {
                Direction::Egress => packet(subscriber, remote, &Tcp::syn(40_000, 25)),
                Direction::Return => packet(remote, subscriber, &Tcp::new(25, 40_000, SYN | ACK)),
            })
            .map(|packet| Link::new().carry(packet))
            .collect();
        let side = if is_return { Side::Internet } else { Side::Subscribers };
        let observed = observe(lab, side, &frames, &last(side)).expect("observed");
        let in_order =
            |(subscriber, remote)| if is_return { (remote, subscriber) } else { (subscriber, remote) };
        let all: BTreeSet<_> = pairs().map(in_order).collect();
        prop_assert_eq!(&observed.arrived, &all, "packets did not come");
        for pair in pairs() {
            let judgement = judge(policy, pair, noon(), direction);
            let key = (direction.label(), judgement.reason.label(), judgement.enforced);
            *seen.entry(key).or_default() += 1;
            if let Some(zone) = &judgement.zone {
                let mark = if is_return { ".return" } else { "" };
                let counter = format!("zone_{zone}{mark}.{}", judgement.reason.label());
                *counters.entry(counter).or_insert(0) += 1;
            }
            let passed = observed.passed.contains(&in_order(pair));
            prop_assert_eq!(passed, !judgement.enforced, "{:?} {:?}\n{}", pair, judgement, ruleset);
        }
    }
    prop_assert_eq!(counted(lab), counters, "{}", ruleset);
    Ok(())
}

/// A datagram that no ruleset of ours looks at.
pub(crate) fn last(side: Side) -> Vec<u8> {
    let (from, to) = match side {
        Side::Subscribers => (Ipv4Addr::new(203, 0, 113, 10), Ipv4Addr::new(198, 51, 100, 25)),
        Side::Internet => (Ipv4Addr::new(198, 51, 100, 25), Ipv4Addr::new(203, 0, 113, 10)),
    };
    let payload = udp(9, 9, b"last");
    Link::new().carry(Ipv4 { protocol: protocol::UDP, payload, ..Ipv4::tcp(from, to, &Tcp::syn(9, 9)) })
}

/// Packets by counter, those that counted any.
pub(crate) fn counted(lab: &Lab) -> BTreeMap<String, u64> {
    let listed = list(lab, "counters table inet gate25").expect("counters");
    let words: Vec<&str> = listed.split_whitespace().collect();
    let named = words.windows(5).filter(|words| words[0] == "counter" && words[3] == "packets");
    let counts = named.map(|words| (words[1].to_owned(), words[4].parse().expect("a number")));
    counts.filter(|(_, count)| *count > 0).collect()
}
