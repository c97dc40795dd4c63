//! The zones: [`document::Zone`](crate::policy::document::Zone) → [`Zone`].

use super::fields::{Role, id, prefixes, word};
use super::{Check, Ids, MAX_ZONES, Source, Zones, at_most, numbers, redirect};
use crate::policy::document;
use crate::policy::problem::{Code, Report, Why};
use crate::policy::words::{ACTIONS, MODES, RETURN_PATHS, Words};
use crate::policy::{Action, Mode, ReturnPath, Zone};
use ipnetwork::IpNetwork;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Where a zone's prefix stands: the zone's number in the policy, and its place.
type Owners<'a> = HashMap<IpNetwork, (usize, &'a Source, String)>;

/// All zones of all files, into `policy`.
pub(super) fn zones<'a>(
    sources: &'a [Source],
    complete: bool,
    policy: &mut Vec<Zone>,
    report: &mut Report,
) -> Zones<'a> {
    let mut zones = Zones { index: HashMap::new(), complete };
    let (mut ids, mut owners) = (Ids::new(), Owners::new());
    for source in sources {
        zones.complete &= !source.is_refused("zones");
        for (number, written) in source.document.zones.iter().enumerate() {
            let check = &mut Check { source, report };
            let place = format!("zones[{number}]");
            at_most(
                check,
                MAX_ZONES,
                policy.len(),
                &place,
                "zones",
                "merge zones that share relays and defaults",
            );
            let mode = mode(check, &place, written.mode.as_deref());
            let action = action(check, &place, written.action.as_deref());
            let zone = Zone {
                id: id(check, &mut ids, &place, written.id.as_deref()),
                subscribers: subscribers(check, &mut owners, policy, &place, written),
                mode: mode.unwrap_or(Mode::Monitor),
                action: action.unwrap_or(Action::Drop),
                return_path: return_path(check, &place, written.return_path.as_deref(), mode),
                relay_to: redirect::relay_to(check, &place, written.relay_to.as_ref(), action),
                notice: redirect::notice(check, &place, written.notice.as_ref(), action),
                subscriber_prefix_v6: numbers::subscriber_prefix(
                    check,
                    &format!("{place}.subscriber_prefix_v6"),
                    written.subscriber_prefix_v6,
                ),
                relay_limit: numbers::limit(
                    check,
                    &format!("{place}.relay_max_new_connections_per_minute"),
                    written.relay_max_new_connections_per_minute,
                ),
            };
            if let Some(id) = written.id.as_deref().filter(|id| *id == zone.id && !id.is_empty()) {
                zones.index.insert(id, policy.len());
            }
            zones.complete &= written.id.is_some() && !source.is_refused(&format!("{place}.id"));
            policy.push(zone);
        }
    }
    zones
}

/// `mode`; `None` where it was refused.
fn mode(check: &mut Check, place: &str, written: Option<&str>) -> Option<Mode> {
    known_or(check, &format!("{place}.mode"), written, MODES, Mode::Monitor)
}

/// `action`; `None` where it was refused.
fn action(check: &mut Check, place: &str, written: Option<&str>) -> Option<Action> {
    known_or(check, &format!("{place}.action"), written, ACTIONS, Action::Drop)
}

/// `return_path`, in a zone of that mode.
fn return_path(check: &mut Check, place: &str, written: Option<&str>, mode: Option<Mode>) -> ReturnPath {
    let place = format!("{place}.return_path");
    let path = word(check, &place, written, RETURN_PATHS).unwrap_or(ReturnPath::Off);
    if (path, mode) == (ReturnPath::Enforce, Some(Mode::Monitor)) {
        let why =
            Why::new("enforces in a zone that monitors", "write mode: enforce, or return_path: monitor");
        check.problem(&place, path.label(), why);
    }
    path
}

/// One of `known` words, or the default where the key was left out; `None` where it was refused.
fn known_or<T: Copy + 'static>(
    check: &mut Check,
    place: &str,
    written: Option<&str>,
    known: Words<T>,
    default: T,
) -> Option<T> {
    match written {
        None => (!check.source.is_refused(place)).then_some(default),
        written => word(check, place, written, known),
    }
}

/// The prefixes of a zone, none of which is in another.
fn subscribers<'a>(
    check: &mut Check<'a, '_>,
    owners: &mut Owners<'a>,
    zones: &[Zone],
    place: &str,
    written: &document::Zone,
) -> Vec<IpNetwork> {
    let place = format!("{place}.subscribers");
    let role = Role { any: false, if_empty: "list the prefixes of the zone, as [\"203.0.113.0/24\"]" };
    let Some(list) = prefixes(check, &place, written.subscribers.as_ref(), role) else {
        check.missing(&place, role.if_empty);
        return Vec::new();
    };
    let mut own = Vec::with_capacity(list.len());
    for (index, prefix) in list {
        let here = format!("{place}[{index}]");
        match owners.entry(prefix) {
            Entry::Vacant(vacant) => {
                vacant.insert((zones.len(), check.source, here));
                own.push(prefix);
            }
            Entry::Occupied(other) => {
                let (zone, source, there) = other.get();
                let remedy = format!("keep one; the other is at {}", source.whereabouts(there));
                match zones.get(*zone) {
                    Some(zone) => {
                        let whose =
                            if zone.id.is_empty() { "another zone" } else { &format!("zone {}", zone.id) };
                        let cause = format!("is a prefix of {whose} already");
                        check.problem(&here, &prefix.to_string(), Why::new(cause, remedy));
                    }
                    None => {
                        check.advise(Code::Duplicate, &here, &prefix.to_string(), "is listed twice", &remedy);
                    }
                }
            }
        }
    }
    own
}
