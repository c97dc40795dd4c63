//! `gate25 replay --direction return`, and `explain` of the same packets: the command as people call it.

use super::{answer, between, ipv4, ipv6, link, plain, relayed, relayed_v6};
use crate::policies;
use gate25_tests::packet::{ACK, Extension, Tcp, arp};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const AT: &str = "2026-01-01T00:00:00Z";

fn file(name: &str, octets: impl AsRef<[u8]>) -> PathBuf {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
    fs::write(&file, octets).expect("a file");
    file
}

/// A capture in the newer format, little-endian, without options.
fn pcapng(frames: &[Vec<u8>]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let length = (12 + body.len() as u32).to_le_bytes();
        [&kind.to_le_bytes()[..], &length, body, &length].concat()
    };
    let section = [&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
    let ethernet = [1, 0, 0, 0, 0, 0, 4, 0];
    let mut capture = [block(0x0a0d_0d0a, &section), block(1, &ethernet)].concat();
    for frame in frames {
        let length = (frame.len() as u32).to_le_bytes();
        let padding = vec![0; frame.len().wrapping_neg() % 4];
        capture.extend(block(6, &[&[0; 12], &length[..], &length, frame, &padding].concat()));
    }
    capture
}

/// What a command says, line by line.
fn said(arguments: &[&str]) -> Vec<Value> {
    let output = Command::new(gate25_tests::gate25()).args(arguments).output().expect("the release build");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn replayed(name: &str, frames: &[Vec<u8>]) -> Vec<Value> {
    let policy = file(&format!("{name}.yaml"), policies::MAIN);
    let capture = file(&format!("{name}.pcapng"), pcapng(frames));
    let [policy_path, capture_path] = [&policy, &capture].map(|path| path.to_str().expect("a path"));
    let arguments =
        ["replay", "--direction", "return", "--json", "--at", AT, "--policy", policy_path, capture_path];
    let lines = said(&arguments);
    for path in [policy, capture] {
        fs::remove_file(path).expect("the file");
    }
    lines
}

/// The fields of a line behind its number.
fn of(fields: (&str, &str, bool, &str, Value, Value, Value)) -> Value {
    let (verdict, action, enforced, reason, zone, rule, xdp) = fields;
    json!({"verdict": verdict, "action": action, "enforced": enforced, "reason": reason, "zone": zone, "rule": rule, "xdp": xdp})
}

#[test]
fn a_line_a_packet() {
    let passed = |reason, zone: &str, rule: &str| {
        of(("pass", "none", false, reason, json!(zone), json!(rule), json!("pass")))
    };
    let blocked = |reason, zone, rule| of(("block", "drop", true, reason, zone, rule, json!("drop")));
    let unseen = |reason, xdp| of(("pass", "none", false, reason, Value::Null, Value::Null, xdp));
    let west = || json!("west");
    let malformed = |zone| blocked("malformed", zone, Value::Null);
    let long = |source| Tcp { source, ..Tcp::new(25, 40_000, ACK).payload(vec![0; 60_000]) };
    let answers = |subscriber, remote| between(subscriber, remote, &answer());
    let rows = [
        (plain(relayed()), passed("relay", "west", "west-relay")),
        (plain(ipv4(&answer())), blocked("default", west(), Value::Null)),
        (plain(ipv6(&answer())), blocked("default", west(), Value::Null)),
        (answers("203.0.113.7", "198.51.100.1"), passed("exception", "west", "campus")),
        (answers("203.0.113.7", "198.51.100.66"), blocked("block-rule", west(), json!("bad-host"))),
        (answers("203.0.113.7", "198.19.8.1"), blocked("expired", west(), json!("gone"))),
        (
            answers("198.18.0.1", "9.9.9.9"),
            of(("block", "drop", false, "default", json!("watch"), Value::Null, json!("pass"))),
        ),
        (answers("203.0.113.66", "9.9.9.9"), unseen("unmanaged", json!("pass"))),
        (answers("192.168.0.1", "9.9.9.9"), unseen("unmanaged", json!("pass"))),
        (plain(ipv4(&Tcp { source: 587, ..answer() })), unseen("not-smtp", json!("pass"))),
        (plain(arp()), unseen("not-smtp", json!("pass"))),
        (link().tags(0x8100, 5).carry(relayed()), malformed(Value::Null)),
        (plain(relayed_v6().with(vec![Extension::destination(); 9])), malformed(west())),
        // No test-run takes less than an Ethernet header; all else is run, however it is cut.
        (Vec::new(), unseen("not-smtp", Value::Null)),
        (plain(relayed())[..13].to_vec(), unseen("not-smtp", Value::Null)),
        (plain(arp())[..14].to_vec(), unseen("not-smtp", json!("pass"))),
        (plain(relayed())[..14].to_vec(), malformed(Value::Null)),
        (plain(relayed())[..33].to_vec(), malformed(Value::Null)),
        (plain(relayed())[..34].to_vec(), malformed(west())),
        (plain(relayed_v6())[..14].to_vec(), malformed(Value::Null)),
        (plain(relayed_v6())[..53].to_vec(), malformed(Value::Null)),
        (plain(relayed_v6())[..54].to_vec(), malformed(west())),
        (plain(ipv4(&long(25))), blocked("default", west(), Value::Null)),
        (plain(ipv6(&long(25))), blocked("default", west(), Value::Null)),
        (plain(ipv4(&long(26))), unseen("not-smtp", json!("pass"))),
    ];
    let (frames, mut wanted): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    for (number, line) in wanted.iter_mut().enumerate() {
        line["packet"] = json!(number + 1);
    }
    assert_eq!(replayed("a-line", &frames), wanted);
}

/// What they have in common they say alike, in both directions of every pair.
#[test]
fn explain_says_the_same() {
    let subscribers =
        ["203.0.113.7", "203.0.113.9", "203.0.113.10", "203.0.113.65", "203.0.113.66", "198.18.0.1"];
    let subscribers_v6 = ["2001:db8:100::7", "2001:db8:140::5", "2001:db8:140::6", "2001:db8:200::1"];
    let remotes = ["192.0.2.25", "198.51.100.1", "198.51.100.66", "198.19.8.1", "198.19.9.1", "9.9.9.9"];
    let remotes_v6 = ["2001:db8:25::1", "2001:db8:ca::1", "2001:db8:ca::66", "2001:db8:8::1", "2620:fe::fe"];
    let pairs = |from: &[&'static str], to: &[&'static str]| {
        from.iter().flat_map(|from| to.iter().map(|to| (*from, *to))).collect::<Vec<_>>()
    };
    let pairs = [pairs(&subscribers, &remotes), pairs(&subscribers_v6, &remotes_v6)].concat();
    let frames: Vec<_> =
        pairs.iter().map(|(subscriber, remote)| between(subscriber, remote, &answer())).collect();
    let policy = file("explained.yaml", policies::MAIN);
    let path = policy.to_str().expect("a path");
    for (line, (from, to)) in replayed("explain", &frames).iter().zip(&pairs) {
        let explained = said(&[
            "explain",
            "--policy",
            path,
            "--from",
            from,
            "--to",
            to,
            "--at",
            AT,
            "--direction",
            "return",
            "--json",
        ]);
        let explained = explained.first().expect("a line");
        assert_eq!((&explained["direction"], &explained["from"]), (&json!("return"), &json!(from)));
        for field in ["verdict", "action", "enforced", "reason", "zone", "rule"] {
            assert_eq!(line[field], explained[field], "{field} of {from} and {to}");
        }
    }
    fs::remove_file(policy).expect("the file");
}
