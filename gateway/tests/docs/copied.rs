//! What stands there to be copied: commands, policies, configurations.

use crate::{Page, manuals};
use clap::{CommandFactory as _, Parser as _};
use gate25::cli::{Cli, Format};
use gate25::command::check;
use gate25::config::Config;
use pulldown_cmark::Event;
use serde_yaml::Value;
use std::fs;

/// The zone that examples are about.
const WEST: &str = "version: 1\nzones:\n  - {id: west, subscribers: [203.0.113.0/24, \"2001:db8:100::/40\"], \
                    mode: enforce, action: reset}\n";
/// Before all dates of the examples.
const AT: &str = "2026-06-01T00:00:00Z";

/// Lines of a block that people type.
fn typed<'a>(kind: &str, block: &'a str) -> Vec<&'a str> {
    match kind {
        "sh" => block.lines().collect(),
        "console" => block.lines().filter_map(|line| line.strip_prefix("$ ")).collect(),
        _ => Vec::new(),
    }
}

/// The `gate25` commands of a line, as words. (None of them has quotes.)
fn commands(line: &str) -> Vec<Vec<&str>> {
    let parts = [" | ", " && ", " > ", " -- ", " # "]
        .into_iter()
        .fold(vec![line], |parts, sign| parts.into_iter().flat_map(|part| part.split(sign)).collect());
    parts.into_iter().map(str::trim).filter(|part| part.starts_with("gate25 ")).map(words).collect()
}

fn words(command: &str) -> Vec<&str> {
    command.split_whitespace().collect()
}

#[test]
fn commands_parse() {
    let mut count = 0;
    for page in manuals() {
        let blocks = page.blocks();
        for (kind, block) in &blocks {
            for command in typed(kind, block).into_iter().flat_map(commands) {
                count += 1;
                if let Err(error) = Cli::try_parse_from(&command) {
                    panic!("{}: {}: {error}", page.path.display(), command.join(" "));
                }
            }
        }
    }
    assert!(count > 60, "{count} commands found");
}

/// Within lines there may be words in the place of values; the verb is right, and flags are the verb's.
#[test]
fn commands_in_sentences_have_verbs_and_flags() {
    let (cli, mut count) = (Cli::command(), 0);
    for page in manuals() {
        for event in page.events() {
            let Event::Code(code) = event else { continue };
            let Some(rest) = code.strip_prefix("gate25 ") else { continue };
            let mut words = rest.split_whitespace();
            let verb = words.next().unwrap_or_default();
            let place = page.path.display();
            if verb == "help" {
                continue;
            }
            let command =
                cli.find_subcommand(verb).unwrap_or_else(|| panic!("{place}: {code}: no such verb"));
            for flag in words.filter_map(|word| word.trim_matches(['[', ']']).strip_prefix("--")) {
                let known = command.get_arguments().any(|argument| argument.get_long() == Some(flag));
                assert!(known, "{place}: {code}: no such flag");
            }
            count += 1;
        }
    }
    assert!(count > 60, "{count} commands found");
}

/// Whether `gate25 check` has nothing to say about that policy.
fn check(page: &Page, block: &str, keys: &Value) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("example.yaml"), block).expect("a file");
    if keys.get("zones").is_none() {
        fs::write(folder.path().join("west.yaml"), WEST).expect("a file");
    }
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let at = Some(AT.parse().expect("an instant"));
    let options = check::Options { policy: folder.path(), offline: true, at, format: Format::Text };
    let is_valid = check::check(options, &mut out, &mut err).expect("memory");
    let said = String::from_utf8_lossy(&err);
    assert!(is_valid && said.is_empty(), "{}:\n{block}\n{said}", page.path.display());
}

#[test]
fn policies_and_configurations_are_right() {
    let (mut policies, mut configurations) = (0, 0);
    for page in manuals() {
        for (kind, block) in page.blocks() {
            if kind != "yaml" {
                continue;
            }
            let shown = format!("{}:\n{block}", page.path.display());
            let keys: Value = serde_yaml::from_str(&block).unwrap_or_else(|error| panic!("{shown}\n{error}"));
            if keys.get("version").is_some() {
                check(&page, &block, &keys);
                policies += 1;
            } else if keys.get("interfaces").is_some() {
                let config: Config =
                    serde_yaml::from_str(&block).unwrap_or_else(|error| panic!("{shown}\n{error}"));
                config.checked().unwrap_or_else(|error| panic!("{shown}\n{error}"));
                configurations += 1;
            }
        }
    }
    assert!(policies > 5 && configurations > 1, "{policies} policies, {configurations} configurations");
}
