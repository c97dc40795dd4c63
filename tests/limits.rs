//! Limits of new connections a minute: to what an exception allows, and to a zone's relays.

#![expect(clippy::float_cmp, reason = "samples of counters are whole numbers, and exact")]

use anyhow::{Context as _, Result, ensure};
use gate25_tests::gate::Gate;
use gate25_tests::lab::{INTERFACE, Lab};
use gate25_tests::metrics::{Samples, sum};
use gate25_tests::packet::{ACK, Link, Tcp, packet};
use gate25_tests::smtp::{self, Outcome, Sink};
use gate25_tests::wire::{Wire, mac};
use gate25_tests::{policy, responder};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// Everybody is in one zone; to the university go three connections a minute, to the relay two; a subscriber of IPv6 is
/// a /60.
fn limited(mode: &str, action: &str) -> String {
    format!(
        "version: 1
zones:
  - id: all
    subscribers: [203.0.113.0/24, '2001:db8:100::/40']
    mode: {mode}
    {action}
    subscriber_prefix_v6: 60
    relay_max_new_connections_per_minute: 2
relays:
  - {{id: outbound, addresses: [192.0.2.25, '2001:db8:25::/64']}}
exceptions:
  - {{id: campus, destinations: {}, permanent: true, max_new_connections_per_minute: 3, owner: lab, reason: lab}}
",
        policy::UNIVERSITY
    )
}

/// A zone's attempts by verdict and reason.
fn attempts(samples: &Samples, verdict: &str, reason: &str) -> f64 {
    sum(samples, "gate25_attempts_total", &[("verdict", verdict), ("reason", reason), ("zone", "all")])
}

fn start<'lab>(lab: &'lab Lab, text: &str) -> Result<(Gate<'lab>, [Sink; 3])> {
    let gate = Gate::start(lab, &policy::write(lab.folder(), text)?)?;
    let sink = |host: &gate25_tests::lab::Host| Sink::start(&host.namespace, host.name, &[25]);
    Ok((gate, [sink(&lab.relay)?, sink(&lab.university)?, sink(&lab.stranger)?]))
}

/// So many delivered, and then refused, of five mails.
fn delivered(outcomes: &[Outcome]) -> Result<usize> {
    let delivered = outcomes.iter().take_while(|outcome| outcome.is_delivered()).count();
    let refused = outcomes[delivered..].iter().all(|outcome| *outcome == Outcome::Refused);
    ensure!(refused, "{outcomes:?}");
    Ok(delivered)
}

#[test]
fn each_subscriber_has_a_bucket_for_each_limit() -> Result<()> {
    let lab = Lab::new()?;
    let (gate, _sinks) = start(&lab, &limited("enforce", "action: reset"))?;
    // IPv4 and IPv6 are two subscribers, and so are alice and bob.
    for from in [&lab.alice, &lab.bob] {
        for family in 0..2 {
            for (to, wanted) in [(&lab.university, 3), (&lab.relay, 2), (&lab.stranger, 0)] {
                let to = to.addresses()[family];
                let five: Vec<_> = (0..5).map(|_| smtp::mail(from, to, PATIENCE)).collect();
                ensure!(delivered(&five)? == wanted, "{} to {to}: {five:?}", from.name);
            }
        }
    }
    let samples = gate.metrics()?;
    for (verdict, reason, wanted) in [
        ("pass", "exception", 12.0),
        ("pass", "relay", 8.0),
        ("block", "rate", 20.0),
        ("block", "default", 20.0),
    ] {
        ensure!(attempts(&samples, verdict, reason) == wanted, "{reason}: {samples:?}");
    }
    // Who is over a limit is named by what would have let him through.
    let rule = |id| sum(&samples, "gate25_rule_attempts_total", &[("rule", id)]);
    ensure!((rule("campus"), rule("outbound")) == (20.0, 20.0), "{samples:?}");
    ensure!(sum(&samples, "gate25_actions_total", &[("action", "reset")]) == 40.0);

    // A reload keeps the buckets; so does another controller. (Bob's for the relay was emptied last, and for thirty seconds.)
    let delivered = || smtp::mail(&lab.bob, lab.relay.v6.into(), PATIENCE).is_delivered();
    gate.reload();
    gate.wait_series("gate25_policy_generation", 2.0)?;
    ensure!(!delivered());
    gate.kill();
    ensure!(!delivered(), "nobody is there");
    let gate = Gate::start(&lab, &lab.folder().join("policy.yaml"))?;
    ensure!(!delivered(), "after a restart");
    drop(gate);
    Ok(())
}

