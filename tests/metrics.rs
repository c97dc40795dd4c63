//! `/metrics`: the metrics and labels of the contract, silence from promtool, and numbers that are what was sent.

#![expect(clippy::float_cmp, reason = "samples of counters are whole numbers, and exact")]

use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    gate::{self, Gate},
    lab::{Host, Lab},
    metrics::{Samples, moved},
    policy, prometheus,
    smtp::{self, Outcome, Sink},
    workspace,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// For each step of a mail that arrives or is refused, on a busy machine.
const LIMIT: Duration = Duration::from_secs(15);
/// How long a client waits in vain: shorter than the first retransmission of a SYN.
const SILENCE: Duration = Duration::from_millis(500);
const PACKETS: [&str; 7] = ["interface", "direction", "family", "zone", "verdict", "reason", "enforced"];

/// Section 4 of the contract.
fn contract() -> BTreeMap<&'static str, (&'static str, BTreeSet<&'static str>)> {
    let metrics: [(&str, &str, &[&str]); 25] = [
        ("gate25_packets_total", "counter", &PACKETS),
        ("gate25_bytes_total", "counter", &PACKETS),
        ("gate25_attempts_total", "counter", &PACKETS),
        ("gate25_actions_total", "counter", &["interface", "action"]),
        ("gate25_flow_events_total", "counter", &["interface", "event"]),
        ("gate25_rule_packets_total", "counter", &["rule", "kind"]),
        ("gate25_rule_attempts_total", "counter", &["rule", "kind"]),
        ("gate25_rule_until_timestamp_seconds", "gauge", &["rule"]),
        ("gate25_policy_info", "gauge", &["digest"]),
        ("gate25_policy_generation", "gauge", &[]),
        ("gate25_policy_loaded_timestamp_seconds", "gauge", &[]),
        ("gate25_policy_reloads_total", "counter", &["result"]),
        ("gate25_table_entries", "gauge", &["table"]),
        ("gate25_table_capacity", "gauge", &["table"]),
        ("gate25_name_resolutions_total", "counter", &["result"]),
        ("gate25_policy_refused", "gauge", &[]),
        ("gate25_policy_from_state", "gauge", &[]),
        ("gate25_state_writes_total", "counter", &["result"]),
        ("gate25_clock_steps_total", "counter", &[]),
        ("gate25_clock_behind_seconds", "gauge", &[]),
        ("gate25_attached", "gauge", &["interface", "mode"]),
        ("gate25_events_total", "counter", &["kind"]),
        ("gate25_events_lost_total", "counter", &[]),
        ("gate25_suspects", "gauge", &[]),
        ("gate25_build_info", "gauge", &["version"]),
    ];
    metrics.into_iter().map(|(name, kind, labels)| (name, (kind, labels.iter().copied().collect()))).collect()
}

/// The names of the labels of a series.
fn labels(series: &str) -> BTreeSet<&str> {
    let inside = series.split_once('{').map_or("", |(_, rest)| rest.trim_end_matches('}'));
    inside.split("\",").filter_map(|label| label.split_once('=')).map(|(name, _)| name).collect()
}

fn sinks(lab: &Lab) -> Result<Vec<Sink>> {
    let hosts: [&Host; 3] = [&lab.relay, &lab.university, &lab.stranger];
    hosts.into_iter().map(|host| Sink::start(&host.namespace, host.name, &[25, 587])).collect()
}

/// A gate with the policy that the demo reloads, where every kind of rule has something to say.
fn start(lab: &Lab) -> Result<Gate<'_>> {
    let text = fs::read_to_string(workspace().join("policies/demo-reloaded.yaml"))?
        .replace("\"203.0.113.128/25\"", "\"203.0.113.140\"")
        .replace("exceptions:\n", "exceptions:\n  - {id: old, destinations: [\"100.64.9.0/24\"], until: \"2003-06-01T00:00:00Z\", owner: noc, reason: lab}\n");
    Gate::start(lab, &policy::write(lab.folder(), &text)?)
}

