//! Document → [`Policy`], or every [`Problem`]: the one place where a policy is judged.
//!
//! Each step takes what was written, notes what is wrong, and goes on with something harmless: a policy with a problem
//! is never used, so only the notes matter then.

mod advice;
mod duration;
mod endpoint;
mod fields;
pub mod instant;
mod names;
mod numbers;
pub mod prefix;
mod redirect;
mod rule;
mod zone;

use super::Policy;
use super::document::Document;
use super::files::Inputs;
use super::problem::{Code, Fault, Problem, Report, Severity, Why, grouped};
use super::yaml::{Node, reader};
pub(super) use advice::advise;
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;

pub(super) use fields::MAX_ID;
pub(super) use numbers::{ATTEMPTS, LIMIT, REMOTES, SUBSCRIBER_BITS};
pub(super) use redirect::MAX_TEXT;

/// The most zones of a policy.
pub const MAX_ZONES: usize = 1_000;

/// The most relays, exceptions and blocks of a policy together.
pub const MAX_RULES: usize = 131_072;

/// One policy file, read.
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) octets: Vec<u8>,
    root: Node,
    document: Document,
    places: reader::Places,
}

impl Source {
    /// Reads the document out of the tree; faults of type go into the report.
    pub(super) fn read(path: PathBuf, octets: Vec<u8>, root: Node, report: &mut Report) -> Self {
        let (document, places) = reader::read(&root, &path, report);
        Self { path, octets, root, document, places }
    }

    /// Whether the value at `place`, or one around it, has been refused before.
    fn is_refused(&self, place: &str) -> bool {
        let place = self.written(place);
        !self.places.refused.is_empty() && ends(&place).any(|end| self.places.refused.contains(&place[..end]))
    }

    /// The place as it is written, with keys mistyped.
    fn written<'p>(&self, place: &'p str) -> Cow<'p, str> {
        if self.places.mistyped.is_empty() {
            return place.into();
        }
        let (mut written, mut last) = (String::new(), 0);
        for end in ends(place) {
            written.push_str(&place[last..end]);
            last = end;
            if let Some(mistyped) = self.places.mistyped.get(&written) {
                written.clone_from(mistyped);
            }
        }
        written.into()
    }

    /// `FILE:LINE:COL` of a place.
    fn whereabouts(&self, place: &str) -> String {
        let at = self.root.locate(&self.written(place));
        format!("{}:{}:{}", self.path.display(), at.line, at.column)
    }
}

/// Where the values around a place, and at last it, end in its text.
fn ends(place: &str) -> impl Iterator<Item = usize> {
    let inner = place.char_indices().filter(|(_, c)| matches!(c, '.' | '[')).map(|(end, _)| end);
    inner.chain([place.len()])
}

/// A source under judgement.
struct Check<'a, 'r> {
    source: &'a Source,
    report: &'r mut Report,
}

impl Check<'_, '_> {
    fn note(&mut self, severity: Severity, place: &str, value: &str, why: Why) {
        if !self.source.is_refused(place) {
            let place = self.source.written(place).into_owned();
            let at = self.source.root.locate(&place);
            let fault = Fault { at, place, value: value.to_owned(), why };
            self.report.add(Problem::new(severity, &self.source.path, fault));
        }
    }

    fn problem(&mut self, place: &str, value: &str, why: Why) {
        self.note(Severity::Error, place, value, why);
    }

    fn missing(&mut self, place: &str, remedy: &str) {
        self.problem(place, "(missing)", Why::new("is required", remedy).coded(Code::MissingKey));
    }

    fn advise(&mut self, code: Code, place: &str, value: &str, cause: &str, remedy: &str) {
        self.note(Severity::Warning, place, value, Why::new(cause, remedy).coded(code));
    }
}

/// Ids seen, and where.
type Ids<'a> = HashMap<&'a str, (&'a Source, String)>;

/// The zones, as rules refer to them.
struct Zones<'a> {
    index: HashMap<&'a str, usize>,
    /// False when some zone could not be read, so that an unknown name may well be one.
    complete: bool,
}

/// Judges all files together. `complete` is false when some file could not be read.
pub(super) fn validate(
    sources: &[Source],
    complete: bool,
    inputs: &mut Inputs,
    report: &mut Report,
) -> Policy {
    let mut policy = Policy::default();
    let mut suspects = None::<&Source>;
    for source in sources {
        let check = &mut Check { source, report };
        match source.document.version {
            Some(1) => {}
            Some(other) => {
                check.problem(
                    "version",
                    &other.to_string(),
                    Why::new("is not a known version", "write version: 1"),
                );
            }
            None => check.missing("version", "begin the file with version: 1"),
        }
        if let Some(written) = &source.document.suspects {
            if let Some(other) = suspects.replace(source) {
                let remedy = format!("keep one; the other is at {}", other.whereabouts("suspects"));
                check.problem("suspects", "(given)", Why::new("is given twice", remedy));
            }
            policy.suspects = numbers::suspects(check, written);
        }
    }
    let zones = zone::zones(sources, complete, &mut policy.zones, report);
    if let (true, [], [source, ..]) = (zones.complete, policy.zones.as_slice(), sources) {
        let remedy = "add zones: with an id and subscribers; without one nothing is enforced";
        Check { source, report }.missing("zones", remedy);
    }
    let mut ids = Ids::new();
    for source in sources {
        inputs.digest(&source.octets);
        rule::rules(&mut Check { source, report }, &zones, &mut ids, inputs, &mut policy);
    }
    if !report.is_refused() {
        redirect::advise(sources, &policy, report);
    }
    policy
}

/// Says so, once, at the entry with which a policy has one too many.
fn at_most(check: &mut Check, limit: usize, before: usize, place: &str, noun: &str, remedy: &str) {
    if before == limit {
        let cause = format!("is one more than the {} {noun} a policy may have", grouped(limit));
        check.problem(place, &format!("number {}", grouped(before + 1)), Why::new(cause, remedy));
    }
}