#[test]
fn connections_come_back_evenly() -> Result<()> {
    let lab = Lab::new()?;
    let faster = limited("enforce", "action: reset").replace("minute: 3", "minute: 60");
    let (_gate, _sinks) = start(&lab, &faster)?;
    let mail = || smtp::mail(&lab.alice, lab.university.v4.into(), PATIENCE).is_delivered();
    let begin = Instant::now();
    // Sixty at once (and what comes back meanwhile).
    let mut delivered = 0;
    while mail() {
        delivered += 1;
        ensure!(delivered < 600, "no limit");
    }
    let most = 61 + begin.elapsed().as_secs();
    ensure!((60..=most).contains(&delivered), "{delivered} of 60 to {most}");
    // Then one a second.
    let begin = Instant::now();
    for number in 1..=3 {
        while !mail() {
            ensure!(begin.elapsed() < PATIENCE, "no connection came back");
        }
        let took = begin.elapsed().as_secs_f64();
        ensure!(took > f64::from(number) - 1.1, "number {number} after {took} s");
    }
    Ok(())
}

/// Frames from anybody to the university.
struct Sender {
    wire: Wire,
    link: Link,
}

impl Sender {
    fn new(lab: &Lab) -> Result<Self> {
        let mut link = Link::new();
        link.destination = mac(&lab.edge, INTERFACE)?;
        Ok(Self { wire: Wire::open(&lab.alice.namespace, "eth0")?, link })
    }

    fn send(&self, from: &str, to: IpAddr, tcp: &Tcp) -> Result<()> {
        self.wire.send(&[self.link.clone().carry(packet(from.parse()?, to, tcp))])
    }
}

fn syn(port: u16, sequence: u32) -> Tcp {
    Tcp { sequence, ..Tcp::syn(port, 25) }
}

#[test]
fn what_opens_nothing_new_takes_nothing() -> Result<()> {
    let lab = Lab::new()?;
    let (gate, _sinks) = start(&lab, &limited("enforce", ""))?;
    let sender = Sender::new(&lab)?;
    let seen =
        |samples: &Samples| (attempts(samples, "pass", "exception"), attempts(samples, "block", "rate"));
    let packets = |samples: &Samples| sum(samples, "gate25_packets_total", &[("zone", "all")]);
    let mut sent = 0.0;
    for (subscriber, to) in [
        ("203.0.113.77", IpAddr::from(lab.university.v4)),
        ("2001:db8:101:fff0::7", lab.university.v6.into()),
    ] {
        let before = seen(&gate.metrics()?);
        // A SYN and its retransmissions, and what follows it: one connection.
        for _ in 0..10 {
            sender.send(subscriber, to, &syn(5000, 77))?;
            sender.send(subscriber, to, &Tcp { flags: ACK, ..syn(5000, 78) })?;
        }
        // The same port anew is another one; then the third; then one too many, which is still too many when it comes again.
        for (port, sequence) in [(5000, 78), (5001, 1), (5002, 1), (5002, 1)] {
            sender.send(subscriber, to, &syn(port, sequence))?;
        }
        // What is no SYN passes all the same.
        sender.send(subscriber, to, &Tcp { flags: ACK, ..syn(5002, 2) })?;
        sent += 25.0;
        let samples = gate.wait_metrics("all are counted", |now| packets(now) >= sent)?;
        let after = seen(&samples);
        ensure!((after.0 - before.0, after.1 - before.1) == (3.0, 1.0), "{subscriber}: {samples:?}");
        let blocked = sum(&samples, "gate25_packets_total", &[("reason", "rate"), ("enforced", "true")]);
        ensure!(blocked == sent / 25.0 * 2.0, "{subscriber}: {blocked} packets over the limit");
    }
    Ok(())
}

