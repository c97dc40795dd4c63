//! The line above a message.

use crate::{Case, ZONES};
use gate25::cli::Format;

/// What is shown above the first message, and that.
fn shown(case: &Case) -> (String, String) {
    let err = case.check(Format::Text).err;
    let lines: Vec<&str> = err.lines().collect();
    let end = lines.iter().position(|line| !line.starts_with(' ')).expect("a message");
    (lines[..end].join("\n"), lines[end].to_owned())
}

fn above(text: &str) -> String {
    shown(&Case::new(text)).0
}

/// A zone whose mode is wrong, with that behind it.
fn mode(before: &str, behind: &str) -> String {
    format!("version: 1\nzones:\n- {{id: w{before}, mode: on{behind}, subscribers: [203.0.113.0/24]}}\n")
}

/// The same on lines of their own.
fn block(behind: &str) -> String {
    format!("version: 1\nzones:\n- id: w\n  mode: on{behind}\n  subscribers: [203.0.113.0/24]\n")
}

#[test]
fn carets_are_under_the_value() {
    for (text, expected) in [
        (
            "version: 1\nzones:\n- id: w\n  subscribers: [\"10.0.0.1/8\", x]\n",
            "  4 |   subscribers: [\"10.0.0.1/8\", x]\n    |                 ^^^^^^^^^^^^",
        ),
        (
            "version: 1\nzones:\n- id: w\n  mood: enforce\n  subscribers: [10.0.0.0/8]\n",
            "  4 |   mood: enforce\n    |   ^^^^",
        ),
        (
            "version: 1\nzones:\n- id: w\n  mode: 'on'   # always\n  subscribers: [10.0.0.0/8]\n",
            "  4 |   mode: 'on'   # always\n    |         ^^^^",
        ),
        // What is not there has a place, but no length.
        ("version: 1\nzones:\n- id: w\n", "  3 | - id: w\n    |   ^"),
        (
            "version: 1\nzones: [{id: w, subscribers: []}]\n",
            "  2 | zones: [{id: w, subscribers: []}]\n    |                              ^^",
        ),
        ("version: 1\r\nzones:\r\n- id: w\r\n  mode: on\r\n", "  4 |   mode: on\n    |         ^^"),
        ("version: 1\rzones:\r- id: w\r  mode: on\r", "  4 |   mode: on\n    |         ^^"),
        ("\u{feff}version: 2\n", "  1 | version: 2\n    |          ^"),
    ] {
        let above = above(text);
        // A missing key of the zone may come first.
        assert!(
            above.contains(expected) || Case::new(text).check(Format::Text).err.contains(expected),
            "{text}\n{above}"
        );
    }
}

#[test]
fn a_file_that_is_no_yaml_and_a_list_show_their_lines() {
    assert_eq!(above("version: 1\nzones: [a, {\n").lines().count(), 0, "the end of a text has no line");
    assert_eq!(above("version: 1\nzones:\n\t- id: w\n"), "  3 |     - id: w\n    |     ^^^^^^^");
    let list = Case::new(&format!(
        "{ZONES}exceptions: [{{id: e, owner: o, reason: r, until: 2030-01-01T00:00:00Z, destinations_file: l}}]\n"
    ));
    let list = list.with("l", b"\xef\xbb\xbf10.0.0.0/8\n\n \xff\t10.0.0.1/8 # \xfe\n");
    let (above, message) = shown(&list);
    assert!(message.starts_with("l:3:2: line 3: \u{fffd}"), "{message}");
    assert_eq!(above, "  3 |  \u{fffd}    10.0.0.1/8 # \u{fffd}\n    |  ^^^^^^^^^^^^^^^");
}

#[test]
fn no_line_where_there_is_none() {
    let case = Case::new("");
    assert_eq!(shown(&case).0, "");
    let missing = case.check_at(&case.folder.path().join("none"), Format::Text);
    assert_eq!(
        missing.err,
        "none:1:1: file: FOLDER/none: does not exist (check the path)\n".replace("FOLDER/", "")
    );
    // The last message counts those that are not shown.
    let many = "version: 1\nzones:\n".to_owned() + &"- {id: 7, subscribers: [203.0.113.0/24]}\n".repeat(101);
    let err = Case::new(&many).check(Format::Text).err;
    let last: Vec<&str> = err.lines().rev().take(2).collect();
    assert!(last[0].starts_with("p.yaml:1:1: policy: ") && last[1].starts_with("p.yaml:"), "{last:?}");
}

