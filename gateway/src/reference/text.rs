//! The reference for a terminal.

use super::{Block, Key, policy};
use std::fmt::Write as _;

/// The most characters of a line of prose.
const WIDTH: usize = 100;

/// The policy reference.
#[must_use]
pub fn render() -> String {
    let mut page = String::new();
    for block in policy() {
        match block {
            Block::Heading(heading) => page.extend(["\n", &heading, "\n\n"]),
            Block::Text(text) => page.extend([&wrapped(&text, 0), "\n"]),
            Block::Code(code) => {
                code.lines().for_each(|line| page.extend(["  ", line, "\n"]));
                page.push('\n');
            }
            Block::Key(key) => page.push_str(&of_key(&key)),
        }
    }
    page
}

fn of_key(key: &Key) -> String {
    let required = if key.is_required { " (required)" } else { "" };
    let mut text = format!("  {}{required}\n{}", key.name, wrapped(&super::sentences(key), 6));
    let width = key.words.iter().map(|(word, _)| word.len()).max().unwrap_or_default();
    for (word, meaning) in &key.words {
        let _ = writeln!(text, "      {word:width$}  {meaning}");
    }
    if let Some(example) = &key.example {
        text.extend(["      example: ", example, "\n"]);
    }
    text + "\n"
}

/// The text in lines that fit, each indented.
fn wrapped(text: &str, indent: usize) -> String {
    let mut page = String::new();
    let mut line = " ".repeat(indent);
    for word in text.split(' ') {
        if line.len() > indent && line.chars().count() + 1 + word.chars().count() > WIDTH {
            page.extend([&line, "\n"]);
            line = " ".repeat(indent);
        }
        if line.len() > indent {
            line.push(' ');
        }
        line.push_str(word);
    }
    format!("{page}{line}\n")
}
