//! YAML text → a tree of [`Node`]s that know where they stand.
//!
//! Why not `serde_yaml` here: it stops at the first fault, forgets positions, and would have to read the text a second
//! time beside a position index, by a second parser that need not agree. One streaming parser gives text and marks
//! alike, and depth and size are bounded while it runs. [`reader`] then hands the tree to serde.
//!
//! The dialect is YAML 1.2 (core schema): one document, text keys, no tags. Aliases are followed, and what they
//! expand to counts.

mod input;
pub mod reader;
mod remedy;

use super::problem::{Code, Fault, Position, Why};
use crate::progress::{Step, note};
use input::{Bounded, MAX_AHEAD, printable};
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

/// The most levels of lists and mappings in each other.
const MAX_DEPTH: usize = 32;

/// What a file may weigh with all aliases followed: each node [`NODE_WEIGHT`], and its text in octets.
const MAX_WEIGHT: usize = 128 << 20;

/// The weight of a node beside its text, about what it takes in memory.
const NODE_WEIGHT: usize = 32;

/// A value and where it begins. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it begins; for a key without a value, where the key does.
    pub at: Position,
    /// What it is.
    pub kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Text as written, and whether it stood without quotes.
    Scalar {
        /// The text, escapes resolved.
        text: Rc<str>,
        /// Without quotes, so it may be a number, `true`, `false` or null.
        plain: bool,
    },
    /// A list.
    List(Rc<[Node]>),
    /// A mapping, in the order written; a key may be there twice.
    Map(Rc<[Entry]>),
}

/// A key of a mapping and its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key's text.
    pub key: Rc<str>,
    /// Where the key begins.
    pub at: Position,
    /// The value.
    pub value: Node,
}

impl Node {
    /// Where the value at `place` (`exceptions[2].destinations[0]`) begins, or the innermost one around it that exists.
    #[must_use]
    pub fn locate(&self, place: &str) -> Position {
        let mut node = self;
        for step in place.split(['.', '[']).map(|step| step.trim_end_matches(']')) {
            let inner = match &node.kind {
                Kind::Map(entries) => entries.iter().find(|e| &*e.key == step).map(|entry| &entry.value),
                Kind::List(items) => step.parse::<usize>().ok().and_then(|index| items.get(index)),
                Kind::Scalar { .. } => None,
            };
            let Some(inner) = inner else { break };
            node = inner;
        }
        node.at
    }
}

/// Reads a file's octets. What cannot be read at all is one [`Fault`].
pub fn parse(octets: &[u8]) -> Result<Node, Fault> {
    let text = printable(octets)?;
    let ahead = Rc::new(Cell::new(0));
    let mut builder = Builder {
        parser: Parser::new(Bounded::new(text, ahead.clone())),
        ahead,
        text,
        weight: 0,
        open: Vec::new(),
        deepest: 0,
        anchors: HashMap::new(),
    };
    builder.document()
}

/// A fault of the text itself.
fn fault(at: Position, value: impl Into<String>, cause: &str, remedy: &str) -> Fault {
    Fault { at, place: "yaml".into(), value: value.into(), why: Why::new(cause, remedy).coded(Code::Syntax) }
}

fn position(span: &Span) -> Position {
    Position { line: span.start.line().max(1), column: span.start.col() + 1 }
}

