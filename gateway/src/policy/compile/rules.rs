//! The rules of a policy as they are at an instant.

use super::super::{Policy, Scope};
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

/// The next instant after `at` at which any rule begins or ends.
#[must_use]
pub fn next_change(policy: &Policy, at: Timestamp) -> Option<Timestamp> {
    let exceptions = policy.exceptions.iter().flat_map(|exception| [exception.from, exception.until]);
    let blocks = policy.blocks.iter().flat_map(|block| [block.from, block.until]);
    exceptions.chain(blocks).flatten().filter(|instant| *instant > at).min()
}

fn listed(scope: &Scope<IpNetwork>) -> Option<&[IpNetwork]> {
    match scope {
        Scope::Every => None,
        Scope::Only(prefixes) => Some(prefixes),
    }
}

/// The rules that say something at `at`, in the order of their ids: relays, exceptions that have begun, blocks that hold.
pub(super) fn active(policy: &Policy, at: Timestamp) -> Vec<Active<'_>> {
    let begun = |from: Option<Timestamp>| from.is_none_or(|from| from <= at);
    let ended = |until: Option<Timestamp>| until.is_some_and(|until| until <= at);
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
    for exception in policy.exceptions.iter().filter(|exception| begun(exception.from)) {
        let rule = Active {
            kind: RuleKind::Exception,
            number: rule_number(RuleKind::Exception, &exception.id),
            zones: &exception.zones,
            subscribers: listed(&exception.subscribers),
            destinations: listed(&exception.destinations),
            ended: ended(exception.until),
            until: exception.until,
            limit: exception.limit,
        };
        rules.push((&exception.id, rule));
    }
    for block in policy.blocks.iter().filter(|block| begun(block.from) && !ended(block.until)) {
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