#[test]
fn every_metric_with_its_labels_and_promtool_is_silent() -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = sinks(&lab)?;
    let gate = start(&lab)?;
    for from in [&lab.alice, &lab.bob] {
        for to in [&lab.relay, &lab.university, &lab.stranger] {
            let limit = if (from.name, to.name) == ("bob", "stranger") { SILENCE } else { LIMIT };
            let outcomes = smtp::knock(from, to, limit);
            ensure!(outcomes[0].is_delivered() == outcomes[1].is_delivered(), "{outcomes:?}");
        }
        let submission = SocketAddr::new(lab.stranger.v4.into(), 587);
        ensure!(from.namespace.run(|| smtp::send(submission, LIMIT)).outcome.is_delivered());
    }
    let expired = smtp::mail(&lab.alice, [100, 64, 9, 1].into(), LIMIT);
    ensure!(expired == Outcome::Refused, "{expired:?}");

    let scrape = gate.scrape()?;
    let contract = contract();
    let types: BTreeMap<_, _> = scrape
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split_once(' '))
        .collect();
    let wanted: BTreeMap<_, _> = contract.iter().map(|(name, (kind, _))| (*name, *kind)).collect();
    ensure!(types == wanted, "{types:#?} instead of {wanted:#?}");
    let samples = gate.metrics()?;
    for series in samples.keys() {
        let name = series.split('{').next().unwrap_or_default();
        let (_, wanted) = contract.get(name).with_context(|| format!("{series}: not in the contract"))?;
        ensure!(labels(series) == *wanted, "{series}: labels instead of {wanted:?}");
        let subscriber = ["203.0.113.10", "203.0.113.140", "2001:db8:100::10", "2001:db8:101::10"];
        ensure!(!subscriber.iter().any(|address| series.contains(address)), "{series}: names a subscriber");
    }
    for name in contract.keys() {
        let has = samples.keys().any(|series| series.split('{').next() == Some(name));
        ensure!(has, "{name}: no sample");
    }
    values(&samples)?;

    prometheus::is_silent(&scrape)
}