/// From parser events to nodes.
struct Builder<'a> {
    parser: Parser<'a, Bounded<'a>>,
    /// Indicators read for the event at hand.
    ahead: Rc<Cell<usize>>,
    text: &'a str,
    weight: usize,
    /// Where the lists and mappings begin that are being read.
    open: Vec<Position>,
    /// The deepest level within the node being read.
    deepest: usize,
    /// Finished anchors, with the weight and the levels of what they name.
    anchors: HashMap<usize, (Node, usize, usize)>,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Position), Fault> {
        self.ahead.set(0);
        let event = self.parser.next_event();
        if self.ahead.get() > MAX_AHEAD {
            let cause = "has too much in one pair of brackets, or in one text";
            let remedy = "write long lists and mappings on lines of their own, or into *_file lists";
            return Err(fault(Position::START, "(this file)", cause, remedy));
        }
        match event {
            Some(Ok((event, span))) => {
                let at = position(&span);
                note(Step::Parsed, at.line, None);
                Ok((event, at))
            }
            Some(Err(error)) => Err(self.syntax(&error)),
            None => Ok((Event::StreamEnd, Position::START)),
        }
    }

    fn syntax(&self, error: &ScanError) -> Fault {
        let line = error.marker().line().max(1);
        let written = self.text.lines().nth(line - 1).unwrap_or_default().trim();
        let value = if written.is_empty() { "(end of text)" } else { written };
        let at = Position { line, column: error.marker().col() + 1 };
        let cause = match error.info() {
            "recursion limit exceeded" => "is nested too deep",
            info => info,
        };
        let is_bracket = |at: &Position| {
            let line = self.text.lines().nth(at.line - 1);
            line.and_then(|line| line.chars().nth(at.column - 1)).is_some_and(|c| matches!(c, '[' | '{'))
        };
        let remedy = remedy::of(cause, self.open.last().copied().filter(is_bracket));
        fault(at, value, cause, &remedy)
    }

    /// The one document of a file.
    fn document(&mut self) -> Result<Node, Fault> {
        let root = loop {
            let (event, at) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
                Event::StreamEnd => return Err(empty()),
                // Refused here, a file of ten million brackets costs nothing.
                Event::SequenceStart(..) => return Err(not_a_mapping(at, "a list")),
                event => break self.node(event, at)?,
            }
        };
        match &root.kind {
            Kind::Map(_) => {}
            Kind::Scalar { text, plain: true } if text.is_empty() => return Err(empty()),
            Kind::Scalar { text, .. } => return Err(not_a_mapping(root.at, text)),
            Kind::List(_) => return Err(not_a_mapping(root.at, "a list")),
        }
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(root),
                (Event::DocumentStart(_), at) => {
                    let remedy = "put what follows into a file of its own, or remove the ---";
                    return Err(fault(at, "---", "begins a second document", remedy));
                }
                _ => {}
            }
        }
    }

    /// The node that `event` begins.
    fn node(&mut self, event: Event<'a>, at: Position) -> Result<Node, Fault> {
        let (before, deepest) = (self.weight, self.deepest);
        self.deepest = self.open.len();
        let (kind, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                untagged(tag.as_ref(), at)?;
                self.weigh(NODE_WEIGHT + text.len(), at)?;
                (Kind::Scalar { text: text.into(), plain: style == ScalarStyle::Plain }, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                untagged(tag.as_ref(), at)?;
                (self.nested(at, Self::list)?, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                untagged(tag.as_ref(), at)?;
                (self.nested(at, Self::map)?, anchor)
            }
            Event::Alias(anchor) => {
                let Some((node, weight, levels)) = self.anchors.get(&anchor).cloned() else {
                    return Err(fault(at, "*", "is an alias within its own anchor", "write the value out"));
                };
                self.weigh(weight, at)?;
                self.deepen(levels, at)?;
                self.deepest = self.deepest.max(deepest);
                return Ok(node);
            }
            _ => return Err(fault(at, "(end of text)", "ends too early", "write the rest")),
        };
        let node = Node { at, kind };
        if anchor > 0 {
            self.weigh(NODE_WEIGHT, at)?;
            let size = (self.weight - before, self.deepest - self.open.len());
            self.anchors.insert(anchor, (node.clone(), size.0, size.1));
        }
        self.deepest = self.deepest.max(deepest);
        Ok(node)
    }

    /// A list or mapping, one level deeper.
    fn nested(&mut self, at: Position, read: fn(&mut Self) -> Result<Kind, Fault>) -> Result<Kind, Fault> {
        self.deepen(1, at)?;
        self.weigh(NODE_WEIGHT, at)?;
        self.open.push(at);
        let kind = read(self);
        self.open.pop();
        kind
    }

    fn list(&mut self) -> Result<Kind, Fault> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Kind::List(items.into())),
                (event, at) => items.push(self.node(event, at)?),
            }
        }
    }

    fn map(&mut self) -> Result<Kind, Fault> {
        let mut entries = Vec::new();
        loop {
            let (event, at) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Kind::Map(entries.into()));
            }
            let Kind::Scalar { text: key, .. } = self.node(event, at)?.kind else {
                return Err(fault(at, "key", "is not a word", "write it as plain text before the colon"));
            };
            let (event, value_at) = self.next()?;
            let mut value = self.node(event, value_at)?;
            if matches!(&value.kind, Kind::Scalar { text, plain: true } if text.is_empty()) {
                value.at = at;
            }
            entries.push(Entry { key, at, value });
        }
    }

    fn deepen(&mut self, levels: usize, at: Position) -> Result<(), Fault> {
        self.deepest = self.deepest.max(self.open.len() + levels);
        if self.open.len() + levels <= MAX_DEPTH {
            return Ok(());
        }
        let value = format!("{MAX_DEPTH} levels");
        Err(fault(at, value, "is the deepest nesting read", "close brackets, mend the indentation"))
    }

    fn weigh(&mut self, weight: usize, at: Position) -> Result<(), Fault> {
        self.weight += weight;
        if self.weight <= MAX_WEIGHT {
            return Ok(());
        }
        let cause = format!("holds more than {} MiB of entries, aliases followed", MAX_WEIGHT >> 20);
        let remedy = "move long lists into *_file lists, and do not multiply aliases";
        Err(fault(at, "(this file)", &cause, remedy))
    }
}

fn empty() -> Fault {
    fault(Position::START, "(nothing)", "is no policy", "begin with version: 1, then zones")
}

fn not_a_mapping(at: Position, value: &str) -> Fault {
    fault(at, value, "is no policy, which is a mapping of keys", "begin with version: 1, then zones")
}

fn untagged(tag: Option<&Cow<'_, Tag>>, at: Position) -> Result<(), Fault> {
    tag.map_or(Ok(()), |tag| {
        let handle = if tag.is_yaml_core_schema() { "!!" } else { &tag.handle };
        let value = format!("{handle}{}", tag.suffix);
        Err(fault(at, value, "is a tag, and tags are not read", "remove it; quotes make a value text"))
    })
}
