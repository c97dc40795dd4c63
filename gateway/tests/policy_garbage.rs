//! Text that is no policy, by accident or by malice: one clear line, and little time and memory.

#![allow(clippy::expect_used, reason = "a test that cannot go on shall stop")]

use gate25::policy::load;
use std::fmt::Write as _;

const SIZE: usize = 10_000_000;
const HEAD: &str = "version: 1\nzones:\n  - id: west\n    subscribers: ";

/// Checks that `text` is refused with exactly one problem whose message contains `cause`.
fn one_problem(name: &str, text: impl AsRef<[u8]>, cause: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("p.yaml");
    std::fs::write(&path, text).expect("the file");
    let refused = load(&path).map_or_else(|refused| refused, |loaded| panic!("{name}: {loaded:?}"));
    let messages: Vec<String> = refused.problems.iter().map(ToString::to_string).collect();
    assert!(messages.len() == 1 && messages[0].contains(cause), "{name}: {messages:?}");
    assert!(!messages[0].contains(char::is_control) && messages[0].len() < 500, "{name}: {messages:?}");
    assert_eq!(refused.sources, [path], "{name}");
}

#[test]
fn ten_megabytes_of_one_thing() {
    for (unit, cause) in [
        ("[", "is nested too deep"),
        ("{", "is nested too deep"),
        ("a", "is no policy"),
        ("\0", "is a control character"),
        ("a: ", "mapping values are not allowed"),
        ("- ", "is no policy"),
        ("? ", "is the deepest nesting read"),
        ("\"", "trailing content"),
        ("&", "is no policy"),
        ("*", "unknown anchor"),
        ("!", "tag"),
        ("\n", "is no policy"),
        ("#", "is no policy"),
        ("%", "document start"),
    ] {
        one_problem(unit, unit.repeat(SIZE / unit.len()), cause);
    }
}

#[test]
fn ten_megabytes_in_the_place_of_a_value() {
    for (unit, cause) in [
        ("[", "is nested too deep"),
        ("{", "is nested too deep"),
        ("\"", "quote"),
        ("[a, ", "is nested too deep"),
    ] {
        one_problem(unit, HEAD.to_owned() + &unit.repeat(SIZE / unit.len()), cause);
    }
    let entries = format!("version: 1\nzones:\n{}", "- {}\n".repeat(SIZE / 5));
    one_problem("entries", entries, "has 2,000,000 entries, more than any policy may have");
}

#[test]
fn octets_at_random() {
    let mut state = 1_u64;
    let octets: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    })
    .take(SIZE)
    .collect();
    one_problem("random", octets, "");
    one_problem("utf-16", b"\xff\xfev\0e\0r\0s\0i\0o\0n\0", "octet 0xff: is not UTF-8 text");
    one_problem("escape", format!("{HEAD}[\"\x1b[2J\"]"), "U+001B: is a control character");
}

#[test]
fn aliases_that_multiply() {
    let mut laughs = "version: 1\na0: &a0 [ha]\n".to_owned();
    for level in 1..20 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(laughs, "a{level}: &a{level} [{aliases}]").expect("memory");
    }
    one_problem("billion laughs", laughs, "more than 128 MiB of entries, aliases followed");

    let long = format!("{HEAD}[&a {}{}]", "1".repeat(1_000_000), ", *a".repeat(1_000_000));
    one_problem("long", long, "more than 128 MiB of entries, aliases followed");

    let mut chain = "version: 1\na0: &a0 [ha]\n".to_owned();
    for level in 1..100_000 {
        writeln!(chain, "a{level}: &a{level} [*a{}]", level - 1).expect("memory");
    }
    one_problem("chain", chain, "is the deepest nesting read");
    one_problem("cycle", "version: 1\nzones: &a [*a]\n", "is an alias within its own anchor");
}

#[test]
fn brackets_that_might_be_a_key() {
    for head in ["", "version: 1\n", "zones:\n- ", "x: ["] {
        for unit in ["a,", "[],", "a: ,"] {
            let text = format!("{head}{{{}", unit.repeat(SIZE / unit.len()));
            one_problem(head, text, "has too much in one pair of brackets");
        }
    }
}

#[test]
fn too_large_a_file() {
    one_problem("comment", "#".repeat((64 << 20) + 1), "is larger than 64 MiB");
}
