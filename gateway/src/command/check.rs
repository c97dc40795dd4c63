//! `gate25 check`: every problem of a policy, each in one line below the line of the file that it is about; or for other
//! programs.

mod excerpt;
mod github;
mod sarif;

use crate::cli::Format;
use crate::clock;
use crate::names;
use crate::policy::compile::{Clock, TooLarge, compile};
use crate::policy::problem::{Code, Fault, MAX_LISTED, Position, Severity, Why, grouped};
use crate::policy::{self, Kept, Loaded, Policy, Problem, Refused, Scope};
use crate::tables::pack;
use excerpt::{Excerpt, Excerpts};
use jiff::Timestamp;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// A file or a directory.
    pub policy: &'a Path,
    /// Names are not resolved.
    pub offline: bool,
    /// The instant by which dates are judged; `None` is now.
    pub at: Option<Timestamp>,
    /// What is written to `out` besides.
    pub format: Format,
}

/// A problem, and the line it is about, where there is one.
struct Shown {
    problem: Problem,
    excerpt: Option<Excerpt>,
}

/// Checks the policy, and that it compiles. Warnings and then problems go to `err`, a summary in one line or what the
/// format asks for to `out`. True when the policy is valid.
pub fn check(options: Options<'_>, out: &mut impl Write, err: &mut impl Write) -> io::Result<bool> {
    let Options { policy: path, offline, at, format } = options;
    let clock = at.map_or_else(clock::now, Clock::standing_at);
    let (mut shown, contents) = match policy::load_advised(path, clock.wall) {
        Ok(Loaded { policy, mut warnings, kept }) => {
            let policy = Arc::new(policy);
            let (resolved, unresolved) = if offline { Default::default() } else { names::resolve(&policy)? };
            warnings.extend(unresolved);
            let mut shown = excerpts(warnings, &kept);
            drop(kept);
            let tables = compile(&policy.with_addresses(&resolved), clock, true, |zone| zone as u32 + 1);
            if let Err(error) = tables.and_then(|tables| pack(&tables)) {
                shown.push(Shown { problem: too_large(path, error), excerpt: None });
            }
            (shown, contents(&policy))
        }
        Err(Refused { problems, mut warnings, kept, .. }) => {
            warnings.extend(problems);
            (excerpts(warnings, &kept), String::new())
        }
    };
    shown.sort_by_key(|shown| shown.problem.severity == Severity::Error);
    tell(&shown, err)?;
    let number = |severity| shown.iter().filter(|shown| shown.problem.severity == severity).count();
    let (problems, warnings) = (number(Severity::Error), number(Severity::Warning));
    let what = if problems > 0 { count(problems, "problem") } else { contents };
    let more = if warnings > 0 { format!(", {}", count(warnings, "warning")) } else { String::new() };
    match format {
        Format::Sarif => sarif::write(&shown, out)?,
        Format::Github => {
            shown.iter().try_for_each(|shown| writeln!(out, "{}", github::command(shown)))?;
            writeln!(out, "{}: {what}{more}", path.display())?;
        }
        Format::Text => writeln!(out, "{}: {what}{more}", path.display())?,
    }
    Ok(problems == 0)
}

fn excerpts(problems: Vec<Problem>, kept: &Kept) -> Vec<Shown> {
    let mut excerpts = Excerpts::of(kept);
    problems.into_iter().map(|problem| Shown { excerpt: excerpts.about(&problem), problem }).collect()
}

/// Each message is a line of its own, and what stands above it is indented.
fn tell(shown: &[Shown], err: &mut impl Write) -> io::Result<()> {
    for Shown { problem, excerpt } in shown {
        if let Some(excerpt) = excerpt {
            write!(err, "{excerpt}")?;
        }
        let warning = if problem.severity == Severity::Warning { "warning: " } else { "" };
        writeln!(err, "{warning}{problem}")?;
    }
    Ok(())
}

fn too_large(path: &Path, TooLarge { what, needed, limit }: TooLarge) -> Problem {
    let cause = format!("more than the {limit} that fit");
    let why = Why::new(cause, "merge prefixes, or drop rules that overlap").coded(Code::TooLarge);
    let value = format!("{needed} {what}");
    Problem::new(Severity::Error, path, Fault { at: Position::START, place: "policy".into(), value, why })
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

fn count(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        more if more > MAX_LISTED => format!("more than {MAX_LISTED} {noun}s"),
        number => format!("{number} {noun}s"),
    }
}
