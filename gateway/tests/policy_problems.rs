//! Warnings, how problems are counted and shown, and that what is right is not refused.

#![allow(clippy::expect_used, reason = "a test that cannot go on shall stop")]

use gate25::cli::Format;
use gate25::command::check::{Options, check};
use gate25::command::explain::{Path, explain};
use gate25::policy::problem::{Fault, Position, Problem, Severity, Why};
use gate25::policy::{Action, Kind, Mode, Scope, load};
use gate25_common::verdict::Direction;

const ZONE: &str = "version: 1\nzones:\n  - id: west\n    subscribers: [\"203.0.113.0/24\"]\n";

/// Exit, stdout and messages of `check`, the file called `p`.
fn checked(text: &str) -> (bool, String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("p");
    std::fs::write(&path, text).expect("the file");
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let at = "2004-02-01T00:00:00Z".parse().ok();
    let options = Options { policy: &path, offline: true, at, format: Format::Text };
    let ok = check(options, &mut out, &mut err).expect("memory");
    let shown = |octets| String::from_utf8(octets).expect("text").replace(&path.display().to_string(), "p");
    let messages = shown(err).split_inclusive('\n').filter(|line| !line.starts_with(' ')).collect();
    (ok, shown(out), messages)
}

#[test]
fn warnings_stand_apart_and_refuse_nothing() {
    let text = format!(
        "{ZONE}    subscriber_prefix_v6: 56\n  - id: east\n    subscribers: [192.0.2.0/24, 192.0.2.0/24]\n\
         exceptions:\n  - id: campus\n    destinations: any\n    permanent: true\n    review_by: 2005-01-01T00:00:00Z\n    reason: \" \"\n\
         blocks:\n  - id: lab\n    subscribers: [203.0.113.9]\nsuspects: {{attempts: 30, remotes: 10, within: 10m}}\n"
    );
    let (ok, out, err) = checked(&text);
    assert!(ok, "{err}");
    assert_eq!(out, "p: ok: 2 zones, 0 relays, 1 exception, 1 block, 3 prefixes, 4 warnings\n");
    assert_eq!(
        err,
        "warning: p:7:33: zones[1].subscribers[1]: 192.0.2.0/24: is listed twice (keep one; the other is at p:7:19)\n\
         warning: p:9:5: exceptions[0].owner: (missing): should be there for whoever reviews this (add owner: ...)\n\
         warning: p:13:13: exceptions[0].reason: (missing): should be there for whoever reviews this (add reason: ...)\n\
         warning: p:15:5: blocks[0].reason: (missing): should be there for whoever reviews this (add reason: ...)\n"
    );
}

#[test]
fn what_is_under_a_mistyped_key_is_read_as_if_it_were_right() {
    let text = format!(
        "{ZONE}exeptions:\n- id: a\n  destinatoins: [198.51.100.1/24]\n  destinatons: [x]\n  untl: 2004-07-28\n  \
         zones: [wset]\n- id: a\n  destinations: any\n  permanent: true\n"
    );
    let (ok, _, err) = checked(&text);
    assert!(!ok);
    let problems: Vec<&str> = err.lines().filter(|line| !line.starts_with("warning: ")).collect();
    assert_eq!(
        problems,
        [
            "p:5:1: exeptions: exeptions: is not a known key (did you mean exceptions?)",
            "p:7:3: exeptions[0].destinatoins: destinatoins: is not a known key (did you mean destinations?)",
            "p:7:18: exeptions[0].destinatoins[0]: 198.51.100.1/24: has host bits set (did you mean 198.51.100.0/24?)",
            "p:8:3: exeptions[0].destinatons: destinatons: is not a known key (did you mean destinations?)",
            "p:9:3: exeptions[0].untl: untl: is not a known key (did you mean until?)",
            "p:9:9: exeptions[0].untl: 2004-07-28: is a bare date (write the instant, with your offset: \
             2004-07-28T00:00:00Z or 2004-07-28T00:00:00-07:00)",
            "p:10:11: exeptions[0].zones[0]: wset: is not a zone of this policy (did you mean west?)",
            "p:11:7: exeptions[1].id: a: is used twice (rename one; the other is exceptions[0] at p:6:7)",
        ]
    );
}

