//! The hook and the examples for continuous integration say what the command understands.

use clap::Parser;
use gate25::cli::{Cli, Command, Format};
use serde::Deserialize;
use std::fs;
use std::path::Path;

#[derive(Deserialize)]
struct Hook {
    entry: String,
    #[serde(default)]
    args: Vec<String>,
    pass_filenames: bool,
}

fn text(name: &str) -> String {
    fs::read_to_string(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(name)).expect(name)
}

/// What a command line asks of `check`.
fn asked(line: &str) -> (bool, Format, String) {
    let words = line.split(" > ").next().unwrap_or_default().split_whitespace();
    match Cli::try_parse_from(words).expect(line).command {
        Command::Check { policy, offline, format, .. } => (offline, format, policy.display().to_string()),
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn the_hook_checks_a_policy() {
    let hooks: Vec<Hook> = serde_yaml::from_str(&text(".pre-commit-hooks.yaml")).expect("hooks");
    let [Hook { entry, args, pass_filenames: false }] = hooks.as_slice() else {
        panic!("one hook, without names")
    };
    assert_eq!(asked(&format!("{entry} {}", args.join(" "))), (true, Format::Text, "policies".into()));
}

#[test]
fn examples_say_what_check_understands() {
    let policies = || "policies".to_owned();
    for (file, expected) in [
        ("deploy/ci/pre-commit-config.yaml", vec![(true, Format::Text, policies())]),
        (
            "deploy/ci/github.yaml",
            vec![(true, Format::Sarif, policies()), (true, Format::Github, policies())],
        ),
        ("deploy/ci/gitlab.yaml", vec![(true, Format::Sarif, policies())]),
    ] {
        let text = text(file);
        serde_yaml::from_str::<serde_yaml::Value>(&text).expect(file);
        let lines = text.lines().filter_map(|line| line.find("gate25 check --").map(|at| asked(&line[at..])));
        assert_eq!(lines.collect::<Vec<_>>(), expected, "{file}");
    }
}
