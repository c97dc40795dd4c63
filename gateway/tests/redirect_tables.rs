//! Zones that redirect, and the way back: what the tables say, and what `explain` says.

#![allow(clippy::expect_used, reason = "a test that cannot go on shall stop")]

use gate25::command::explain::{Node, Path, explain};
use gate25::policy::compile::{Clock, compile};
use gate25::policy::{Action, Policy, ReturnPath, load};
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

fn loaded(text: &str) -> Policy {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("p");
    std::fs::write(&path, text).expect("the file");
    load(&path).expect("a valid policy").policy
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
    let at = Clock::standing_at("2004-07-28T06:59:59Z".parse().expect("an instant"));
    let found = explain(policy, Path { subscriber, remote, direction }, at, Node::PLAIN).expect("small");
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
    let (_, text) = back("198.51.100.129", "9.9.9.9");
    assert!(text.contains("\nreason       unmanaged, in no zone that looks at the way back\n"), "{text}");
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
