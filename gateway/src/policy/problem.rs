//! What is wrong, where, and what to do about it: one line each, for people and for scripts.

mod code;

pub use code::Code;
use std::fmt;
use std::path::{Path, PathBuf};

/// The most problems (and the most warnings) of one run that are kept; the rest is counted in one last line.
pub const MAX_LISTED: usize = 100;

/// The most characters of a value that a message repeats.
const MAX_VALUE: usize = 60;

/// Whether the policy is refused for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The policy is refused.
    Error,
    /// The policy is accepted.
    Warning,
}

/// A place in a text; both count from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Position {
    /// Where a text begins, and where what has no place of its own is reported.
    pub const START: Self = Self { line: 1, column: 1 };

    /// Where the octet at `offset` stands; what is not UTF-8 before it counts as one character.
    #[must_use]
    pub fn of(text: &[u8], offset: usize) -> Self {
        let before = &text[..offset.min(text.len())];
        let line_start = before.iter().rposition(|&octet| octet == b'\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.split(|&octet| octet == b'\n').count(),
            column: String::from_utf8_lossy(&before[line_start..]).chars().count() + 1,
        }
    }
}

/// Cause and remedy: the second half of a message, before it is known where it belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// What is wrong, so that it reads on from the value: `has host bits set`.
    pub cause: String,
    /// What to do: `did you mean 10.0.0.0/24?`.
    pub remedy: String,
    /// What kind of problem it is.
    pub code: Code,
}

impl Why {
    /// A cause and its remedy, for a value that cannot be what it is.
    pub fn new(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { cause: cause.into(), remedy: remedy.into(), code: Code::Value }
    }

    /// The same of another kind.
    #[must_use]
    pub fn coded(self, code: Code) -> Self {
        Self { code, ..self }
    }
}

/// A fault in one text, which does not know the name of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where it stands.
    pub at: Position,
    /// What it is about: `exceptions[2].destinations[0]`.
    pub place: String,
    /// What was written there.
    pub value: String,
    /// What is wrong with it.
    pub why: Why,
}

/// One fault of a policy. Displayed it is one line: `FILE:LINE:COL: where: value: cause (remedy)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether the policy is refused for it.
    pub severity: Severity,
    /// The file, as reached from the argument given.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What it is about: `exceptions[2].destinations[0]`.
    pub place: String,
    /// What was written there, unabridged.
    pub value: String,
    /// What is wrong with it, lower case, without a full stop.
    pub cause: String,
    /// What to do about it.
    pub remedy: String,
    /// What kind of problem it is, for other programs.
    pub code: Code,
}

impl Problem {
    /// A fault and the file it is in.
    #[must_use]
    pub fn new(severity: Severity, file: &Path, fault: Fault) -> Self {
        let Fault { at, place, value, why } = fault;
        let Why { cause, remedy, code } = why;
        let (file, Position { line, column }) = (file.to_owned(), at);
        Self { severity, file, line, column, place, value, cause, remedy, code }
    }

    /// The line without where it is: `where: value: cause (remedy)`.
    #[must_use]
    pub fn message(&self) -> String {
        let value = if self.value.is_empty() { "\"\"".to_owned() } else { one_line(&shorten(&self.value)) };
        let (place, cause, remedy) = (one_line(&self.place), one_line(&self.cause), one_line(&self.remedy));
        format!("{place}: {value}: {cause} ({remedy})")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = one_line(&self.file.to_string_lossy());
        write!(f, "{file}:{}:{}: {}", self.line, self.column, self.message())
    }
}

/// The text with at most 60 characters, the middle left out.
#[must_use]
pub fn shorten(text: &str) -> String {
    const HEAD: usize = MAX_VALUE * 2 / 3;
    if text.chars().nth(MAX_VALUE).is_none() {
        return text.to_owned();
    }
    let head: String = text.chars().take(HEAD).collect();
    let tail: Vec<char> = text.chars().rev().take(MAX_VALUE - HEAD - 3).collect();
    head + "..." + &tail.into_iter().rev().collect::<String>()
}

/// Whether the character breaks a line or changes how a terminal shows it.
#[must_use]
pub fn hides(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The text with everything escaped that breaks a line or changes how a terminal shows it.
#[must_use]
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if hides(c) { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

/// Problems and warnings as they are found, the first [`MAX_LISTED`] of each.
#[derive(Debug, Default)]
pub struct Report {
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    more_problems: usize,
    more_warnings: usize,
}

impl Report {
    /// Adds one, or counts it.
    pub fn add(&mut self, problem: Problem) {
        let (list, more) = match problem.severity {
            Severity::Error => (&mut self.problems, &mut self.more_problems),
            Severity::Warning => (&mut self.warnings, &mut self.more_warnings),
        };
        if list.len() < MAX_LISTED { list.push(problem) } else { *more += 1 }
    }

    /// Adds a fault of `file` for which the policy is refused.
    pub fn refuse(&mut self, file: &Path, fault: Fault) {
        self.add(Problem::new(Severity::Error, file, fault));
    }

    /// Whether there is no room for another warning; then so many are counted.
    pub fn only_counts(&mut self, warnings: usize) -> bool {
        let is_full = self.warnings.len() >= MAX_LISTED;
        self.more_warnings += if is_full { warnings } else { 0 };
        is_full
    }

    /// Whether anything was found for which the policy is refused.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        !self.problems.is_empty()
    }

    /// How many faults were found for which the policy is refused.
    #[must_use]
    pub fn refusals(&self) -> usize {
        self.problems.len() + self.more_problems
    }

    /// Problems and warnings, in the order of `sources` and then of lines; what was only counted is said in a last
    /// one at the start of `policy`.
    #[must_use]
    pub fn finish(self, policy: &Path, sources: &[PathBuf]) -> (Vec<Problem>, Vec<Problem>) {
        let sort = |mut list: Vec<Problem>, more: usize, severity, noun| {
            list.sort_by_cached_key(|problem| {
                (sources.iter().position(|source| *source == problem.file), problem.line, problem.column)
            });
            if more > 0 {
                let value = format!("{} more {noun}", grouped(more));
                let why =
                    Why::new("are not shown", "correct those above, then check again").coded(Code::Unshown);
                let fault = Fault { at: Position::START, place: "policy".into(), value, why };
                list.push(Problem::new(severity, policy, fault));
            }
            list
        };
        (
            sort(self.problems, self.more_problems, Severity::Error, "problems"),
            sort(self.warnings, self.more_warnings, Severity::Warning, "warnings"),
        )
    }
}

/// The number with a comma between thousands.
#[must_use]
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// For "did you mean": the word among `known` that `text` most likely stands for.
#[must_use]
pub fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Comparing takes the product of both lengths, and nobody means a word by something that long.
    if text.len() > 200 {
        return None;
    }
    let text = text.to_lowercase();
    let length = |text: &str| text.chars().count();
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&text, &word.to_lowercase()), word))
        .filter(|(distance, word)| *distance <= length(word).max(length(&text)).div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}
