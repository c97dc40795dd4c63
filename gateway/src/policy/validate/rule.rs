//! Relays, exceptions and blocks.

use super::fields::{Role, id, instant, period, prefixes, scope, word, zone_scope};
use super::{Check, Ids, MAX_RULES, Zones, at_most, names, numbers};
use crate::policy::document;
use crate::policy::files::Inputs;
use crate::policy::problem::{Code, Why};
use crate::policy::words::KINDS;
use crate::policy::{Block, Exception, Policy, Relay, Scope};
use crate::progress::{Step, note};
use std::sync::Arc;

const SUBSCRIBERS: Role =
    Role { any: false, if_empty: "list prefixes; for every subscriber leave the key out" };

/// All rules of one file, into `policy`.
pub(super) fn rules<'a>(
    check: &mut Check<'a, '_>,
    zones: &Zones,
    ids: &mut Ids<'a>,
    inputs: &mut Inputs,
    policy: &mut Policy,
) {
    let rules = |policy: &Policy| policy.relays.len() + policy.exceptions.len() + policy.blocks.len();
    let count = rules(policy);
    let document = &check.source.document;
    let places = |key: &'static str, length: usize| (0..length).map(move |index| format!("{key}[{index}]"));
    let all = places("relays", document.relays.len())
        .chain(places("exceptions", document.exceptions.len()))
        .chain(places("blocks", document.blocks.len()));
    if let Some(place) = MAX_RULES.checked_sub(count).and_then(|room| all.clone().nth(room)) {
        let remedy = "merge rules that share their zones and dates, with *_file lists";
        at_most(check, MAX_RULES, MAX_RULES, &place, "relays, exceptions and blocks", remedy);
    }
    let mut names = policy.named().map(|(_, names)| names.list.len()).sum();
    for (place, written) in places("relays", usize::MAX).zip(&document.relays) {
        note(Step::Checked, rules(policy), None);
        policy.relays.push(relay(check, zones, ids, &mut names, &place, written));
    }
    for (place, written) in places("exceptions", usize::MAX).zip(&document.exceptions) {
        note(Step::Checked, rules(policy), None);
        policy.exceptions.push(exception(check, zones, ids, (inputs, &mut names), &place, written));
    }
    for (place, written) in places("blocks", usize::MAX).zip(&document.blocks) {
        note(Step::Checked, rules(policy), None);
        policy.blocks.push(block(check, zones, ids, inputs, &place, written));
    }
}

fn relay<'a>(
    check: &mut Check<'a, '_>,
    zones: &Zones,
    ids: &mut Ids<'a>,
    count: &mut usize,
    place: &str,
    written: &'a document::Relay,
) -> Relay {
    let at = |key: &str| format!("{place}.{key}");
    let role = Role { any: false, if_empty: "list the relay's addresses, as [\"192.0.2.25\"]" };
    let addresses = prefixes(check, &at("addresses"), written.addresses.as_ref(), role);
    if written.addresses.is_none() && written.names.is_none() && !check.source.is_refused(&at("names")) {
        check.missing(&at("addresses"), role.if_empty);
    }
    Relay {
        id: id(check, ids, place, written.id.as_deref()),
        zones: zone_scope(check, zones, place, written.zones.as_ref()),
        addresses: addresses.unwrap_or_default().into_iter().map(|(_, prefix)| prefix).collect(),
        names: names::of_relay(check, place, written, count),
    }
}

