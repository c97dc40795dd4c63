//! What is quoted of the program: its events, and its messages.

use crate::{Page, manuals, root};
use gate25::events::Record;
use gate25_common::verdict::EventKind;
use jiff::Timestamp;
use pulldown_cmark::{Event, Tag, TagEnd};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The keys that an event can have.
fn keys() -> BTreeSet<String> {
    let record = Record {
        remotes: Some(1),
        message: Some(String::new()),
        ..Record::new(Timestamp::UNIX_EPOCH, EventKind::Suspect)
    };
    let record = serde_json::to_value(record).expect("JSON");
    record.as_object().expect("an object").keys().cloned().collect()
}

/// Events are whole: what is shown is what `gate25` writes.
#[test]
fn events_are_as_they_are_written() {
    let mut count = 0;
    for page in manuals() {
        let blocks = page.blocks();
        let lines = blocks.iter().flat_map(|(_, block)| block.lines());
        for line in lines.filter(|line| line.starts_with('{') && line.contains(r#""kind":"#)) {
            let shown: Value = serde_json::from_str(line).expect(line);
            let record: Record = serde_json::from_value(shown.clone()).expect(line);
            assert_eq!(serde_json::to_value(record).expect("JSON"), shown, "{}", page.path.display());
            count += 1;
        }
    }
    assert!(count > 1, "{count} events found");
}

/// What jq is asked for, of a file of events.
fn asked(line: &str) -> Vec<&str> {
    let program = line.split('\'').nth(1).unwrap_or_default();
    // What it makes itself, as `{n: …}`.
    let made = |key: &str| program.contains(&format!("{{{key}:")) || program.contains(&format!(", {key}:"));
    let parts = program.split(['(', ')', '[', ']', '{', '}', ',', ' ', '-', '|']);
    let keys = parts.filter_map(|part| part.strip_prefix('.'));
    keys.map(|key| key.trim_start_matches('.')).filter(|key| !key.is_empty() && !made(key)).collect()
}

#[test]
fn keys_of_events_exist() {
    let (keys, mut count) = (keys(), 0);
    for page in manuals() {
        let blocks = page.blocks();
        let lines = blocks.iter().flat_map(|(_, block)| block.lines());
        for line in lines.filter(|line| line.contains("jq ") && line.contains("events.jsonl")) {
            for key in asked(line) {
                assert!(keys.contains(key), "{}: {line}: no key {key}", page.path.display());
                count += 1;
            }
        }
    }
    assert!(count > 10, "{count} keys found");
}

/// Columns of tables that are called `message` quote what the program says.
#[test]
fn messages_are_ones_that_the_program_has() {
    let sources = sources(&root().join("gateway/src"));
    let mut count = 0;
    for page in manuals() {
        for message in messages(&page) {
            assert!(sources.contains(&message), "{}: nowhere said: {message}", page.path.display());
            count += 1;
        }
    }
    assert!(count > 20, "{count} messages found");
}

/// The code in first cells below `message`.
fn messages(page: &Page) -> Vec<String> {
    let (mut messages, mut head, mut cell, mut is_quoting) = (Vec::new(), String::new(), 0, false);
    for event in page.events() {
        match event {
            Event::Start(Tag::TableHead | Tag::TableRow) => cell = 0,
            Event::Start(Tag::Table(_)) => head.clear(),
            Event::End(TagEnd::TableHead) => is_quoting = head == "message",
            Event::End(TagEnd::Table) => is_quoting = false,
            Event::End(TagEnd::TableCell) => cell += 1,
            Event::Text(text) if cell == 0 && !is_quoting => head.push_str(&text),
            Event::Code(code) if cell == 0 && is_quoting => messages.push(code.to_string()),
            _ => {}
        }
    }
    messages
}

/// All of the program's text, without the breaks in string literals.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
        let path = entry.path();
        text += &if path.is_dir() { sources(&path) } else { fs::read_to_string(&path).expect("text") };
    }
    let mut lines = text.lines().peekable();
    let mut whole = String::with_capacity(text.len());
    while let Some(line) = lines.next() {
        if let Some(begun) = line.strip_suffix('\\') {
            whole += begun;
            if let Some(next) = lines.peek_mut() {
                *next = next.trim_start();
            }
        } else {
            whole += line;
            whole.push('\n');
        }
    }
    whole
}
