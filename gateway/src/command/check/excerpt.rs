//! The line that a problem is about, with carets under the value, out of the octets that were judged.

use crate::policy::kept::place;
use crate::policy::problem::{Code, hides};
use crate::policy::{Kept, Problem};
use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use unicode_width::UnicodeWidthChar;

/// The most columns of a line that are shown, and how many of them lead up to the caret where it is cut.
const COLUMNS: usize = 100;
const LEAD: usize = 40;

/// Longer lines are not shown: nobody reads them, and looking for a column takes time.
const MAX_LINE: usize = 1 << 20;

/// A tab is shown as so many blanks.
const TAB: &str = "    ";

/// Displayed, it is two lines, both indented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Excerpt {
    line: usize,
    text: String,
    /// Columns in front of the carets.
    blanks: usize,
    /// Columns under which there are carets.
    carets: usize,
    /// How many characters the value has in the file, where it is there as it is in the message.
    pub(super) length: Option<usize>,
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, text, blanks, carets, .. } = self;
        let gutter = line.to_string().len();
        writeln!(f, "  {line} | {}", text.trim_end())?;
        writeln!(f, "  {:gutter$} | {:blanks$}{:^<carets$}", "", "", "")
    }
}

/// Finds lines; quickly, when they are asked for in order.
pub(super) struct Excerpts<'a> {
    kept: &'a Kept,
    /// Where in each file the last line asked for begins, and its number.
    found: HashMap<PathBuf, (usize, usize)>,
}

impl<'a> Excerpts<'a> {
    pub(super) fn of(kept: &'a Kept) -> Self {
        Self { kept, found: HashMap::new() }
    }

    /// The line of a problem; `None` where it is about no line.
    pub(super) fn about(&mut self, problem: &Problem) -> Option<Excerpt> {
        if problem.code == Code::Unshown {
            return None;
        }
        let file = place(&problem.file);
        let octets = self.kept.files.get(&file)?;
        let octets = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
        // In YAML, but not in a list, a carriage return ends a line by itself, too.
        let is_list = problem.place.starts_with("line ");
        let (mut at, mut line) =
            self.found.get(&file).copied().filter(|(_, line)| *line <= problem.line).unwrap_or((0, 1));
        while line < problem.line {
            at += ended(&octets[at..], is_list)?.1;
            line += 1;
        }
        self.found.insert(file, (at, line));
        let rest = &octets[at..];
        let written = ended(rest, is_list).map_or(rest, |(end, _)| &rest[..end]);
        if written.len() > MAX_LINE {
            return None;
        }
        let characters: Vec<char> = written
            .utf8_chunks()
            .flat_map(|chunk| {
                let broken = (!chunk.invalid().is_empty()).then_some(char::REPLACEMENT_CHARACTER);
                chunk.valid().chars().chain(broken)
            })
            .collect();
        excerpt(&characters, problem)
    }
}

/// Where the first line ends, and where the next one begins.
fn ended(octets: &[u8], is_list: bool) -> Option<(usize, usize)> {
    let end = octets.iter().position(|octet| *octet == b'\n' || *octet == b'\r' && !is_list)?;
    let is_pair = octets[end..].starts_with(b"\r\n");
    Some((end, end + 1 + usize::from(is_pair)))
}

fn excerpt(line: &[char], problem: &Problem) -> Option<Excerpt> {
    if line.iter().all(|c| c.is_whitespace()) {
        return None;
    }
    let first = problem.column.saturating_sub(1);
    let rest = line.get(first..)?;
    let length = length(rest, &problem.value);
    let cells: Vec<Cell> = line.iter().copied().map(Cell::of).collect();
    let width = |cells: &[Cell]| cells.iter().map(|cell| cell.width).sum::<usize>();
    let mut window = 0..cells.len();
    if width(&cells) > COLUMNS {
        let fits = |cells: &mut dyn Iterator<Item = &Cell>, columns: usize| {
            let mut sum = 0;
            cells
                .take_while(|cell| {
                    sum += cell.width;
                    sum <= columns
                })
                .count()
        };
        let lead = fits(&mut cells[..first].iter().rev(), LEAD);
        window.start = first - lead;
        window.end = window.start + fits(&mut cells[window.start..].iter(), COLUMNS);
    }
    let dots = |is_cut: bool| if is_cut { "..." } else { "" };
    let (before, behind) = (dots(window.start > 0), dots(window.end < cells.len()));
    let shown = &cells[window.clone()];
    let text: String = shown.iter().map(|cell| cell.text.as_str()).collect();
    let last = (first + length.unwrap_or(1)).clamp(first, window.end.max(first));
    Some(Excerpt {
        line: problem.line,
        text: [before, &text, behind].concat(),
        blanks: before.len() + width(&cells[window.start..first]),
        carets: width(cells.get(first..last).unwrap_or_default()).max(1),
        length,
    })
}

/// How many characters the value has, in quotes or without, if the text begins with it.
fn length(text: &[char], value: &str) -> Option<usize> {
    let begins = |text: &[char]| {
        let length = value.chars().count();
        let is_there =
            length > 0 && text.len() >= length && value.chars().zip(text).all(|(one, other)| one == *other);
        is_there.then_some(length)
    };
    let quote = text.first().filter(|quote| matches!(quote, '"' | '\''));
    begins(text).or_else(|| {
        let length = begins(&text[1..]).filter(|_| quote.is_some())?;
        (text.get(length + 1) == quote).then_some(length + 2)
    })
}

/// A character as it is shown.
struct Cell {
    text: String,
    width: usize,
}

impl Cell {
    fn of(c: char) -> Self {
        let text = match c {
            '\t' => TAB.to_owned(),
            c if hides(c) => c.escape_default().to_string(),
            c => return Self { text: c.into(), width: c.width().unwrap_or(0) },
        };
        Self { width: text.len(), text }
    }
}
