//! Every policy shipped: the good ones load, and each wrong one gets exactly the message beside it.

#![allow(clippy::expect_used, reason = "a test that cannot go on shall stop")]

use gate25::cli::Format;
use gate25::command::check::{Options, check};
use gate25::policy::problem::hides;
use gate25::policy::{Problem, load};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Messages name files as seen from the root of the repository.
fn at_root() {
    std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).expect("the root");
}

/// The files of `folder` with that extension, without it.
fn stems(folder: &str, extension: &str) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(folder).expect(folder);
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .map(|p| p.with_extension(""))
        .collect()
}

/// What `check` gives in February of 2004: whether the policy is valid, stdout, messages.
fn checked(policy: &Path) -> (bool, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let at = "2004-02-01T00:00:00Z".parse().ok();
    let options = Options { policy, offline: true, at, format: Format::Text };
    let ok = check(options, &mut out, &mut err).expect("memory takes everything");
    let err = String::from_utf8(err).expect("text");
    // What is indented are lines of the policy.
    let messages: String = err.split_inclusive('\n').filter(|line| !line.starts_with(' ')).collect();
    (ok, String::from_utf8(out).expect("text"), messages)
}

/// But for the one about `action: relay`, where a policy has that.
#[test]
fn shipped_policies_are_valid_and_draw_no_warning() {
    at_root();
    let policies = stems("policies", "yaml");
    assert!(policies.len() >= 2, "{policies:?}");
    for policy in policies {
        let (ok, out, err) = checked(&policy.with_extension("yaml"));
        let text = fs::read_to_string(policy.with_extension("yaml")).expect("the policy");
        let warned = err.lines().filter(|line| line.contains(".action: relay: ")).count();
        assert_eq!(warned, text.lines().filter(|line| line.trim() == "action: relay").count(), "{err}");
        assert!(ok && err.lines().count() == warned, "{err}");
        assert!(out.contains(": ok: "), "{out}");
    }
}

#[test]
fn every_mistake_has_its_message() {
    at_root();
    let wrong = stems("policies/invalid", "yaml");
    assert_eq!(
        wrong,
        stems("policies/invalid", "message"),
        "each NAME.yaml has its NAME.message and vice versa"
    );
    assert!(wrong.len() > 80, "{}", wrong.len());
    let mut differences = Vec::new();
    for policy in &wrong {
        let expected = fs::read_to_string(policy.with_extension("message")).expect("the message");
        let (ok, _, err) = checked(&policy.with_extension("yaml"));
        if ok || err != expected || expected.is_empty() {
            differences.push(format!("{}\n  expected {expected}  got      {err}", policy.display()));
        }
    }
    assert!(differences.is_empty(), "{}", differences.concat());
}

/// Whatever the message says, it has all its parts, and its place is that of what it names.
#[test]
fn every_message_has_its_place_and_a_remedy() {
    at_root();
    let refused = |policy: PathBuf| load(&policy.with_extension("yaml")).expect_err("a mistake").problems;
    for problem in stems("policies/invalid", "yaml").into_iter().flat_map(refused) {
        let Problem { place, value, cause, remedy, .. } = &problem;
        for part in [place, cause, remedy] {
            assert!(!part.trim().is_empty() && !part.trim_end_matches("...").ends_with('.'), "{problem}");
        }
        let text = fs::read_to_string(&problem.file).expect("a file there is");
        let line = text.lines().nth(problem.line - 1).unwrap_or_default();
        let there: String = line.chars().skip(problem.column - 1).collect();
        let bare = there.trim_start_matches(['"', '\'']);
        // Written with escapes, or on the next line.
        let begins = value.split(hides).next().unwrap_or_default();
        let is_there = match value.as_str() {
            "(missing)" | "(nothing)" => !there.is_empty(),
            "(end of text)" => there.is_empty(),
            "a list" => there.starts_with("- "),
            "" => there.starts_with("\"\""),
            list if list.starts_with('[') && list.ends_with(']') => bare.starts_with('['),
            mapping if mapping.starts_with('{') => there.starts_with('{'),
            whole if place == "yaml" && line.trim() == whole => line.len() >= problem.column,
            _ => there.starts_with(begins) || bare.starts_with(begins),
        };
        assert!(is_there, "{problem}\n{line}\n{there}");
    }
}
