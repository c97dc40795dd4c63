//! `gate25 check`: every problem of a policy, each in one line.

use crate::policy::problem::{MAX_LISTED, grouped};
use crate::policy::{self, Policy, Problem, Scope};
use std::io::{self, Write};
use std::path::Path;

/// Checks `policy`; warnings and then problems go to `err`, a one-line summary to `out`. True when it is valid.
pub fn check(policy: &Path, out: &mut impl Write, err: &mut impl Write) -> io::Result<bool> {
    let (ok, summary, warnings, problems) = match policy::load(policy) {
        Ok(loaded) => (true, contents(&loaded.policy), loaded.warnings, Vec::new()),
        Err(refused) => (false, count(&refused.problems, "problem"), refused.warnings, refused.problems),
    };
    for warning in &warnings {
        writeln!(err, "warning: {warning}")?;
    }
    for problem in &problems {
        writeln!(err, "{problem}")?;
    }
    let warnings =
        if warnings.is_empty() { String::new() } else { format!(", {}", count(&warnings, "warning")) };
    writeln!(out, "{}: {summary}{warnings}", policy.display())?;
    Ok(ok)
}

/// `ok: 3 zones, 4 relays, 12 exceptions, 1 block, 12,345 prefixes`
fn contents(policy: &Policy) -> String {
    let scope = |scope: &Scope<_>| if let Scope::Only(list) = scope { list.len() } else { 0 };
    let prefixes = policy.zones.iter().map(|zone| zone.subscribers.len()).sum::<usize>()
        + policy.relays.iter().map(|relay| relay.addresses.len()).sum::<usize>()
        + policy.exceptions.iter().map(|e| scope(&e.subscribers) + scope(&e.destinations)).sum::<usize>()
        + policy
            .blocks
            .iter()
            .map(|block| scope(&block.subscribers) + scope(&block.destinations))
            .sum::<usize>();
    let number = |number: usize, one: &str, more: &str| {
        format!("{} {}", grouped(number), if number == 1 { one } else { more })
    };
    let parts = [
        number(policy.zones.len(), "zone", "zones"),
        number(policy.relays.len(), "relay", "relays"),
        number(policy.exceptions.len(), "exception", "exceptions"),
        number(policy.blocks.len(), "block", "blocks"),
        number(prefixes, "prefix", "prefixes"),
    ];
    format!("ok: {}", parts.join(", "))
}

fn count(list: &[Problem], noun: &str) -> String {
    match list.len() {
        1 => format!("1 {noun}"),
        more if more > MAX_LISTED => format!("more than {MAX_LISTED} {noun}s"),
        number => format!("{number} {noun}s"),
    }
}
