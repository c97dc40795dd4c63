//! Each blocked connection is told once, as it was.

use crate::support::{SOON, Site, lines};
use anyhow::{Context as _, Result, ensure};
use gate25_tests::{metrics::sum, policy, wait};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{
    fs,
    net::{IpAddr, SocketAddr},
    os::unix::fs::PermissionsExt as _,
    time::Duration,
};

const KEYS: [&str; 13] = [
    "time",
    "kind",
    "interface",
    "direction",
    "zone",
    "subscriber",
    "remote",
    "subscriber_port",
    "reason",
    "rule",
    "action",
    "enforced",
    "attempts",
];

fn event(zone: &str, from: IpAddr, port: u16, to: &str, enforced: bool) -> Value {
    let action = "drop";
    json!({
        "kind": "blocked", "interface": "eth1", "direction": "egress", "zone": zone, "subscriber": from.to_string(),
        "remote": to, "subscriber_port": port, "reason": "default", "rule": null, "action": action,
        "enforced": enforced, "attempts": 1,
    })
}

/// A connection of the kernel's own TCP; which port it had. Its SYN comes once the gateway's address is known; what becomes
/// of it is not awaited.
fn connect(from: &gate25_tests::lab::Host, address: IpAddr, to: IpAddr) -> Result<u16> {
    from.namespace.run(|| {
        let domain = socket2::Domain::for_address(SocketAddr::new(address, 0));
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::new(address, 0).into())?;
        let _ = socket.connect(&SocketAddr::new(to, 25).into());
        let port = socket.local_addr()?.as_socket().context("no address")?.port();
        Ok(port)
    })
}

#[test]
fn both_families_and_modes_with_every_field() -> Result<()> {
    let site = Site::new()?;
    let gate = site.gate()?;
    let begin = Timestamp::now();
    let mut wanted = Vec::new();
    // Connections of several hosts, or families, would overtake each other.
    let told = |wanted: &[Value]| site.blocked(wanted.len());
    for (host, zone, enforced) in [(&site.lab.alice, "west", true), (&site.lab.bob, "east", false)] {
        for (from, to) in host.addresses().into_iter().zip(site.lab.stranger.addresses()) {
            let port = connect(host, from, to)?;
            wanted.push(event(zone, from, port, &to.to_string(), enforced));
            told(&wanted)?;
        }
    }
    let alice = site.lab.alice.v4.into();
    // Long over: the exception is named.
    let mut expired = event(
        "west",
        alice,
        connect(&site.lab.alice, alice, site.lab.university.v4.into())?,
        "198.51.100.25",
        true,
    );
    expired["remote"] = json!(site.lab.university.v4);
    (expired["reason"], expired["rule"]) = (json!("expired"), json!("campus"));
    wanted.push(expired);
    told(&wanted)?;

    // The same SYN again and again, in both modes: one attempt, one event.
    for (from, zone, enforced) in [("203.0.113.77", "west", true), ("203.0.113.177", "east", false)] {
        let from: IpAddr = from.parse()?;
        let syn = site.frame(from, "192.0.2.200", 30_000)?;
        site.send(&[syn.clone(), syn.clone(), syn])?;
        wanted.push(event(zone, from, 30_000, "192.0.2.200", enforced));
    }
    // What opens no connection, or goes elsewhere, is no event.
    site.send(&[site.frame(alice, "192.0.2.200", 30_001).map(|mut frame| {
        frame[36..38].copy_from_slice(&587_u16.to_be_bytes());
        frame
    })?])?;
    site.tries("203.0.113.78", "192.0.2.200", 1)?;
    wanted.push(event("west", "203.0.113.78".parse()?, 20_000, "192.0.2.200", true));

    let events = site.events_until("203.0.113.78")?;
    let end = Timestamp::now();
    let mut found = Vec::new();
    for event in events {
        let mut event = event.as_object().context("no object")?.clone();
        ensure!(KEYS.iter().all(|key| event.contains_key(*key)) && event.len() == KEYS.len(), "{event:?}");
        let time = event.remove("time").context("no time")?;
        let text = time.as_str().context("no text")?;
        let time: Timestamp = text.parse()?;
        // The clock of packets goes in steps of some milliseconds.
        let slack = jiff::SignedDuration::from_millis(20);
        ensure!(text.ends_with('Z') && time >= begin - slack && time <= end + slack, "{begin} {text} {end}");
        // (A policy that was loaded late is no matter here.)
        if event["kind"] != "policy" {
            found.push(Value::Object(event));
        }
    }
    ensure!(found == wanted, "found {found:#?}\nwanted {wanted:#?}");
    ensure!(fs::metadata(site.file())?.permissions().mode() & 0o777 == 0o640);

    // Both modes count alike, and as many as were told.
    let now = gate.metrics()?;
    let attempts = |zone, enforced| {
        sum(&now, "gate25_attempts_total", &[("zone", zone), ("enforced", enforced), ("verdict", "block")])
    };
    ensure!((attempts("west", "true"), attempts("east", "false")) == (5.0, 3.0), "{now:#?}");
    ensure!(sum(&now, "gate25_events_total", &[("kind", "blocked")]) == 8.0, "{now:#?}");
    ensure!(sum(&now, "gate25_events_lost_total", &[]) == 0.0);
    Ok(())
}

