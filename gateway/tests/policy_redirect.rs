//! Zones that redirect, and the way back: what is accepted, refused and warned of.

#![allow(clippy::expect_used, reason = "a test that cannot go on shall stop")]

use gate25::cli::Format;
use gate25::command::check::{Options, check};
use gate25::policy::{Action, Endpoints, Notice, Policy, ReturnPath, load};
use std::path::Path;

/// Both families, enforcing; keys of the zone may follow.
const ZONE: &str = "version: 1\nrelays: [{id: out, addresses: [192.0.2.0/28, '2001:db8:25::/64']}]\nzones:\n\
    - id: west\n  subscribers: [203.0.113.0/24, '2001:db8:100::/40']\n  mode: enforce\n";
const BOTH: &str = "['192.0.2.1:25', '[2001:db8:25::1]:2525']";

/// Calls with a file that has the text.
fn with_file<T>(text: &str, call: impl FnOnce(&Path) -> T) -> T {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("p");
    std::fs::write(&path, text).expect("the file");
    call(&path)
}

fn loaded(text: &str) -> Policy {
    with_file(text, |path| load(path).expect("a valid policy")).policy
}

/// The messages of `check` about a valid policy.
fn warnings(text: &str) -> String {
    with_file(text, |path| {
        let mut err = Vec::new();
        let options = Options { policy: path, offline: true, at: None, format: Format::Text };
        let ok = check(options, &mut Vec::new(), &mut err).expect("memory");
        let err = String::from_utf8(err).expect("text").replace(&path.display().to_string(), "p");
        assert!(ok, "{err}");
        err.split_inclusive('\n').filter(|line| !line.starts_with(' ')).collect()
    })
}

#[test]
fn what_was_written_arrives() {
    let submission = "~".repeat(200);
    let notice = format!(
        "  action: notice\n  return_path: enforce\n  notice:\n    address: {BOTH}\n    submission: '{submission}'\n    \
         url: mailto:noc@example.net\n"
    );
    let zone = &loaded(&(ZONE.to_owned() + &notice)).zones[0];
    let both = Endpoints {
        ipv4: Some("192.0.2.1:25".parse().expect("one")),
        ipv6: Some("[2001:db8:25::1]:2525".parse().expect("one")),
    };
    assert_eq!((zone.action, zone.return_path), (Action::Notice, ReturnPath::Enforce));
    let url = Some("mailto:noc@example.net".to_owned());
    assert_eq!(zone.notice, Some(Notice { address: both, submission: Some(submission), url }));
    assert_eq!((zone.redirects_to(), zone.relay_to), (both, Endpoints::default()));

    // A scalar, without quotes.
    let zone = &loaded(&format!("{ZONE}  action: relay\n  relay_to: 192.0.2.1:25\n")).zones[0];
    assert_eq!(zone.relay_to, Endpoints { ipv6: None, ..both });
    assert_eq!(
        (zone.action, zone.redirects_to(), zone.return_path),
        (Action::Relay, zone.relay_to, ReturnPath::Off)
    );

    for (written, path) in
        [("off", ReturnPath::Off), ("monitor", ReturnPath::Monitor), ("enforce", ReturnPath::Enforce)]
    {
        let text = format!("{ZONE}  action: icmp\n  return_path: {written}\n");
        assert_eq!(warnings(&text), "", "{written}");
        let zone = &loaded(&text).zones[0];
        assert_eq!(
            (zone.return_path, zone.action, zone.redirects_to()),
            (path, Action::Icmp, Endpoints::default())
        );
    }
    // What monitors may monitor the way back.
    let text = ZONE.replace("mode: enforce", "mode: monitor") + "  return_path: monitor\n";
    assert_eq!(warnings(&text), "");
}

