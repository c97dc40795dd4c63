//! `gate25 diff` agrees with the contract's prose, pair by pair: what changes is in exactly one line, and what is in a line
//! changes so.

use crate::random::{address, noon, policy};
use crate::reference::{Judgement, judge};
use crate::runs::run_until;
use gate25::diff::{Change, Cover, Difference, compare};
use gate25::policy::{Action, Mode, Policy, Scope};
use gate25_common::verdict::{Decision, Direction, ReturnPath};
use ipnetwork::IpNetwork;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

fn has(cover: &Cover, address: IpAddr) -> bool {
    let within = |list: &[IpNetwork]| list.iter().any(|prefix| prefix.contains(address));
    within(&cover.prefixes) && !within(&cover.except)
}

/// First and last address of each prefix, and those beside them.
fn corners(cover: &Cover) -> Vec<IpAddr> {
    let beside = |address: IpAddr| match address {
        IpAddr::V4(address) => [-1, 0, 1]
            .map(|step: i32| IpAddr::from(Ipv4Addr::from_bits(address.to_bits().wrapping_add_signed(step)))),
        IpAddr::V6(address) => [-1, 0, 1]
            .map(|step: i128| IpAddr::from(Ipv6Addr::from_bits(address.to_bits().wrapping_add_signed(step)))),
    };
    let ends = |prefix: &IpNetwork| [prefix.network(), prefix.broadcast()];
    cover.prefixes.iter().chain(&cover.except).flat_map(ends).flat_map(beside).collect()
}

/// No two prefixes that one would do for, none inside another; each hole is inside a prefix.
fn is_tidy(cover: &Cover) -> bool {
    let inside = |inner: &IpNetwork, outer: &IpNetwork| {
        inner != outer && inner.prefix() >= outer.prefix() && outer.contains(inner.network())
    };
    let siblings = |one: &IpNetwork, other: &IpNetwork| {
        one != other
            && one.prefix() == other.prefix()
            && IpNetwork::new(one.network(), one.prefix() - 1).is_ok_and(|both| {
                let network = IpNetwork::new(both.network(), both.prefix());
                network.is_ok_and(|network| network.contains(other.network()))
            })
    };
    let lists = [&cover.prefixes, &cover.except];
    let apart = lists.iter().all(|list| {
        let pairs = list.iter().flat_map(|one| list.iter().map(move |other| (one, other)));
        pairs.into_iter().all(|(one, other)| !inside(one, other) && !siblings(one, other))
    });
    let holes = cover.except.iter().all(|hole| cover.prefixes.iter().any(|prefix| inside(hole, prefix)));
    !cover.prefixes.is_empty() && apart && holes
}

fn enforces(policy: &Policy, judgement: &Judgement) -> bool {
    let zone = policy.zones.iter().find(|zone| Some(&zone.id) == judgement.zone.as_ref());
    zone.is_some_and(|zone| zone.mode == Mode::Enforce)
}

/// What a line must say of a pair, in the words of its JSON; `None` where nothing is to be said.
fn expected(old: &Judgement, new: &Judgement) -> Option<Change> {
    let said = |judgement: &Judgement| (judgement.decision, judgement.reason, judgement.rule.clone());
    match (old.decision, new.decision) {
        _ if said(old) == said(new) => None,
        (Decision::Pass, Decision::Block) => Some(Change::Lose),
        (Decision::Block, Decision::Pass) => Some(Change::Gain),
        _ => Some(Change::Why),
    }
}

fn same(outcome: &gate25::diff::Outcome, judgement: &Judgement) -> bool {
    let Judgement { decision, action, reason, zone, rule, enforced } = judgement;
    (outcome.verdict, outcome.action, outcome.reason) == (decision.label(), action.label(), reason.label())
        && (&outcome.zone, &outcome.rule, outcome.enforced) == (zone, rule, *enforced)
}

/// Sixteen addresses about which everything lies, some far off, and the corners of what was found.
fn addresses(difference: &Difference, ipv6: bool) -> [Vec<IpAddr>; 2] {
    let far: [IpAddr; 3] = if ipv6 {
        ["::1", "9000::", "2001:db8::ffff"].map(|text| text.parse().expect("an address"))
    } else {
        ["1.0.0.1", "200.0.0.1", "192.0.3.0"].map(|text| text.parse().expect("an address"))
    };
    let base: BTreeSet<IpAddr> = (0..9).map(|number| address(ipv6, number)).chain(far).collect();
    let (mut near, mut remote) = (base.clone(), base);
    near.extend(difference.moved.iter().flat_map(|moved| corners(&moved.subscribers)));
    for line in &difference.changes {
        near.extend(corners(&line.subscribers));
        remote.extend(corners(&line.destinations));
    }
    [near, remote].map(|all| all.into_iter().filter(|address| address.is_ipv6() == ipv6).collect())
}

