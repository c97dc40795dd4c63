//! Advice on a policy that is valid, at an instant: what in it is of no use, soon will be, or is hardly meant.
//!
//! Only what is certain is said: nothing where several entries together make one needless, or where it depends on what
//! names stand for. [`sweep`] finds prefixes, [`cover`] whole rules; [`tell`] knows where they stand.

mod cover;
mod dates;
mod rules;
mod sweep;
mod tell;

use super::{Check, Source};
use crate::policy::Policy;
use crate::policy::document::Texts;
use crate::policy::files::Inputs;
use crate::policy::problem::{Code, Report, Severity, Why};
use crate::policy::validate::prefix;
use ipnetwork::IpNetwork;
use jiff::Timestamp;
use rules::rules;
use std::collections::{BTreeMap, HashSet};

/// So many prefixes of a list are shown with the same fault; the others are counted.
const SHOWN: usize = 3;

/// Which of a rule's two lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Side {
    Subscribers,
    Destinations,
}

/// Prefixes of a list with the same fault: the first, each with the index of what it is about, and how many there are.
#[derive(Default)]
struct Found {
    first: Vec<(IpNetwork, usize)>,
    number: usize,
}

/// What was found, by rule.
#[derive(Default)]
struct Findings(BTreeMap<(usize, Side, Code), Found>);

impl Findings {
    fn add(&mut self, rule: usize, side: Side, code: Code, prefix: IpNetwork, about: usize) {
        let found = self.0.entry((rule, side, code)).or_default();
        found.number += 1;
        if found.first.len() < SHOWN {
            found.first.push((prefix, about));
        }
    }
}

/// Says what is worth knowing of a valid policy at an instant; its entries are in the order of `sources`.
pub(in crate::policy) fn advise(
    sources: &[Source],
    policy: &Policy,
    inputs: &Inputs,
    at: Timestamp,
    report: &mut Report,
) {
    dates::advise(sources, policy, at, report);
    zones(sources, report);
    let rules = rules(sources, policy, at);
    let mut findings = Findings::default();
    // What is too large for it is too large to be compiled.
    let Ok(sides) = sweep::look(&rules, policy, &mut findings) else { return };
    for (index, key, why) in cover::look(&rules, policy, at, &sides) {
        let rule = &rules[index];
        let value = if key == "id" { rule.id } else { "(given)" };
        rule.check(report).note(Severity::Warning, &format!("{}.{key}", rule.place), value, why);
    }
    let mut said = HashSet::new();
    for ((rule, side, code), found) in &findings.0 {
        if !report.only_counts(found.number) {
            let why = |about| tell::why(*code, *side, (&rules, *rule), policy, about);
            tell::tell(&rules[*rule], (*side, *code), found, &why, inputs, &mut said, report);
        }
    }
}

/// Prefixes of zones that are wide.
fn zones(sources: &[Source], report: &mut Report) {
    for source in sources {
        for (index, zone) in source.document.zones.iter().enumerate() {
            let Some(Texts::List(texts)) = &zone.subscribers else { continue };
            for (number, text) in texts.iter().enumerate() {
                if let Some(prefix) = prefix::parse(text).ok().filter(sweep::is_wide) {
                    let place = format!("zones[{index}].subscribers[{number}]");
                    Check { source, report }.note(Severity::Warning, &place, text, wide(prefix));
                }
            }
        }
    }
}

fn wide(prefix: IpNetwork) -> Why {
    let limit = if prefix.is_ipv4() { "/8" } else { "/16" };
    let cause = format!("is wider than {limit}, which is seldom meant");
    Why::new(cause, "check its length").coded(Code::WidePrefix)
}