/// Values that are not counts.
fn values(samples: &Samples) -> Result<()> {
    let value = |series: &str| samples.get(series).copied().with_context(|| format!("no {series}"));
    ensure!(value("gate25_rule_until_timestamp_seconds{rule=\"old\"}")? == 1_054_425_600.0);
    let ends = samples.keys().filter(|series| series.starts_with("gate25_rule_until")).count();
    ensure!(ends == 2, "only what ends has an end: {ends}");
    ensure!(value("gate25_attached{interface=\"eth1\",mode=\"native\"}")? == 1.0);
    ensure!(value("gate25_policy_generation")? == 1.0);
    for result in ["ok", "refused"] {
        ensure!(value(&format!("gate25_policy_reloads_total{{result=\"{result}\"}}"))? == 0.0);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    let loaded = value("gate25_policy_loaded_timestamp_seconds")?;
    ensure!((now - 60.0..=now).contains(&loaded), "loaded {loaded}, now {now}");
    let digest =
        samples.keys().find(|series| series.starts_with("gate25_policy_info")).context("no digest")?;
    let hex = digest.split('"').nth(1).unwrap_or_default();
    ensure!(hex.len() == 64 && hex.bytes().all(|octet| octet.is_ascii_hexdigit()), "{digest}");
    Ok(())
}

/// One connection of each kind: exactly those series move, by exactly that much.
#[test]
fn counters_are_what_was_sent() -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = sinks(&lab)?;
    let gate = start(&lab)?;
    let names = ["gate25_attempts_total", "gate25_actions_total", "gate25_rule_attempts_total"];
    let attempt = |family: &str, zone: &str, verdict: &str, reason: &str, enforced: bool| {
        format!(
            "gate25_attempts_total{{direction=\"egress\",enforced=\"{enforced}\",family=\"{family}\",\
             interface=\"eth1\",reason=\"{reason}\",verdict=\"{verdict}\",zone=\"{zone}\"}}"
        )
    };
    let rule =
        |rule: &str, kind: &str| format!("gate25_rule_attempts_total{{kind=\"{kind}\",rule=\"{rule}\"}}");
    let action = |action: &str| format!("gate25_actions_total{{action=\"{action}\",interface=\"eth1\"}}");
    let cases = [
        (&lab.alice, &lab.relay, "pass", "relay", Some(("outbound", "relay")), None),
        (&lab.alice, &lab.stranger, "pass", "exception", Some(("alice-own-server", "exception")), None),
        (&lab.alice, &lab.university, "block", "default", None, Some("reset")),
        (&lab.bob, &lab.university, "pass", "exception", Some(("campus", "exception")), None),
        (&lab.bob, &lab.stranger, "block", "block-rule", Some(("open-relay", "block")), Some("drop")),
    ];
    let mut before = gate.metrics()?;
    for (from, to, verdict, reason, named, answer) in cases {
        for (address, family) in to.addresses().into_iter().zip(["ipv4", "ipv6"]) {
            let what = format!("{} to {} {family}", from.name, to.name);
            let outcome = smtp::mail(from, address, if answer == Some("drop") { SILENCE } else { LIMIT });
            ensure!(outcome.is_delivered() == (verdict == "pass"), "{what}: {outcome:?}");
            let after = gate.metrics()?;
            let zone = if from.name == "alice" { "west" } else { "east" };
            let mut wanted =
                Samples::from([(attempt(family, zone, verdict, reason, verdict == "block"), 1.0)]);
            wanted.extend(named.map(|(id, kind)| (rule(id, kind), 1.0)));
            wanted.extend(answer.map(|name| (action(name), 1.0)));
            let found = moved(&before, &after, &names);
            ensure!(found == wanted, "{what}: {found:#?} instead of {wanted:#?}");
            before = after;
        }
    }

    // A refused connection is one packet: a SYN of 74 octets (Ethernet 14, IPv4 20, TCP 40), or 94 in IPv6.
    for (address, family, octets) in lab
        .university
        .addresses()
        .into_iter()
        .zip(["ipv4", "ipv6"])
        .zip([74.0, 94.0])
        .map(|((a, f), o)| (a, f, o))
    {
        ensure!(smtp::mail(&lab.alice, address, LIMIT) == Outcome::Refused);
        let after = gate.metrics()?;
        let series = |metric: &str| {
            attempt(family, "west", "block", "default", true).replace("gate25_attempts", metric)
        };
        for (metric, wanted) in [("gate25_packets", 1.0), ("gate25_bytes", octets)] {
            let series = series(metric);
            let found = after[&series] - before[&series];
            ensure!(found == wanted, "{series}: {found} instead of {wanted}");
        }
        before = after;
    }

    // What is no mail is counted once, under no zone and no rule.
    lab.settle()?;
    let before = gate.metrics()?;
    let submission = SocketAddr::new(lab.stranger.v4.into(), 587);
    ensure!(lab.alice.namespace.run(|| smtp::send(submission, LIMIT)).outcome.is_delivered());
    let after = gate.metrics()?;
    ensure!(moved(&before, &after, &names).is_empty(), "{:#?}", moved(&before, &after, &names));
    let packets = moved(&before, &after, &["gate25_packets_total"]);
    ensure!(
        packets.keys().all(|series| series.contains("not-smtp") && series.contains("zone=\"\"")),
        "{packets:#?}"
    );
    ensure!(packets.values().sum::<f64>() >= 10.0, "{packets:#?}");
    Ok(())
}

/// Only these two paths are there.
#[test]
fn pages() -> Result<()> {
    let lab = Lab::new()?;
    let gate = start(&lab)?;
    let (status, body) = gate.health()?;
    let health: serde_json::Value = serde_json::from_str(&body)?;
    ensure!(status == 200 && health["healthy"] == true && health["why"].is_null(), "{body}");
    let (status, _) = lab.edge.run(|| gate25_tests::http::get(gate::LISTEN, "/elsewhere"))?;
    ensure!(status == 404);
    Ok(())
}
