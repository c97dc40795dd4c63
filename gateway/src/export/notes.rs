//! What of a policy a format cannot say, each naming whom it concerns.

use super::{Format, Wanted};
use crate::policy::{Action, Mode, Policy, ReturnPath, Scope};
use ipnetwork::IpNetwork;
use jiff::Timestamp;

/// Ids that are listed; of more the number.
const NAMES: usize = 20;

/// What of this policy is other behind the export. With `ends` exceptions end by themselves.
pub(super) fn notes(policy: &Policy, wanted: &Wanted, ends: bool) -> Vec<String> {
    let Wanted { format, at, knows_names, .. } = *wanted;
    let mut notes = Notes(Vec::new());
    let (zones, exceptions) = (|| policy.zones.iter(), || policy.exceptions.iter());
    let is_later = |instant: &Option<Timestamp>| instant.is_some_and(|instant| instant > at);
    if format == Format::Rbldnsd {
        let monitored = zones().filter(|zone| zone.mode == Mode::Monitor).map(|zone| &zone.id);
        notes.add(
            "zone",
            monitored,
            "monitors, and is left out (others would refuse its mail while it is tried)",
        );
    } else {
        let limited = zones().filter(|zone| zone.relay_limit.is_some()).map(|zone| &zone.id);
        notes.add("zone", limited, "relay_max_new_connections_per_minute: is not kept (nothing limits it)");
        let limited = exceptions().filter(|rule| rule.limit.is_some()).map(|rule| &rule.id);
        notes.add("exception", limited, "max_new_connections_per_minute: is not kept (nothing limits it)");
    }
    if format == Format::Nftables {
        for (action, word) in [(Action::Notice, "notice"), (Action::Relay, "relay")] {
            let redirecting = zones().filter(|zone| zone.action == action).map(|zone| &zone.id);
            notes.add("zone", redirecting, &format!("action: {word}: connections are reset, not led there"));
        }
    }
    if format == Format::Prefixes {
        let looking = zones().filter(|zone| zone.return_path != ReturnPath::Off).map(|zone| &zone.id);
        notes.add(
            "zone",
            looking,
            "return_path: is left out (swap source and destination, and match source port 25)",
        );
    }
    let what = if knows_names {
        "names: are their addresses of now (export again when they change)"
    } else {
        "names: were not looked up, and match nothing (export without --offline)"
    };
    let named = policy.relays.iter().filter(|relay| !relay.names.list.is_empty()).map(|relay| &relay.id);
    notes.add("relay", named.filter(|_| format != Format::Rbldnsd), what);
    let named = exceptions().filter(|rule| !rule.names.list.is_empty()).map(|rule| &rule.id);
    notes.add("exception", named.filter(|_| format != Format::Rbldnsd), what);

    let bears = |destinations: &Scope<IpNetwork>| match destinations {
        Scope::Every => true,
        Scope::Only(list) => format != Format::Rbldnsd || list.iter().any(|prefix| prefix.prefix() == 0),
    };
    for rule in exceptions().filter(|rule| bears(&rule.destinations)) {
        if is_later(&rule.from) {
            notes.date("exception", &rule.id, "begins", rule.from);
        } else if is_later(&rule.until) && !ends {
            notes.date("exception", &rule.id, "ends", rule.until);
        }
    }
    for rule in policy.blocks.iter().filter(|rule| bears(&rule.destinations)) {
        if is_later(&rule.from) {
            notes.date("block", &rule.id, "begins", rule.from);
        } else if is_later(&rule.until) {
            notes.date("block", &rule.id, "ends", rule.until);
        }
    }
    notes.0
}

struct Notes(Vec<String>);

impl Notes {
    /// One for all of whom it is true.
    fn add<'a>(&mut self, kind: &str, ids: impl Iterator<Item = &'a String>, what: &str) {
        let mut ids: Vec<&str> = ids.map(String::as_str).collect();
        ids.sort_unstable();
        let more = ids.len().saturating_sub(NAMES);
        let some = ids[..ids.len() - more].join(", ");
        match more {
            _ if ids.is_empty() => {}
            0 => self.0.push(format!("{kind} {some}: {what}")),
            _ => self.0.push(format!("{kind} {some} and {more} more: {what}")),
        }
    }

    fn date(&mut self, kind: &str, id: &str, does: &str, instant: Option<Timestamp>) {
        if let Some(instant) = instant {
            self.0
                .push(format!("{kind} {id}: {does} {instant}, which this does not know (export again then)"));
        }
    }
}