#[test]
fn a_subscriber_of_ipv6_is_a_prefix() -> Result<()> {
    let lab = Lab::new()?;
    let (gate, _sinks) = start(&lab, &limited("enforce", ""))?;
    let sender = Sender::new(&lab)?;
    // Of a /60 each.
    for (port, from) in [(1, "2001:db8:101:10::1"), (2, "2001:db8:101:1f::2"), (3, "2001:db8:101:15:ffff::3")]
    {
        for (sequence, from) in [(1, from), (2, "2001:db8:101:20::1")] {
            sender.send(from, lab.university.v6.into(), &syn(port, sequence))?;
        }
    }
    for from in ["2001:db8:101:10::1", "2001:db8:101:1a::9", "2001:db8:101:2f::1"] {
        sender.send(from, lab.university.v6.into(), &syn(9, 9))?;
    }
    let samples = gate
        .wait_metrics("nine attempts", |now| sum(now, "gate25_attempts_total", &[("zone", "all")]) >= 9.0)?;
    let found = (attempts(&samples, "pass", "exception"), attempts(&samples, "block", "rate"));
    ensure!(found == (6.0, 3.0), "{samples:?}");
    Ok(())
}

#[test]
fn a_zone_that_monitors_counts_the_same() -> Result<()> {
    let lab = Lab::new()?;
    let (gate, _sinks) = start(&lab, &limited("monitor", "action: reset"))?;
    for _ in 0..5 {
        let all = smtp::knock(&lab.alice, &lab.university, PATIENCE);
        ensure!(all.iter().all(Outcome::is_delivered), "{all:?}");
    }
    let samples = gate.metrics()?;
    let found = (attempts(&samples, "pass", "exception"), attempts(&samples, "block", "rate"));
    ensure!(found == (6.0, 4.0), "{samples:?}");
    ensure!(sum(&samples, "gate25_attempts_total", &[("reason", "rate"), ("enforced", "false")]) == 4.0);
    Ok(())
}

/// A connection over the limit goes on where it was led, also though its later packets would be allowed.
#[test]
fn over_the_limit_one_is_told_so() -> Result<()> {
    let lab = Lab::new()?;
    let text = limited(
        "enforce",
        "action: notice\n    notice: {address: ['198.51.100.25:2525', '[2001:db8:51::25]:2525']}",
    );
    let (gate, _sinks) = start(&lab, &text)?;
    let _responder = responder::start(&lab, &gate, &lab.university)?;
    for family in ["ipv4", "ipv6"] {
        let series = format!("gate25_redirect_up{{action=\"notice\",family=\"{family}\",zone=\"all\"}}");
        gate.wait_series(&series, 1.0)?;
    }
    for (from, to) in lab.alice.addresses().into_iter().zip(lab.university.addresses()) {
        for number in 1..=5 {
            let heard = lab.alice.namespace.run(|| smtp::hear(from, SocketAddr::new(to, 25), PATIENCE));
            let heard = format!("{heard:?}");
            ensure!(heard.contains("Reason: rate") == (number > 3), "{to}, number {number}: {heard}");
            ensure!(heard.contains("220 university") == (number <= 3), "{to}, number {number}: {heard}");
        }
    }
    let samples = gate.metrics()?;
    ensure!(attempts(&samples, "block", "rate") == 4.0, "{samples:?}");
    let stray = sum(&samples, "gate25_flow_events_total", &[("event", "stray")]);
    ensure!(stray == 0.0, "{samples:?}");
    gate.stop().context("stop").map(drop)
}

/// Who has had his share of relays is not led to one, though that is what the zone does with others.
#[test]
fn over_the_limit_nobody_is_led_to_a_relay() -> Result<()> {
    let lab = Lab::new()?;
    let text = limited("enforce", "action: relay\n    relay_to: ['192.0.2.25:25', '[2001:db8:25::25]:25']");
    let (gate, _sinks) = start(&lab, &text)?;
    for family in ["ipv4", "ipv6"] {
        gate.wait_series(
            &format!("gate25_redirect_up{{action=\"relay\",family=\"{family}\",zone=\"all\"}}"),
            1.0,
        )?;
    }
    for (relay, stranger) in lab.relay.addresses().into_iter().zip(lab.stranger.addresses()) {
        let five: Vec<_> = (0..5).map(|_| smtp::mail(&lab.alice, relay, PATIENCE)).collect();
        ensure!(delivered(&five)? == 2, "{relay}: {five:?}");
        // Others still are.
        ensure!(smtp::mail(&lab.alice, stranger, PATIENCE).is_delivered(), "{stranger}");
    }
    Ok(())
}
