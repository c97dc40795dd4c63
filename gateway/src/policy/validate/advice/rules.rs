//! The rules of a policy, as advice looks at them.

use super::super::{Check, Source};
use super::Side;
use crate::policy::document::Texts;
use crate::policy::problem::Report;
use crate::policy::{Policy, Scope};
use gate25_common::verdict::RuleKind;
use ipnetwork::IpNetwork;
use jiff::Timestamp;

/// A relay, exception or block, and where it stands.
pub(super) struct Rule<'a> {
    pub(super) kind: RuleKind,
    /// Index in the policy's list of its kind.
    pub(super) index: usize,
    pub(super) id: &'a str,
    pub(super) zones: &'a Scope<usize>,
    /// `None` is every subscriber of the zones.
    pub(super) subscribers: Option<&'a [IpNetwork]>,
    /// `None` is everywhere.
    pub(super) destinations: Option<&'a [IpNetwork]>,
    /// Whether others may rely on it: an exception that has not ended, a block that holds from now on for ever.
    pub(super) counts: bool,
    pub(super) source: &'a Source,
    /// `exceptions[2]`
    pub(super) place: String,
    written: [Written<'a>; 2],
}

/// What is under `KEY` and `KEY_file`.
type Written<'a> = (Option<&'a Texts>, Option<&'a str>);

impl<'a> Rule<'a> {
    pub(super) fn check<'r>(&self, report: &'r mut Report) -> Check<'a, 'r> {
        Check { source: self.source, report }
    }

    pub(super) fn written(&self, side: Side) -> Written<'a> {
        self.written[side as usize]
    }

    /// The key of a list, `KEY_file` where only that is written.
    pub(super) fn key(&self, side: Side) -> &'static str {
        let has_file_only = matches!(self.written(side), (None, Some(_)));
        match (side, self.kind) {
            (Side::Subscribers, _) if has_file_only => "subscribers_file",
            (Side::Subscribers, _) => "subscribers",
            (Side::Destinations, RuleKind::Relay) => "addresses",
            (Side::Destinations, _) if has_file_only => "destinations_file",
            (Side::Destinations, _) => "destinations",
        }
    }
}

/// All rules: relays, exceptions, blocks, each in the policy's order.
pub(super) fn rules<'a>(sources: &'a [Source], policy: &'a Policy, at: Timestamp) -> Vec<Rule<'a>> {
    fn listed(scope: &Scope<IpNetwork>) -> Option<&[IpNetwork]> {
        if let Scope::Only(listed) = scope { Some(listed) } else { None }
    }
    let mut rules = Vec::new();
    let written =
        sources.iter().flat_map(|source| source.document.relays.iter().enumerate().map(move |w| (source, w)));
    for (index, (relay, (source, (number, written)))) in policy.relays.iter().zip(written).enumerate() {
        rules.push(Rule {
            kind: RuleKind::Relay,
            index,
            id: &relay.id,
            zones: &relay.zones,
            subscribers: None,
            destinations: Some(&relay.addresses),
            counts: true,
            source,
            place: format!("relays[{number}]"),
            written: [(None, None), (written.addresses.as_ref(), None)],
        });
    }
    let written = sources
        .iter()
        .flat_map(|source| source.document.exceptions.iter().enumerate().map(move |w| (source, w)));
    for (index, (exception, (source, (number, written)))) in policy.exceptions.iter().zip(written).enumerate()
    {
        rules.push(Rule {
            kind: RuleKind::Exception,
            index,
            id: &exception.id,
            zones: &exception.zones,
            subscribers: listed(&exception.subscribers),
            destinations: listed(&exception.destinations),
            counts: exception.until.is_none_or(|until| until > at),
            source,
            place: format!("exceptions[{number}]"),
            written: [
                (written.subscribers.as_ref(), written.subscribers_file.as_deref()),
                (written.destinations.as_ref(), written.destinations_file.as_deref()),
            ],
        });
    }
    let written =
        sources.iter().flat_map(|source| source.document.blocks.iter().enumerate().map(move |w| (source, w)));
    for (index, (block, (source, (number, written)))) in policy.blocks.iter().zip(written).enumerate() {
        rules.push(Rule {
            kind: RuleKind::Block,
            index,
            id: &block.id,
            zones: &block.zones,
            subscribers: listed(&block.subscribers),
            destinations: listed(&block.destinations),
            counts: block.until.is_none() && block.from.is_none_or(|from| from <= at),
            source,
            place: format!("blocks[{number}]"),
            written: [
                (written.subscribers.as_ref(), written.subscribers_file.as_deref()),
                (written.destinations.as_ref(), written.destinations_file.as_deref()),
            ],
        });
    }
    rules
}

/// Whether every zone of `inner` is one of `outer`, of so many zones.
pub(super) fn includes(outer: &Scope<usize>, inner: &Scope<usize>, zones: usize) -> bool {
    match (outer, inner) {
        (Scope::Every, _) => true,
        (Scope::Only(_), Scope::Only(inner)) => inner.iter().all(|zone| outer.has(zone)),
        (Scope::Only(outer), Scope::Every) => outer.len() == zones,
    }
}
