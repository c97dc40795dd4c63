//! Zones that redirect, and the way back: what is accepted and warned of, what the tables say, what `explain` says.

#![allow(clippy::expect_used, reason = "a test that cannot go on shall stop")]

use gate25::command::check::check;
use gate25::command::explain::{Path, explain};
use gate25::policy::compile::{Clock, compile};
use gate25::policy::{Action, Endpoints, Notice, Policy, ReturnPath, load};
use gate25::tables::Tables;
use gate25_common::abi::{Subscriber, Target};
use gate25_common::address::Address;
use gate25_common::verdict::Direction;
use jiff::Timestamp;
use std::net::IpAddr;

/// Both families, enforcing; keys of the zone may follow.
const ZONE: &str = "version: 1\nrelays: [{id: out, addresses: [192.0.2.0/28, '2001:db8:25::/64']}]\nzones:\n\
    - id: west\n  subscribers: [203.0.113.0/24, '2001:db8:100::/40']\n  mode: enforce\n";
const BOTH: &str = "['192.0.2.1:25', '[2001:db8:25::1]:2525']";

/// Calls with a file that has the text.
fn with_file<T>(text: &str, call: impl FnOnce(&std::path::Path) -> T) -> T {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("p");
    std::fs::write(&path, text).expect("the file");
    call(&path)
}

fn loaded(text: &str) -> Policy {
    with_file(text, |path| load(path).expect("a valid policy")).policy
}

