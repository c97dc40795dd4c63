//! The reference as docs/policy.md.

use super::{Block, Key, policy};

/// The policy reference.
#[must_use]
pub fn render() -> String {
    let mut page = "# The policy\n\n<!-- Made by `gate25 schema --format markdown`; change the comments of \
        gateway/src/policy/document.rs or gateway/src/reference/policy.txt. -->\n"
        .to_owned();
    let mut is_table = false;
    for block in policy() {
        let is_key = matches!(block, Block::Key(_));
        if is_key && !is_table {
            page.push_str("\n| key | meaning | example |\n|---|---|---|\n");
        }
        is_table = is_key;
        match block {
            Block::Heading(heading) => page.extend(["\n## ", &title(&heading), "\n"]),
            Block::Text(text) => page.extend(["\n", &starless(&text), "\n"]),
            Block::Code(code) => page.extend(["\n```", language(&code), "\n", &code, "\n```\n"]),
            Block::Key(key) => page.push_str(&row(&key)),
        }
    }
    page
}

/// `KEYS OF AN ENTRY OF ZONES` → ``Keys of an entry of `zones` ``: the last word is one of the policy's.
fn title(heading: &str) -> String {
    let lower = heading.to_lowercase();
    match lower.rsplit_once(" of ").filter(|(_, last)| lower.starts_with("keys") && *last != "a file") {
        Some((before, key)) => format!("{}{} of `{key}`", &heading[..1], &before[1..]),
        None => format!("{}{}", &heading[..1], &lower[1..]),
    }
}

/// Where a star is one, it is no emphasis.
fn starless(text: &str) -> String {
    text.replace('*', "\\*")
}

fn language(code: &str) -> &'static str {
    match code {
        _ if code.starts_with("gate25 ") => "sh",
        _ if code.starts_with("version:") || code.starts_with("# yaml") => "yaml",
        _ => "text",
    }
}

fn row(key: &Key) -> String {
    let required = if key.is_required { "**Required.** " } else { "" };
    let words: Vec<String> =
        key.words.iter().map(|(word, meaning)| format!("<br>`{word}`: {meaning}")).collect();
    let words = words.concat();
    let example = key.example.as_ref().map(|example| format!("`{example}`")).unwrap_or_default();
    format!("| `{}` | {required}{}{words} | {example} |\n", key.name, starless(&super::sentences(key)))
}
