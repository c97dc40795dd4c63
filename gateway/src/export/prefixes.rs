//! A policy as lists of prefixes, and rules over them: what other routers call prefix lists and filter terms, or object
//! groups and access lists.

use super::plan::{Part, Term};
use super::sets::{Lists, Names, family, prefixes};
use crate::policy::Mode;
use gate25_common::verdict::Reason;
use std::fmt::Write as _;

/// What the lines mean.
pub(super) const ABOUT: [&str; 6] = [
    "Columns are separated by tabs.",
    "list  NAME  PREFIX",
    "rule  FAMILY  ZONE  permit|deny|monitor  SUBSCRIBERS  DESTINATIONS  REASON  ACTION  UNTIL",
    "For TCP to port 25: the first rule decides whose lists have source and destination (any: all destinations). What",
    "no rule has is permitted. monitor: let it pass, and count it. ACTION is what a denied connection gets (- for none),",
    "UNTIL when a permission ends (- for never). Lists have the fewest prefixes.",
];

/// The lists, then the rules.
pub(super) fn lines(parts: &[Part<'_>]) -> String {
    let (mut names, mut lists, mut rules) = (Names::default(), Lists::default(), String::new());
    for part in parts {
        let all = format!("{}.{}", names.of(&part.zone.id), family(part.ipv6));
        lists.add(all.clone(), &part.subscribers, part.ipv6);
        // What has ended is denied like all the rest, of which nothing is left where that was every destination of all.
        let is_told = |term: &&Term| term.reason != Reason::Expired || term.matches_all();
        for term in part.terms.iter().filter(is_told) {
            let mut name = |set, role| lists.name(set, part.ipv6, role);
            let sources = term.sources.as_ref().map_or_else(|| all.clone(), |set| name(set, "subscribers"));
            let to =
                term.destinations.as_ref().map_or_else(|| "any".to_owned(), |set| name(set, "destinations"));
            let until = term.until.map_or_else(|| "-".to_owned(), |until| until.to_string());
            let reason = if term.reason == Reason::Expired { Reason::Default } else { term.reason };
            let (id, reason) = (&part.zone.id, reason.label());
            let (word, action) = decision(part, term);
            let family = family(part.ipv6);
            let _ =
                writeln!(rules, "rule\t{family}\t{id}\t{word}\t{sources}\t{to}\t{reason}\t{action}\t{until}");
        }
    }
    let mut text = String::new();
    for (name, ipv6, set) in &lists.list {
        for prefix in prefixes(set, *ipv6) {
            let _ = writeln!(text, "list\t{name}\t{prefix}");
        }
    }
    text + &rules
}

/// What a rule says, and what follows where it denies.
fn decision(part: &Part<'_>, term: &Term) -> (&'static str, &'static str) {
    match (term.passes(), part.zone.mode) {
        (true, _) => ("permit", "-"),
        (false, Mode::Monitor) => ("monitor", "-"),
        (false, Mode::Enforce) => ("deny", part.zone.action.label()),
    }
}