#[test]
fn after_a_hundred_problems_the_rest_is_counted() {
    let prefixes = "10.0.0.1/8, ".repeat(1234);
    let (ok, out, err) =
        checked(&format!("version: 1\nzones:\n  - {{id: west, subscribers: [{prefixes}]}}\n"));
    assert!(!ok);
    assert_eq!(out, "p: more than 100 problems\n");
    assert_eq!(err.lines().count(), 101);
    assert_eq!(
        err.lines().next_back(),
        Some("p:1:1: policy: 1,134 more problems: are not shown (correct those above, then check again)")
    );
}

#[test]
fn too_many_zones_and_rules() {
    let zone = |i| format!("- {{id: z{i}, subscribers: [10.{}.{}.0/24]}}\n", i / 256, i % 256);
    let zones = (0..1001).map(zone).collect::<Vec<_>>().concat();
    let (_, _, err) = checked(&format!("version: 1\nzones:\n{zones}"));
    assert_eq!(
        err,
        "p:1003:3: zones[1000]: number 1,001: is one more than the 1,000 zones a policy may have \
         (merge zones that share relays and defaults)\n"
    );
    let rule = |i| format!("- {{id: b{i}, subscribers: [203.0.113.9], reason: x}}\n");
    let rules = (0..131_072).map(rule).collect::<Vec<_>>().concat();
    let relay = "relays: [{id: out, addresses: [192.0.2.25]}]\n";
    let (ok, _, err) = checked(&format!("{ZONE}blocks:\n{rules}"));
    assert!(ok, "{err}");
    let (_, _, err) = checked(&format!("{ZONE}{relay}blocks:\n{rules}"));
    assert!(
        err.starts_with("p:131078:3: blocks[131071]: number 131,073: is one more than the 131,072 "),
        "{err}"
    );
    assert_eq!(err.lines().count(), 1);
}

#[test]
fn names_that_are_too_many_or_twice_or_kept_for_nothing() {
    let names = |count| (0..count).map(|i| format!("h{i}.example")).collect::<Vec<_>>().join(", ");
    let rules = |relay, mx| {
        format!(
            "{ZONE}relays:\n- {{id: out, names: [{}]}}\nexceptions:\n\
             - {{id: e, permanent: true, review_by: 2005-01-01T00:00:00Z, owner: o, reason: r, mx: [{}]}}\n",
            names(relay),
            names(mx)
        )
    };
    let (ok, out, err) = checked(&rules(400, 600));
    assert!(
        ok && out == "p: ok: 1 zone, 1 relay, 1 exception, 0 blocks, 1 prefix, 1,000 names\n",
        "{out}{err}"
    );
    let (ok, _, err) = checked(&rules(400, 602));
    assert!(!ok && err.lines().count() == 1, "{err}");
    assert!(
        err.contains(
            "exceptions[0].mx[600]: number 1,001: is one more than the 1,000 names a policy may have ("
        ),
        "{err}"
    );

    let text = format!(
        "{ZONE}relays:\n- {{id: a, names: [a.example, b.example, A.Example.]}}\n\
         - {{id: b, addresses: [192.0.2.1], keep_old_for: 7d}}\n"
    );
    let (ok, _, err) = checked(&text);
    assert!(ok);
    assert_eq!(
        err,
        "warning: p:6:41: relays[0].names[2]: A.Example.: is listed twice (keep one; the other is at p:6:19)\n\
         warning: p:7:49: relays[1].keep_old_for: 7d: has no effect without names (leave it out)\n"
    );
}

#[test]
fn a_message_is_one_line_whatever_the_value() {
    let value = format!("a\nb\u{1b}[2J\u{202e}{}", "x".repeat(1000));
    let why = Why::new("is wrong", "mend it");
    let fault = Fault { at: Position { line: 3, column: 9 }, place: "zones[0].id".into(), value, why };
    let shown = Problem::new(Severity::Error, "a\nb.yaml".as_ref(), fault).to_string();
    assert!(shown.starts_with("a\\nb.yaml:3:9: zones[0].id: a\\nb\\u{1b}[2J\\u{202e}xxx"), "{shown}");
    assert!(shown.ends_with("xxx: is wrong (mend it)") && shown.len() < 150, "{shown}");
}