/// What `check` writes to stderr of a valid policy.
fn warnings(text: &str) -> String {
    with_file(text, |path| {
        let mut err = Vec::new();
        let ok = check(path, &mut Vec::new(), &mut err).expect("memory");
        let err = String::from_utf8(err).expect("text").replace(&path.display().to_string(), "p");
        assert!(ok, "{err}");
        err
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

/// Zones `west` (notice, both families), `east` (relay, IPv4 alone), `north` (icmp), and what follows.
fn zones(more: &str) -> Policy {
    loaded(&format!(
        "{ZONE}  action: notice\n  notice: {{address: {BOTH}}}\n  return_path: enforce\n\
         - {{id: east, subscribers: [198.51.100.0/25, '2001:db8:200::/40'], action: relay, relay_to: 192.0.2.2:26, \
         mode: enforce, return_path: monitor}}\n\
         - {{id: north, subscribers: [198.51.100.128/25, '2001:db8:300::/40'], action: icmp, mode: enforce}}\n{more}"
    ))
}

fn tables(policy: &Policy, enforce: bool) -> Tables {
    let clock = Clock::standing_at(Timestamp::UNIX_EPOCH);
    compile(policy, clock, enforce, |zone| zone as u32 + 7).expect("small")
}

fn subscriber(tables: &Tables, address: &str) -> (Action, ReturnPath) {
    let found: Subscriber = tables.subscribers.get(address.parse().expect("one")).expect("a zone");
    (found.action(), found.return_path())
}

#[test]
fn tables_have_targets_by_family() {
    let tables = tables(&zones(""), true);
    let ipv6: IpAddr = "2001:db8:25::1".parse().expect("one");
    let west =
        Target { ipv6: Address::from(ipv6).words(), ipv4: [192, 0, 2, 1], ipv4_port: 25, ipv6_port: 2525 };
    let east = Target { ipv4: [192, 0, 2, 2], ipv4_port: 26, ..Target::default() };
    assert_eq!(tables.targets, [(7, west), (8, east)].into());
    for (address, action, path) in [
        ("203.0.113.1", Action::Notice, ReturnPath::Enforce),
        ("2001:db8:100::1", Action::Notice, ReturnPath::Enforce),
        ("198.51.100.1", Action::Relay, ReturnPath::Monitor),
        ("2001:db8:200::1", Action::Reset, ReturnPath::Monitor),
        ("198.51.100.129", Action::Icmp, ReturnPath::Off),
        ("2001:db8:300::1", Action::Icmp, ReturnPath::Off),
    ] {
        assert_eq!(subscriber(&tables, address), (action, path), "{address}");
    }
    assert!(tables.any_return_enforced && tables.needs_return);
}

#[test]
fn a_node_that_monitors_monitors_the_way_back() {
    let tables = tables(&zones(""), false);
    assert_eq!(subscriber(&tables, "203.0.113.1").1, ReturnPath::Monitor);
    assert_eq!(subscriber(&tables, "198.51.100.1").1, ReturnPath::Monitor);
    assert_eq!(subscriber(&tables, "198.51.100.129").1, ReturnPath::Off);
    assert!(!tables.any_return_enforced && !tables.any_enforced && tables.needs_return);
}

/// Nothing is attached on the way back unless some zone asks for it.
#[test]
fn the_way_back_is_needed_by_some() {
    let needs = |keys: &str| {
        let tables = tables(&loaded(&(ZONE.to_owned() + keys)), true);
        (tables.needs_return, tables.any_return_enforced)
    };
    assert_eq!(needs("  action: icmp\n"), (false, false));
    assert_eq!(needs("  action: reset\n  return_path: off\n"), (false, false));
    assert_eq!(needs(&format!("  relay_to: {BOTH}\n  notice: {{address: {BOTH}}}\n")), (false, false));
    assert_eq!(needs("  return_path: monitor\n"), (true, false));
    assert_eq!(needs("  return_path: enforce\n"), (true, true));
    assert_eq!(needs(&format!("  action: notice\n  notice: {{address: {BOTH}}}\n")), (true, false));
    assert_eq!(needs("  action: relay\n  relay_to: 192.0.2.1:25\n"), (true, false));
}

/// JSON and text of an explanation.
fn explained(policy: &Policy, from: &str, to: &str, direction: Direction) -> (String, String) {
    let (subscriber, remote) = (from.parse().expect("one"), to.parse().expect("one"));
    let at = "2004-07-28T06:59:59Z".parse().expect("an instant");
    let found = explain(policy, Path { subscriber, remote, direction }, at).expect("small");
    (serde_json::to_string(&found).expect("JSON"), found.to_string())
}

#[test]
fn explain_knows_the_way_back() {
    let policy = zones(
        "exceptions: [{id: campus, destinations: [192.0.2.128/25], until: '2004-07-28T07:00:00Z', owner: o, reason: r}]\n",
    );
    let back = |from, to| explained(&policy, from, to, Direction::Return);
    let json = |from: &str, to: &str, rest: &str| {
        format!(r#"{{"from":"{from}","to":"{to}","at":"2004-07-28T06:59:59Z","direction":"return",{rest}"#)
    };
    let change = r#""next_change":"2004-07-28T07:00:00Z"}"#;
    for (from, to, rest) in [
        ("203.0.113.1", "9.9.9.9", r#""zone":"west","verdict":"block","action":"drop","enforced":true,"reason":"default","rule":null,"until":null,"next_change":null}"#.to_owned()),
        ("198.51.100.1", "9.9.9.9", r#""zone":"east","verdict":"block","action":"drop","enforced":false,"reason":"default","rule":null,"until":null,"next_change":null}"#.to_owned()),
        ("203.0.113.1", "192.0.2.1", r#""zone":"west","verdict":"pass","action":"none","enforced":false,"reason":"relay","rule":"out","until":null,"next_change":null}"#.to_owned()),
        ("203.0.113.1", "192.0.2.129", format!(r#""zone":"west","verdict":"pass","action":"none","enforced":false,"reason":"exception","rule":"campus","until":"2004-07-28T07:00:00Z",{change}"#)),
        // A zone that does not look there is no zone, whatever its rules and their dates.
        ("198.51.100.129", "192.0.2.129", r#""zone":null,"verdict":"pass","action":"none","enforced":false,"reason":"unmanaged","rule":null,"until":null,"next_change":null}"#.to_owned()),
        ("10.0.0.1", "9.9.9.9", r#""zone":null,"verdict":"pass","action":"none","enforced":false,"reason":"unmanaged","rule":null,"until":null,"next_change":null}"#.to_owned()),
    ] {
        assert_eq!(back(from, to).0, json(from, to, &rest));
    }
    let begins = |from: &str, to: &str| format!("from         port 25 of {to}\ntoward       {from}\nat  ");
    let (_, text) = back("198.51.100.1", "9.9.9.9");
    assert!(text.starts_with(&begins("198.51.100.1", "9.9.9.9")), "{text}");
    assert!(
        text.contains("\nverdict      block, not carried out (the zone's return path monitors)\n"),
        "{text}"
    );
    let (_, text) = back("203.0.113.1", "9.9.9.9");
    assert!(text.contains("\nverdict      block, carried out\naction       drop\n"), "{text}");
}

#[test]
fn explain_says_where_it_goes() {
    let policy = zones(
        "- {id: south, subscribers: [100.64.0.0/10], action: notice, notice: {address: 192.0.2.3:25}}\n",
    );
    for (from, to, action, words) in [
        ("203.0.113.1", "9.9.9.9", "notice", "notice, to 192.0.2.1:25"),
        ("2001:db8:100::1", "2620:fe::fe", "notice", "notice, to [2001:db8:25::1]:2525"),
        ("198.51.100.1", "9.9.9.9", "relay", "relay, to 192.0.2.2:26"),
        ("2001:db8:200::1", "2620:fe::fe", "reset", "reset"),
        ("198.51.100.129", "9.9.9.9", "icmp", "icmp"),
        ("203.0.113.1", "192.0.2.2", "none", "none"),
    ] {
        let (json, text) = explained(&policy, from, to, Direction::Egress);
        assert!(json.contains(r#""direction":"egress""#), "{json}");
        assert!(json.contains(&format!(r#""action":"{action}""#)) && !json.contains("target"), "{json}");
        assert!(text.starts_with(&format!("from         {from}\nto           {to} port 25\n")), "{text}");
        assert!(text.contains(&format!("\naction       {words}\n")), "{text}");
    }
    let (_, text) = explained(&policy, "100.64.0.1", "9.9.9.9", Direction::Egress);
    let watched =
        "\nverdict      block, not carried out (the zone monitors)\naction       notice, to 192.0.2.3:25\n";
    assert!(text.contains(watched), "{text}");
}