#[test]
fn tabs_and_wide_characters_keep_the_caret_in_place() {
    // Two columns each, none, and four for a tab.
    assert_eq!(
        above(&mode("\u{6f22}\u{5b57}e\u{301}\t", "")),
        "  3 | - {id: w\u{6f22}\u{5b57}e\u{301}    , mode: on, subscribers: [203.0.113.0/24]}\n    | "
            .to_owned()
            + &" ".repeat(25)
            + "^^"
    );
    // The value itself is wide.
    assert_eq!(
        above("version: 1\nzones:\n- {id: w, mode: \u{6f22}, subscribers: [203.0.113.0/24]}\n"),
        "  3 | - {id: w, mode: \u{6f22}, subscribers: [203.0.113.0/24]}\n    |                 ^^"
    );
}

#[test]
fn nothing_that_moves_a_terminal_is_printed() {
    let err = Case::new(&block(" # \u{202e}\u{200b}\u{85}")).check(Format::Text).err;
    assert!(err.contains("# \\u{202e}\\u{200b}\\u{85}"), "{err}");
    let escape = Case::new("version: 1\n# \u{1b}[2J\u{7}\n").check(Format::Text).err;
    assert!(escape.starts_with("  2 | # \\u{1b}[2J\\u{7}\n    |   ^^^^^^\np.yaml:2:3: "), "{escape}");
    let list = Case::new(&format!("{ZONES}blocks: [{{id: b, reason: r, destinations_file: l}}]\n"));
    let list = list.with("l", "x\u{1b}]0;t\u{7}\ry\r\n").check(Format::Text).err;
    for text in [&err, &escape, &list] {
        assert!(!text.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'), "{text:?}");
    }
}

#[test]
fn long_lines_are_cut_around_the_caret() {
    let width = |above: &str| above.lines().map(|line| line.chars().count()).max();
    let long = "x".repeat(5000);
    let behind = above(&block(&format!(" # {long}")));
    assert!(behind.lines().next().is_some_and(|line| line.ends_with("xxx...")), "{behind}");
    assert!(behind.ends_with("|         ^^"), "{behind}");
    let front = above(&format!(
        "version: 1\nzones: [{{reason: {long}, id: w, mode: on, subscribers: [203.0.113.0/24]}}]\n"
    ));
    let front =
        Case::new(&format!("version: 1\nzones: [{{id: {long}, mode: on, subscribers: [203.0.113.0/24]}}]\n"))
            .check(Format::Text)
            .err
            + &front;
    let lines: Vec<&str> = front.lines().collect();
    let message = lines.iter().position(|line| line.contains(".mode: on: ")).expect("the message");
    let (text, carets) = (lines[message - 2], lines[message - 1]);
    assert!(text.contains("  2 | ...xxx"), "{text}");
    assert_eq!(text.find("on, subscribers"), carets.find("^^"), "{text}\n{carets}");
    // A value that goes on beyond what is shown.
    let value = above(&mode(&"y".repeat(10), &"z".repeat(5000)));
    assert!(value.lines().next().is_some_and(|line| line.ends_with("zzz...")), "{value}");
    for above in [&behind, &value, &format!("{text}\n{carets}")] {
        // The gutter, and dots on both sides.
        assert!(width(above) <= Some(100 + 6 + 6), "{above}");
    }
}

#[test]
fn the_last_line_is_a_message_and_lines_above_are_indented() {
    let Case { folder } = Case::new("version: 1\nzones:\n- id: 7\n  subscribers: [x]\n- id: w\n");
    let checked = Case { folder }.check(Format::Text);
    assert!(!checked.ok);
    let (indented, messages): (Vec<_>, Vec<_>) = checked.err.lines().partition(|line| line.starts_with("  "));
    assert_eq!((indented.len(), messages.len()), (6, 3), "{}", checked.err);
    assert!(messages.iter().all(|line| line.starts_with("p.yaml:")), "{}", checked.err);
    assert!(checked.err.lines().last().is_some_and(|line| line.starts_with("p.yaml:")), "{}", checked.err);
}