#[test]
fn what_happens_without_a_controller_is_told_by_the_next_one() -> Result<()> {
    let site = Site::new()?;
    let gate = site.gate()?;
    site.tries("203.0.113.9", "192.0.2.200", 1)?;
    site.events_until("203.0.113.9")?;
    let told = |gate: &gate25_tests::gate::Gate| -> Result<f64> {
        Ok(sum(&gate.metrics()?, "gate25_events_total", &[("kind", "blocked")]))
    };
    ensure!(told(&gate)? == 1.0);
    gate.kill();
    site.tries("203.0.113.10", "192.0.2.200", 1)?;
    wait::until(Duration::from_millis(200), || None::<()>);
    let restart = Timestamp::now();
    let gate = site.gate()?;
    let events = site.events_until("203.0.113.10")?;
    let time: Timestamp =
        events.last().and_then(|event| event["time"].as_str()).context("no time")?.parse()?;
    ensure!(time < restart, "told with the time of its telling: {time}, {restart}");
    ensure!(events.iter().filter(|event| event["kind"] == "blocked").count() == 2, "{events:#?}");
    gate.wait_metrics("counts go on", |now| sum(now, "gate25_events_total", &[("kind", "blocked")]) == 2.0)?;
    Ok(())
}

#[test]
fn a_stop_in_the_midst_of_it_loses_no_event() -> Result<()> {
    let site = Site::new()?;
    let mut gate = site.gate()?;
    let frames: Vec<_> = (0..4000_u16)
        .map(|number| {
            site.frame(format!("2001:db8:100:{number:x}::1").parse()?, "2001:db8:bad::1", 1 + number)
        })
        .collect::<Result<_>>()?;
    for part in frames.chunks(1000) {
        site.send(part)?;
        ensure!(gate.stop()?.success());
        gate = site.gate()?;
    }
    site.tries("203.0.113.9", "192.0.2.200", 1)?;
    let blocked = site.events_until("203.0.113.9")?.iter().filter(|event| event["kind"] == "blocked").count();
    ensure!(blocked == frames.len() + 1, "{blocked} events of {} attempts", frames.len() + 1);
    Ok(())
}

#[test]
fn a_reload_is_told_whether_it_is_taken_or_refused() -> Result<()> {
    let site = Site::new()?;
    let gate = site.gate()?;
    let policy_events = || -> Result<Vec<String>> {
        let all = site.asked(&["events", "--json", "--kind", "policy"])?;
        Ok(all.iter().map(|event| event["message"].as_str().unwrap_or_default().to_owned()).collect())
    };
    let awaited = |what: &str| {
        wait::until(SOON, || policy_events().ok()?.iter().any(|message| message.contains(what)).then_some(()))
            .with_context(|| format!("no {what:?} in {:?}", policy_events()))
    };
    ensure!(policy_events()?.is_empty(), "{:?}", policy_events());
    gate.reload();
    awaited("SIGHUP: the policy is in force")?;
    policy::put(&site.policy, "version: 1\nzones: 5\n")?;
    awaited("the policy is refused")?;
    let known = policy_events()?.len();
    let file = lines(&fs::read_to_string(site.file())?)?;
    ensure!(
        known == 2 && file.iter().filter(|event| event["kind"] == "policy").count() == known,
        "{file:#?}"
    );
    ensure!(KEYS.iter().all(|key| file[0].get(key).is_some()), "{file:#?}");
    gate.wait_series("gate25_events_total{kind=\"policy\"}", 2.0)?;
    Ok(())
}