fn agrees(
    old: &Policy,
    new: &Policy,
    at: Timestamp,
    seen: &mut BTreeMap<&'static str, usize>,
) -> TestCaseResult {
    let difference = compare(old, new, at).expect("small policies");
    let covers = difference.changes.iter().flat_map(|line| [&line.subscribers, &line.destinations]);
    for cover in covers.chain(difference.moved.iter().map(|moved| &moved.subscribers)) {
        prop_assert!(is_tidy(cover), "{}", cover);
    }
    for ipv6 in [false, true] {
        let [near, remote] = addresses(&difference, ipv6);
        for from in near {
            let judge = |policy, to| judge(policy, (from, to), (at, at), Direction::Egress, false);
            for to in &remote {
                let (before, now) = (judge(old, *to), judge(new, *to));
                let lines = difference.changes.iter();
                let lines: Vec<_> = lines
                    .filter(|line| has(&line.subscribers, from) && has(&line.destinations, *to))
                    .collect();
                let change = expected(&before, &now);
                *seen.entry(change.map_or("none", Change::label)).or_default() += 1;
                prop_assert_eq!(
                    lines.len(),
                    usize::from(change.is_some()),
                    "{} to {}: {:?}, {:?}",
                    from,
                    to,
                    before,
                    now
                );
                for line in lines {
                    let right = Some(line.change) == change
                        && same(&line.old, &before)
                        && same(&line.new, &now)
                        && line.zone == now.zone.clone().or(before.zone.clone());
                    prop_assert!(right, "{} to {}: {:?}, {:?}: {:?}", from, to, before, now, line);
                }
            }
            let (before, now) = (judge(old, remote[0]), judge(new, remote[0]));
            let moved: Vec<_> = difference
                .moved
                .iter()
                .filter(|moved| has(&moved.subscribers, from))
                .map(|moved| (&moved.old_zone, &moved.zone))
                .collect();
            let expected = if before.zone == now.zone { vec![] } else { vec![(&before.zone, &now.zone)] };
            prop_assert_eq!(moved, expected, "{}", from);
            let turns: Vec<_> = difference
                .enforcement
                .iter()
                .filter(|turn| has(&turn.subscribers, from))
                .map(|turn| (turn.change, turn.zone.clone()))
                .collect();
            let zone = now.zone.clone().or(before.zone.clone());
            let expected = match (enforces(old, &before), enforces(new, &now)) {
                (false, true) => vec![("begins", zone)],
                (true, false) => vec![("ends", zone)],
                _ => vec![],
            };
            *seen.entry(if expected.is_empty() { "steady" } else { "turned" }).or_default() += 1;
            prop_assert_eq!(turns, expected, "{}", from);
        }
    }
    Ok(())
}

/// The first policy, with some of its parts from the second one.
fn mixed(old: &Policy, other: &Policy, parts: u8) -> Policy {
    let mut new = old.clone();
    let take = |part: u8| parts >> part & 1 == 1;
    if take(0) {
        new.zones.clone_from(&other.zones);
    }
    if take(1) {
        new.relays.clone_from(&other.relays);
    }
    if take(2) {
        new.exceptions.clone_from(&other.exceptions);
    }
    if take(3) {
        new.blocks.clone_from(&other.blocks);
    }
    if take(4) {
        new.exceptions.pop();
    }
    if let (true, Some(zone)) = (take(5), new.zones.first_mut()) {
        zone.mode = if zone.mode == Mode::Enforce { Mode::Monitor } else { Mode::Enforce };
        zone.return_path = ReturnPath::Off;
    }
    if take(6) {
        new.exceptions.iter_mut().for_each(|rule| rule.from = None);
        new.blocks.iter_mut().for_each(|rule| rule.from = None);
    }
    if take(7) {
        new.exceptions.iter_mut().for_each(|rule| rule.until = None);
        new.blocks.iter_mut().for_each(|rule| rule.until = None);
    }
    // An id is one rule's.
    let mut ids = BTreeSet::new();
    new.relays.retain(|rule| ids.insert(rule.id.clone()));
    new.exceptions.retain(|rule| ids.insert(rule.id.clone()));
    new.blocks.retain(|rule| ids.insert(rule.id.clone()));
    let zones = new.zones.len();
    let scopes = (new.relays.iter_mut().map(|rule| &mut rule.zones))
        .chain(new.exceptions.iter_mut().map(|rule| &mut rule.zones))
        .chain(new.blocks.iter_mut().map(|rule| &mut rule.zones));
    for scope in scopes {
        if let Scope::Only(list) = scope {
            Arc::make_mut(list).retain(|zone| *zone < zones);
        }
    }
    new
}

#[test]
fn every_pair_is_told_as_the_contract_has_it() {
    let seen = RefCell::new(BTreeMap::new());
    let policies = (policy(&Action::ALL[1..]), policy(&Action::ALL[1..]), any::<u8>(), 0..4_i64);
    run_until(
        400,
        &policies,
        |(old, other, parts, hours)| {
            let at = noon() + SignedDuration::from_hours(hours);
            agrees(&old, &mixed(&old, &other, parts), at, &mut seen.borrow_mut())
        },
        || rare(&seen.borrow()).is_empty(),
    );
    let seen = seen.into_inner();
    assert!(rare(&seen).is_empty(), "too rare: {:?} in {seen:?}", rare(&seen));
}

/// What must come often, and did not.
fn rare(seen: &BTreeMap<&'static str, usize>) -> Vec<&'static str> {
    let words = ["none", "lose", "gain", "why", "turned", "steady"].into_iter();
    words.filter(|word| seen.get(word).is_none_or(|times| *times <= 500)).collect()
}
