//! The policy reference: prose, and every key as the [schema](crate::policy::schema) has it. One source for
//! `gate25 help policy`, gate25-policy(5) and docs/policy.md.

mod keys;
pub mod markdown;
pub mod roff;
pub mod text;

pub use keys::Key;

/// The prose. A line of capitals is a heading, lines that begin with two spaces are to be copied as they are.
const PROSE: &str = include_str!("reference/policy.txt");

/// A piece of a page.
#[derive(Debug, PartialEq, Eq)]
pub enum Block {
    /// Begins a section.
    Heading(String),
    /// A paragraph, with code in backticks.
    Text(String),
    /// Lines to be copied or read as they are.
    Code(String),
    /// A key and what it means.
    Key(Key),
}

/// The whole reference.
#[must_use]
pub fn policy() -> Vec<Block> {
    let mut blocks = blocks(PROSE);
    blocks.extend(keys::sections());
    blocks
}

/// Text as it stands in `PROSE` and in the help of commands, in pieces.
#[must_use]
pub fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut is_new = true;
    for line in text.lines() {
        let line = line.trim_end();
        let code = line.strip_prefix("  ");
        match (code, blocks.last_mut()) {
            (None, _) if line.is_empty() => {
                is_new = true;
                continue;
            }
            (Some(code), Some(Block::Code(before))) if !is_new => *before = format!("{before}\n{code}"),
            (None, Some(Block::Text(before))) if !is_new => *before = format!("{before} {line}"),
            (Some(code), _) => blocks.push(Block::Code(code.to_owned())),
            (None, _) if !line.contains(|c: char| c.is_lowercase()) => {
                blocks.push(Block::Heading(line.to_owned()));
            }
            (None, _) => blocks.push(Block::Text(line.to_owned())),
        }
        is_new = false;
    }
    blocks
}

/// What a key means, and between which numbers it is, and what holds without it.
fn sentences(key: &Key) -> String {
    let range = key.range.as_ref().map(|(least, most)| format!(" A number from {least} to {most}."));
    let default = key.default.as_ref().map(|default| format!(" Default: `{default}`."));
    format!("{}{}{}", key.meaning, range.unwrap_or_default(), default.unwrap_or_default())
}
