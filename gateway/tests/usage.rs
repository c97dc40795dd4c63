//! What the command says of its own arguments, and of an output that takes nothing.

#![allow(clippy::expect_used, reason = "a test that cannot go on shall stop")]

use std::fs::File;
use std::process::{Command, Stdio};

const POLICY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../policies/west-2004.yaml");

fn gate25(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gate25"));
    command.args(arguments);
    command
}

/// Exit status, and the last line of standard error.
fn ended(mut command: Command) -> (Option<i32>, String) {
    let output = command.output().expect("the command");
    let said = String::from_utf8(output.stderr).expect("text");
    (output.status.code(), said.lines().last().unwrap_or_default().to_owned())
}

#[test]
fn instants_are_refused_as_those_of_policies_are() {
    let cases = [
        ("yesterday", "is not an instant (write date, T, time and offset, as 2004-07-28T00:00:00-07:00)"),
        ("", "is not an instant (write date, T, time and offset, as 2004-07-28T00:00:00-07:00)"),
        (
            "2030-01-01",
            "is a bare date (write the instant, with your offset: 2030-01-01T00:00:00Z or 2030-01-01T00:00:00-07:00)",
        ),
        (
            "2030-02-30T00:00:00Z",
            "is not a date and time there is (check month, day, hour, minute and offset)",
        ),
        // Which the policy does not read either.
        (
            "2030-01-01 00:00:00Z",
            "is not an instant (write date, T, time and offset, as 2004-07-28T00:00:00-07:00)",
        ),
    ];
    for (text, why) in cases {
        let at = format!("--at={text}");
        let value = if text.is_empty() { "\"\"" } else { text };
        for verb in [
            &["check", POLICY, &at][..],
            &["explain", "--policy", POLICY, "--from", "203.0.113.9", "--to", "198.51.100.1", &at],
            &["diff", POLICY, POLICY, &at],
            &["replay", "--policy", POLICY, "x.pcap", &at],
            &["export", "--policy", POLICY, "--format", "prefixes", &at],
        ] {
            assert_eq!(ended(gate25(verb)), (Some(2), format!("usage: {value}: {why}")), "{verb:?}");
        }
    }
}

#[test]
fn the_remedy_names_the_verb_that_was_asked() {
    for (arguments, verb) in [
        (&["check"][..], "`gate25 help check` shows"),
        (&["top", "--limit", "0"], "`gate25 help top` shows"),
        (&["chek"], "`gate25 help` and `gate25 help run` show"),
    ] {
        let (code, last) = ended(gate25(arguments));
        assert!(code == Some(2) && last.ends_with(&format!(" ({verb} what there is)")), "{last}");
    }
}

#[test]
fn an_output_that_takes_nothing_is_an_error() {
    let full = || Stdio::from(File::options().write(true).open("/dev/full").expect("a full device"));
    let line = "output: standard output: no space left on device (make room, or write elsewhere)";
    for arguments in [
        &["schema"][..],
        &["help", "policy"],
        &["check", "--offline", POLICY],
        &["explain", "--policy", POLICY, "--from", "203.0.113.9", "--to", "198.51.100.1", "--json"],
        &["export", "--policy", POLICY, "--format", "prefixes"],
    ] {
        let mut command = gate25(arguments);
        command.stdout(full());
        assert_eq!(ended(command), (Some(1), line.to_owned()), "{arguments:?}");
    }
    // Nor does one for errors change what is said otherwise.
    let wrong = concat!(env!("CARGO_MANIFEST_DIR"), "/../policies/invalid/mode.yaml");
    for (arguments, code) in [(&["check", wrong][..], 1), (&["check", "--at=x", wrong], 2)] {
        let status = gate25(arguments).stdout(Stdio::null()).stderr(full()).status().expect("the command");
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
}
