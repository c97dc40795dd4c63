//! Problems as workflow commands, which GitHub shows beside the lines of a change.

use super::Shown;
use super::sarif::below_here;
use crate::policy::problem::Severity;

/// `::error file=...,line=...,col=...,title=...::message`
pub(super) fn command(Shown { problem, excerpt }: &Shown) -> String {
    let level = if problem.severity == Severity::Error { "error" } else { "warning" };
    let file = property(&below_here(&problem.file).to_string_lossy());
    let end = excerpt.as_ref().and_then(|excerpt| excerpt.length);
    // The last column is meant to be marked, too.
    let end = end.map_or_else(String::new, |length| format!(",endColumn={}", problem.column + length - 1));
    let (line, column, code) = (problem.line, problem.column, problem.code.label());
    let message = data(&problem.message());
    format!("::{level} file={file},line={line},col={column}{end},title=gate25 {code}::{message}")
}

/// Escaped as the text of a command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escaped as the value of a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