#[test]
fn one_mistake_has_one_message() {
    let relay = "  action: relay\n";
    for (text, message) in [
        // The mode is the mistake, not that it monitors.
        (
            ZONE.replace("mode: enforce", "mode: enforced") + "  return_path: enforce\n",
            "zones[0].mode: enforced: is not a known word here",
        ),
        (
            ZONE.replace("mode: enforce", "moed: enforce") + "  return_path: enforce\n",
            "zones[0].moed: moed: is not a known key",
        ),
        (format!("{ZONE}  action: ralay\n  relay_to: {BOTH}\n"), "did you mean relay?"),
        (format!("{ZONE}{relay}  relay_too: {BOTH}\n"), "did you mean relay_to?"),
        (format!("{ZONE}{relay}  relay_to:\n"), "zones[0].relay_to: (nothing): has no value"),
        (
            format!("{ZONE}{relay}  relay_to: [25]\n"),
            "zones[0].relay_to[0]: 25: is a number where text belongs",
        ),
        (
            format!("{ZONE}  action: notice\n  notice: {{}}\n"),
            "zones[0].notice.address: (missing): is required",
        ),
        (
            format!("{ZONE}  action: notice\n  notice: url\n"),
            "zones[0].notice: url: is not a mapping of keys",
        ),
        // Also where it is not used.
        (format!("{ZONE}  relay_to: '192.0.2.1:0'\n"), "zones[0].relay_to: 192.0.2.1:0: has port 0"),
    ] {
        let refused = with_file(&text, |path| load(path).expect_err(&text));
        let shown: Vec<String> = refused.problems.iter().map(ToString::to_string).collect();
        assert!(shown.len() == 1 && shown[0].contains(message), "{text}{shown:?}");
    }
}

#[test]
fn what_is_not_used_draws_a_warning() {
    let notice = format!("  notice: {{address: {BOTH}}}\n");
    let to = format!("  relay_to: {BOTH}\n");
    let warning = |at: &str, key: &str, action: &str| {
        format!(
            "warning: p:{at}: zones[0].{key}: (given): has no effect without action: {action} \
             (set the action, or leave it out)\n"
        )
    };
    for action in ["drop", "reset", "icmp"] {
        let text = format!("{ZONE}  action: {action}\n{notice}{to}");
        let expected = warning("8:11", "notice", "notice") + &warning("9:13", "relay_to", "relay");
        assert_eq!(warnings(&text), expected);
    }
    assert_eq!(
        warnings(&format!("{ZONE}  action: notice\n{notice}{to}")),
        warning("9:13", "relay_to", "relay")
    );
    assert_eq!(warnings(&format!("{ZONE}  action: notice\n{notice}")), "");
    let both = warnings(&format!("{ZONE}  action: relay\n{notice}{to}"));
    assert!(both.ends_with(&warning("8:11", "notice", "notice")) && both.lines().count() == 2, "{both}");
}

#[test]
fn relay_is_warned_of() {
    let relay = |to: &str| warnings(&format!("{ZONE}  action: relay\n  relay_to: {to}\n"));
    let breaks = "warning: p:7:11: zones[0].action: relay: makes mail of other domains fail SPF at its receivers, makes \
        authentication and STARTTLS names of third-party servers fail since they are not whom the client meets, may be \
        against the law (a European regulator ruled transparent redirection a breach of net neutrality), and needs a \
        way back across the same interface (prefer action: notice, which tells people what to change)\n";
    assert_eq!(relay(BOTH), breaks);
    let stranger = "warning: p:8:13: zones[0].relay_to: 192.0.2.16:25: is not among the relays of the zone (add its \
        address to a relay, or correct it)\n";
    assert_eq!(relay("['192.0.2.16:25', '[2001:db8:25::1]:25']"), breaks.to_owned() + stranger);
    // Of another zone.
    let east = "- {id: east, subscribers: [198.51.100.0/24]}\n";
    let zone = |zones: &str| ZONE.replace("{id: out", &format!("{{id: out, zones: [{zones}]"));
    let of = |zones| warnings(&format!("{}  action: relay\n  relay_to: {BOTH}\n{east}", zone(zones)));
    assert_eq!(of("east, west"), breaks);
    assert_eq!(of("east").matches("is not among the relays of the zone").count(), 2);
    // A notice may be anywhere.
    let notice = "  action: notice\n  notice: {address: ['198.51.100.1:25', '[2001:db8:26::1]:25']}\n";
    assert_eq!(warnings(&(ZONE.to_owned() + notice)), "");
}

