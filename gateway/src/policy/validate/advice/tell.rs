//! Findings about prefixes, where those stand.

use super::rules::Rule;
use super::{Found, SHOWN, Side, wide};
use crate::policy::Policy;
use crate::policy::document::Texts;
use crate::policy::files::{Inputs, list};
use crate::policy::problem::{Code, Fault, Position, Problem, Report, Severity, Why, grouped};
use crate::policy::validate::prefix;
use gate25_common::verdict::RuleKind;
use ipnetwork::IpNetwork;
use rustc_hash::FxHashSet;
use std::collections::HashSet;
use std::path::PathBuf;

/// What is to be said about a prefix in a list of the rule `of`. That it is listed twice, or wide, says itself.
pub(super) fn why(
    code: Code,
    side: Side,
    (rules, of): (&[Rule<'_>], usize),
    policy: &Policy,
    about: usize,
) -> Why {
    let what = if rules[of].kind == RuleKind::Relay { "relay" } else { "exception" };
    let shadow = |rule: &Rule| match (rule.kind, side) {
        (RuleKind::Relay, _) => (
            format!("is inside relay {}, so these subscribers may connect anyway", rule.id),
            "narrow the relay",
        ),
        (_, Side::Destinations) => {
            (format!("is inside block {}, so this {what} allows nothing there", rule.id), "narrow the block")
        }
        (_, Side::Subscribers) => {
            (format!("is inside block {}, so this {what} allows it nothing", rule.id), "narrow the block")
        }
    };
    let (cause, remedy) = match code {
        Code::Shadowed => {
            let (cause, other) = shadow(&rules[about]);
            (cause, format!("remove it, or {other}"))
        }
        Code::RelayInZone => (
            format!(
                "is a subscriber of zone {}, so what this relay sends on is judged, too",
                policy.zones[about].id
            ),
            "take it out of the zone, or except it with destinations: any".into(),
        ),
        _ => (
            "is in no zone of this exception, so nobody there can use it".into(),
            "correct it or the zones, or remove it".into(),
        ),
    };
    Why::new(cause, remedy).coded(code)
}

/// A prefix in a list.
struct Entry {
    prefix: IpNetwork,
    file: PathBuf,
    at: Position,
    place: String,
    value: String,
}

/// Tells what was found in a list of a rule. What is in a file that several rules name is told once.
pub(super) fn tell(
    rule: &Rule<'_>,
    (side, code): (Side, Code),
    found: &Found,
    why: &dyn Fn(usize) -> Why,
    inputs: &Inputs,
    said: &mut HashSet<String>,
    report: &mut Report,
) {
    let wanted = found.first.iter().map(|(prefix, _)| *prefix).collect();
    let (mut shown, mut last, mut more) = (0, None, found.number - found.first.len());
    let mut firsts: Vec<(IpNetwork, String)> = Vec::new();
    for Entry { prefix, file, at, place, value } in entries(rule, side, inputs, &wanted) {
        let first = firsts.iter().find(|(known, _)| *known == prefix).map(|(_, first)| first);
        let why = match (code, first) {
            (Code::Duplicate, Some(first)) => {
                Why::new("is listed twice", format!("keep one; the other is at {first}")).coded(code)
            }
            (Code::Duplicate, None) => {
                firsts.push((prefix, format!("{}:{}:{}", file.display(), at.line, at.column)));
                continue;
            }
            (Code::WidePrefix, _) => wide(prefix),
            _ => why(found.first.iter().find(|(known, _)| *known == prefix).map_or(0, |(_, about)| *about)),
        };
        if shown == SHOWN {
            more += 1;
            continue;
        }
        shown += 1;
        last = Some((file.clone(), at));
        let problem = Problem::new(Severity::Warning, &file, Fault { at, place, value, why });
        if said.insert(problem.to_string()) {
            report.add(problem);
        }
    }
    if let (Some((file, at)), 1..) = (last, more) {
        let why = Why::new("have the same fault", "correct those above, then check again").coded(code);
        let place = format!("{}.{}", rule.place, rule.key(side));
        let fault = Fault { at, place, value: format!("{} more", grouped(more)), why };
        report.add(Problem::new(Severity::Warning, &file, fault));
    }
}

/// Where the wanted prefixes stand, in the list's order: what is written in the policy first, then its file.
fn entries(rule: &Rule<'_>, side: Side, inputs: &Inputs, wanted: &FxHashSet<IpNetwork>) -> Vec<Entry> {
    let (texts, list) = rule.written(side);
    let path = &rule.source.path;
    let mut entries = Vec::new();
    if let Some(Texts::List(texts)) = texts {
        for (index, text) in texts.iter().enumerate() {
            if let Some(prefix) = prefix::parse(text).ok().filter(|prefix| wanted.contains(prefix)) {
                let place = format!("{}.{}[{index}]", rule.place, rule.key(side));
                let at = rule.source.root.locate(&place);
                entries.push(Entry { prefix, file: path.clone(), at, place, value: text.clone() });
            }
        }
    }
    if let Some(name) = list {
        let file = path.parent().unwrap_or_else(|| "".as_ref()).join(name);
        for (prefix, at, value) in list::places(inputs.octets(&file), wanted) {
            let place = format!("line {}", at.line);
            entries.push(Entry { prefix, file: file.clone(), at, place, value });
        }
    }
    entries
}
