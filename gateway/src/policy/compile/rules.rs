//! The rules of a policy as they are at an instant, by the clocks' two opinions of it (see [`Clock`]).

use super::super::{Block, Exception, Policy, Scope};
use super::Clock;
use crate::tables::Rule;
use gate25_common::verdict::RuleKind;
use ipnetwork::IpNetwork;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// A rule of any kind that matters at the instant.
pub(super) struct Active<'a> {
    pub(super) kind: RuleKind,
    pub(super) number: u64,
    pub(super) zones: &'a Scope<usize>,
    pub(super) subscribers: Option<&'a [IpNetwork]>,
    pub(super) destinations: Option<&'a [IpNetwork]>,
    /// For an exception: it has ended.
    pub(super) ended: bool,
    pub(super) until: Option<Timestamp>,
    /// For an exception: new connections a minute.
    pub(super) limit: Option<u32>,
}

/// The number that stands for a rule in tables and counters: it depends on kind and id alone, so that counters find
/// their rule again after any reload, restart or upgrade.
#[must_use]
pub fn rule_number(kind: RuleKind, id: &str) -> u64 {
    let digest = Sha256::new().chain_update(kind.label()).chain_update([0]).chain_update(id).finalize();
    digest.first_chunk().map_or(1, |octets| u64::from_be_bytes(*octets).max(1))
}

/// What the wall clock must reach for any rule to begin or end.
#[must_use]
pub fn next_change(policy: &Policy, clock: Clock) -> Option<Timestamp> {
    let Clock { wall, newest, .. } = clock;
    let exceptions =
        policy.exceptions.iter().map(|exception| (exception.from, wall, exception.until, newest));
    let blocks = policy.blocks.iter().map(|block| (block.from, newest, block.until, wall));
    let coming = |instant: Option<Timestamp>, now| instant.filter(|instant| *instant > now);
    exceptions
        .chain(blocks)
        .flat_map(|(from, begins_by, until, ends_by)| [coming(from, begins_by), coming(until, ends_by)])
        .flatten()
        .min()
}

/// The rules that are other than the wall clock alone would have them, by id: exceptions that stay ended, and blocks that
/// stay begun.
#[must_use]
pub fn held_back(policy: &Policy, clock: Clock) -> Vec<&str> {
    let alone = Clock::new(clock.wall, clock.boot);
    let exceptions = policy.exceptions.iter().filter(|exception| {
        begun(exception.from, clock.wall) && has_ended(exception, clock) != has_ended(exception, alone)
    });
    let blocks = policy.blocks.iter().filter(|block| holds(block, clock) != holds(block, alone));
    exceptions.map(|exception| &*exception.id).chain(blocks.map(|block| &*block.id)).collect()
}

fn begun(from: Option<Timestamp>, now: Timestamp) -> bool {
    from.is_none_or(|from| from <= now)
}

fn ended(until: Option<Timestamp>, now: Timestamp) -> bool {
    until.is_some_and(|until| until <= now)
}

fn has_ended(exception: &Exception, clock: Clock) -> bool {
    ended(exception.until, clock.newest)
}

fn holds(block: &Block, clock: Clock) -> bool {
    begun(block.from, clock.newest) && !ended(block.until, clock.wall)
}

fn listed(scope: &Scope<IpNetwork>) -> Option<&[IpNetwork]> {
    match scope {
        Scope::Every => None,
        Scope::Only(prefixes) => Some(prefixes),
    }
}

/// The rules that say something then, in the order of their ids: relays, exceptions that have begun, blocks that hold.
pub(super) fn active(policy: &Policy, clock: Clock) -> Vec<Active<'_>> {
    let mut rules = Vec::new();
    for relay in &policy.relays {
        let rule = Active {
            kind: RuleKind::Relay,
            number: rule_number(RuleKind::Relay, &relay.id),
            zones: &relay.zones,
            subscribers: None,
            destinations: Some(&relay.addresses),
            ended: false,
            until: None,
            limit: None,
        };
        rules.push((&relay.id, rule));
    }
    // What has been seen to end has begun, too, whatever the wall clock says now.
    let exceptions = policy
        .exceptions
        .iter()
        .filter(|exception| begun(exception.from, clock.wall) || has_ended(exception, clock));
    for exception in exceptions {
        let rule = Active {
            kind: RuleKind::Exception,
            number: rule_number(RuleKind::Exception, &exception.id),
            zones: &exception.zones,
            subscribers: listed(&exception.subscribers),
            destinations: listed(&exception.destinations),
            ended: has_ended(exception, clock),
            until: exception.until,
            limit: exception.limit,
        };
        rules.push((&exception.id, rule));
    }
    for block in policy.blocks.iter().filter(|block| holds(block, clock)) {
        let rule = Active {
            kind: RuleKind::Block,
            number: rule_number(RuleKind::Block, &block.id),
            zones: &block.zones,
            subscribers: listed(&block.subscribers),
            destinations: listed(&block.destinations),
            ended: false,
            until: None,
            limit: None,
        };
        rules.push((&block.id, rule));
    }
    rules.sort_by_key(|(id, _)| *id);
    rules.into_iter().map(|(_, rule)| rule).collect()
}

pub(super) fn names(policy: &Policy) -> HashMap<u64, Rule> {
    let relays = policy.relays.iter().map(|relay| (RuleKind::Relay, &relay.id, None));
    let exceptions =
        policy.exceptions.iter().map(|exception| (RuleKind::Exception, &exception.id, exception.until));
    let blocks = policy.blocks.iter().map(|block| (RuleKind::Block, &block.id, block.until));
    relays
        .chain(exceptions)
        .chain(blocks)
        .map(|(kind, id, until)| (rule_number(kind, id), Rule { id: id.clone(), kind, until }))
        .collect()
}