#[test]
fn endpoints_that_do_not_reach_everybody() {
    let west = ["203.0.113.0/24", "2001:db8:100::/40"].map(|prefix| format!("'{prefix}'"));
    let zone = |subscribers: &str| ZONE.replace(&west.join(", ").replacen('\'', "", 2), subscribers);
    let notice = |subscribers: &str, address: &str| {
        warnings(&format!("{}  action: notice\n  notice: {{address: '{address}'}}\n", zone(subscribers)))
    };
    let reset = |endpoint: &str, family: &str| {
        format!(
            "warning: p:8:21: zones[0].notice.address: {endpoint}: is the only endpoint, so {family} subscribers of \
             the zone get a reset (add one for {family}, or leave it so)\n"
        )
    };
    let all = west.join(", ");
    assert_eq!(notice(&all, "192.0.2.1:25"), reset("192.0.2.1:25", "IPv6"));
    assert_eq!(notice(&all, "[2001:db8:25::1]:25"), reset("[2001:db8:25::1]:25", "IPv4"));
    assert_eq!(notice(&west[0], "192.0.2.1:25"), "");
    assert_eq!(notice(&west[1], "[2001:db8:25::1]:25"), "");
    let relay = warnings(&format!("{ZONE}  action: relay\n  relay_to: 192.0.2.1:25\n"));
    assert!(relay.contains("zones[0].relay_to: 192.0.2.1:25: is the only endpoint, so IPv6"), "{relay}");

    let inside = |endpoint: &str, prefix: &str| {
        format!(
            "warning: p:8:21: zones[0].notice.address: {endpoint}: is inside the zone's own {prefix}, so its answers \
             would not cross the interface again, or would loop (use a host on the other side of the gateway)\n"
        )
    };
    assert_eq!(notice(&west[0], "203.0.113.255:25"), inside("203.0.113.255:25", "203.0.113.0/24"));
    assert_eq!(notice(&west[0], "203.0.114.0:25"), "");
    assert_eq!(notice(&west[1], "[2001:db8:100::1]:25"), inside("[2001:db8:100::1]:25", "2001:db8:100::/40"));
}

#[test]
fn a_warning_names_the_file_of_its_zone() {
    let folder = tempfile::tempdir().expect("a folder");
    let east = "version: 1\nzones:\n- {id: a, subscribers: [10.0.0.0/8]}\n- {id: b, subscribers: [100.64.0.0/10],\n   action: \
        notice, notice: {address: 100.64.0.1:25}}\n";
    std::fs::write(folder.path().join("1.yaml"), ZONE).expect("a file");
    std::fs::write(folder.path().join("2.yaml"), east).expect("a file");
    let warnings = load(folder.path()).expect("a valid policy").warnings;
    let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
    assert_eq!((warning.file.file_name(), warning.line), (Some("2.yaml".as_ref()), 5));
    assert_eq!(warning.place, "zones[1].notice.address");
}

#[test]
fn an_endpoint_among_the_subscribers_of_nested_zones() {
    let zones = "version: 1\nzones:\n\
        - {id: west, subscribers: [10.0.0.0/8, 2001:db8::/32], action: notice, notice: {address: 10.1.2.3:25}}\n\
        - {id: east, subscribers: [10.1.0.0/16, \"::/0\"]}\n\
        - {id: none, subscribers: [10.1.3.0/24, \"10.1.2.2\"]}\n";
    let shown = warnings(zones);
    for words in [
        "10.1.2.3:25: is inside the zone's own 10.0.0.0/8, so",
        "10.1.2.3:25: is a subscriber of zone east, so",
    ] {
        assert_eq!(shown.matches(words).count(), 1, "{words}: {shown}");
    }
    assert!(!shown.contains("zone none"), "{shown}");
}