#[test]
fn what_was_written_arrives() {
    let (folder, text) = (
        tempfile::tempdir().expect("a folder"),
        "version: 1\n\
         zones:\n\
         - {id: a, subscribers: &subs [10.0.0.0/8, '2001:db8::/32'], mode: enforce, action: reset, return_path: off}\n\
         - {id: b, subscribers: [192.0.2.1]}\n\
         relays: [{id: r, zones: [b, b], addresses: [192.0.2.25]}]\n\
         exceptions:\n\
         - {id: e, kind: business, subscribers: *subs, destinations: any, until: 2004-07-28T00:00:00-07:00,\n   \
              permanent: false, owner: o, reason: r, review_by: 2004-05-01T00:00:00Z, ticket: '1'}\n\
         blocks: [{id: x, zones: [a], destinations: [198.51.100.0/24], from: 2004-01-01T00:00:00Z, reason: r}]\n",
    );
    let path = folder.path().join("p.yaml");
    std::fs::write(&path, text).expect("the file");
    let loaded = load(&path).expect("a valid policy");
    assert_eq!(loaded.warnings, []);
    let policy = loaded.policy;
    assert_eq!((policy.zones[0].mode, policy.zones[0].action), (Mode::Enforce, Action::Reset));
    assert_eq!((policy.zones[1].mode, policy.zones[1].action), (Mode::Monitor, Action::Drop));
    assert_eq!(policy.zones[1].subscribers[0].to_string(), "192.0.2.1/32");
    assert_eq!(policy.relays[0].zones, Scope::Only(vec![1].into()));
    let exception = &policy.exceptions[0];
    assert_eq!(
        (exception.kind, &exception.zones, &exception.destinations),
        (Kind::Business, &Scope::Every, &Scope::Every)
    );
    assert_eq!(exception.subscribers, Scope::Only(policy.zones[0].subscribers.clone().into()));
    assert_eq!(exception.until.map(|until| until.to_string()).as_deref(), Some("2004-07-28T07:00:00Z"));
    assert_eq!(exception.from, None);
    let block = &policy.blocks[0];
    assert_eq!(
        (&block.zones, &block.subscribers, block.until),
        (&Scope::Only(vec![0].into()), &Scope::Every, None)
    );
    assert_eq!(block.from.map(|from| from.to_string()).as_deref(), Some("2004-01-01T00:00:00Z"));
}

#[test]
fn a_zone_can_be_stopped() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("p.yaml");
    let text = "version: 1\nzones:\n- {id: a, subscribers: [192.0.2.0/25]}\n- {id: b, subscribers: [192.0.2.128/25]}\n\
                relays: [{id: r, addresses: [198.51.100.1]}]\n\
                blocks: [{id: stop, zones: [a], destinations: any, reason: r}]\n";
    std::fs::write(&path, text).expect("the file");
    let policy = load(&path).expect("a valid policy").policy;
    for (from, reason) in [("192.0.2.1", "block-rule"), ("192.0.2.129", "relay")] {
        let (subscriber, remote) = (from.parse().expect("one"), "198.51.100.1".parse().expect("one"));
        let found = explain(
            &policy,
            Path { subscriber, remote, direction: Direction::Egress },
            gate25::policy::compile::Clock::standing_at(jiff::Timestamp::UNIX_EPOCH),
            gate25::command::explain::Node::PLAIN,
        )
        .expect("small");
        assert!(found.to_string().contains(reason), "{found}");
    }
    let bidi = text.replace("id: stop", "id: \"st\\u202Eop\"");
    std::fs::write(&path, bidi).expect("the file");
    let refused = load(&path).expect_err("a hidden character");
    assert!(refused.problems[0].to_string().contains("contains a control character"), "{refused:?}");
}
