//! `gate25 check`: every problem of a policy, each in one line.

use crate::clock;
use crate::names;
use crate::policy::compile::compile;
use crate::policy::problem::{MAX_LISTED, grouped};
use crate::policy::{self, Loaded, Policy, Problem, Refused, Scope};
use crate::tables::pack;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// Checks `policy`, and that it compiles; warnings and then problems go to `err`, a one-line summary to `out`. True when
/// it is valid. Unless `offline`, its names are resolved.
pub fn check(policy: &Path, offline: bool, out: &mut impl Write, err: &mut impl Write) -> io::Result<bool> {
    let (ok, summary, warnings) = match policy::load(policy) {
        Ok(Loaded { policy, mut warnings, kept }) => {
            drop(kept);
            let policy = Arc::new(policy);
            let (resolved, unresolved) = if offline { Default::default() } else { names::resolve(&policy)? };
            warnings.extend(unresolved);
            print_warnings(&warnings, err)?;
            let tables =
                compile(&policy.with_addresses(&resolved), clock::now(), true, |zone| zone as u32 + 1);
            match tables.and_then(|tables| pack(&tables)) {
                Ok(_) => (true, contents(&policy), warnings),
                Err(too_large) => {
                    writeln!(err, "{too_large}")?;
                    (false, "1 problem".to_owned(), warnings)
                }
            }
        }
        Err(Refused { problems, warnings, .. }) => {
            print_warnings(&warnings, err)?;
            for problem in &problems {
                writeln!(err, "{problem}")?;
            }
            (false, count(&problems, "problem"), warnings)
        }
    };
    let warnings =
        if warnings.is_empty() { String::new() } else { format!(", {}", count(&warnings, "warning")) };
    writeln!(out, "{}: {summary}{warnings}", policy.display())?;
    Ok(ok)
}

fn print_warnings(warnings: &[Problem], err: &mut impl Write) -> io::Result<()> {
    warnings.iter().try_for_each(|warning| writeln!(err, "warning: {warning}"))
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
    let names = policy.named().map(|(_, names)| names.list.len()).sum();
    let names = if names > 0 { format!(", {}", number(names, "name", "names")) } else { String::new() };
    format!("ok: {}{names}", parts.join(", "))
}

fn count(list: &[Problem], noun: &str) -> String {
    match list.len() {
        1 => format!("1 {noun}"),
        more if more > MAX_LISTED => format!("more than {MAX_LISTED} {noun}s"),
        number => format!("{number} {noun}s"),
    }
}