fn exception<'a>(
    check: &mut Check<'a, '_>,
    zones: &Zones,
    ids: &mut Ids<'a>,
    (inputs, count): (&mut Inputs, &mut usize),
    place: &str,
    written: &'a document::Exception,
) -> Exception {
    let at = |key: &str| format!("{place}.{key}");
    let role = Role { any: true, if_empty: "list prefixes; for everywhere write destinations: any" };
    let subscribers = (written.subscribers.as_ref(), written.subscribers_file.as_deref());
    let destinations = (written.destinations.as_ref(), written.destinations_file.as_deref());
    let id = id(check, ids, place, written.id.as_deref());
    let zones = zone_scope(check, zones, place, written.zones.as_ref());
    let kind = word(check, &at("kind"), written.kind.as_deref(), KINDS).unwrap_or_default();
    let (from, until) = period(check, place, written.from.as_deref(), written.until.as_deref());
    let subscribers = scope(check, inputs, &at("subscribers"), subscribers, SUBSCRIBERS);
    let has_names = written.names.is_some() || written.mx.is_some();
    if destinations == (None, None)
        && !has_names
        && !any_refused(check, place, &["destinations_file", "names", "mx"])
    {
        check.missing(&at("destinations"), "list prefixes, as [\"198.51.100.0/24\"], or write any");
    }
    let mut destinations = scope(check, inputs, &at("destinations"), destinations, role);
    if has_names && written.destinations.is_none() && written.destinations_file.is_none() {
        destinations = Scope::Only(Arc::default());
    }
    let names = names::of_exception(check, place, written, count);
    match (written.until.as_deref(), written.permanent) {
        (Some(_), Some(true)) => {
            check.problem(&at("permanent"), "true", Why::new("contradicts until", "keep one of the two"));
        }
        (None, None | Some(false)) if !any_refused(check, place, &["permanent"]) => {
            check.missing(&at("until"), "write until: \"2004-07-28T00:00:00-07:00\", or permanent: true");
        }
        _ => {}
    }
    instant(check, &at("review_by"), written.review_by.as_deref());
    for (key, text) in [("owner", &written.owner), ("reason", &written.reason)] {
        if text.as_deref().is_none_or(|text| text.trim().is_empty()) {
            check.advise(
                Code::Undocumented,
                &at(key),
                "(missing)",
                "should be there for whoever reviews this",
                &format!("add {key}: ..."),
            );
        }
    }
    let limit =
        numbers::limit(check, &at("max_new_connections_per_minute"), written.max_new_connections_per_minute);
    Exception { id, kind, zones, subscribers, destinations, names, from, until, limit }
}

fn block<'a>(
    check: &mut Check<'a, '_>,
    zones: &Zones,
    ids: &mut Ids<'a>,
    inputs: &mut Inputs,
    place: &str,
    written: &'a document::Block,
) -> Block {
    let at = |key: &str| format!("{place}.{key}");
    let role = Role { any: true, if_empty: "list prefixes; for everywhere leave the key out" };
    let subscribers = (written.subscribers.as_ref(), written.subscribers_file.as_deref());
    let destinations = (written.destinations.as_ref(), written.destinations_file.as_deref());
    let keys = ["destinations", "destinations_file", "subscribers", "subscribers_file"];
    let nothing =
        destinations == (None, None) && subscribers == (None, None) && !any_refused(check, place, &keys);
    let id = id(check, ids, place, written.id.as_deref());
    let zones = zone_scope(check, zones, place, written.zones.as_ref());
    let (from, until) = period(check, place, written.from.as_deref(), written.until.as_deref());
    let subscribers = scope(check, inputs, &at("subscribers"), subscribers, SUBSCRIBERS);
    let destinations = scope(check, inputs, &at("destinations"), destinations, role);
    if nothing {
        check.missing(&at("destinations"), "list destinations or subscribers, as [\"198.51.100.66\"]");
    } else if (&zones, &subscribers, &destinations) == (&Scope::Every, &Scope::Every, &Scope::Every) {
        let why =
            Why::new("blocks everyone from everywhere", "list zones, subscribers, or some destinations");
        check.problem(&at("destinations"), "any", why);
    }
    if written.reason.as_deref().is_none_or(|text| text.trim().is_empty()) {
        let cause = "should be there for whoever reviews this";
        check.advise(Code::Undocumented, &at("reason"), "(missing)", cause, "add reason: ...");
    }
    Block { id, zones, subscribers, destinations, from, until }
}

fn any_refused(check: &Check, place: &str, keys: &[&str]) -> bool {
    keys.iter().any(|key| check.source.is_refused(&format!("{place}.{key}")))
}
