//! The command's ruleset at the lab's edge, before real mail: what clients see, what ends by itself, what others' traffic does.

use crate::ruleset::{counted, last};
use anyhow::{Context as _, Result, ensure};
use gate25_tests::command;
use gate25_tests::lab::{Host, Lab};
use gate25_tests::netfilter::{Side, load, observe};
use gate25_tests::packet::{Link, Tcp, packet};
use gate25_tests::policy::{UNIVERSITY, exception, write};
use gate25_tests::smtp::{Outcome, Sink, send};
use gate25_tests::wait;
use jiff::{SignedDuration, Timestamp};
use std::{net::IpAddr, net::SocketAddr, time::Duration};

/// Longer than a SYN's first retransmission: without any latency an ICMP error often arrives while `connect` still holds
/// its socket, and only the answer to the next SYN ends it.
const LIMIT: Duration = Duration::from_millis(2500);

const REFUSED: [Outcome; 2] = [Outcome::Refused, Outcome::Refused];

/// Zones west, where alice is, and east, where bob is.
fn policy(west: &str, east: &str, more: &str) -> String {
    format!(
        "version: 1
zones:
  - {{id: west, subscribers: [\"203.0.113.0/25\", \"2001:db8:100::/48\"], {west}}}
  - {{id: east, subscribers: [\"203.0.113.128/25\", \"2001:db8:101::/48\"], {east}}}
relays:
  - {{id: outbound, addresses: [\"192.0.2.25\", \"2001:db8:25::/64\"]}}
{more}"
    )
}

/// What the command prints for a policy.
fn ruleset(lab: &Lab, text: &str, more: &[&str]) -> Result<String> {
    let file = write(lab.folder(), text)?;
    let mut command = command::gate25(["export", "--format", "nftables", "--interface", "eth1", "--policy"]);
    let output = command.arg(file).args(more).output()?;
    ensure!(output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

/// What each of both families comes to.
fn outcomes(from: &Host, to: &Host, port: u16) -> [Outcome; 2] {
    to.addresses().map(|address| from.namespace.run(|| send(SocketAddr::new(address, port), LIMIT)).outcome)
}

fn delivered(outcomes: &[Outcome; 2]) -> bool {
    outcomes.iter().all(Outcome::is_delivered)
}

#[test]
fn clients_see_what_the_zone_says() -> Result<()> {
    let lab = Lab::new()?;
    let servers = [&lab.relay, &lab.university, &lab.stranger];
    let _sinks: Vec<Sink> = servers
        .map(|host| Sink::start(&host.namespace, host.name, &[25, 587]))
        .into_iter()
        .collect::<Result<_>>()?;
    let campus = exception("campus", "permanent: true, zones: [west]");
    let exceptions = format!("exceptions:\n{campus}");
    // EHOSTUNREACH, and EACCES.
    let prohibited = Outcome::Broken("Permission denied (os error 13)".to_owned());
    let cases = [
        ("action: reset", REFUSED),
        // What comes back is judged as well, but for the answers of the router itself.
        ("action: reset, return_path: enforce", REFUSED),
        ("action: icmp", [Outcome::Unreachable, prohibited]),
        ("action: drop", [Outcome::TimedOut, Outcome::TimedOut]),
        ("action: notice, notice: {address: \"192.0.2.26:2525\"}", REFUSED),
    ];
    for (action, seen) in cases {
        let text = policy(&format!("mode: enforce, {action}"), "action: reset", &exceptions);
        load(&lab, &ruleset(&lab, &text, &[])?)?;
        assert!(delivered(&outcomes(&lab.alice, &lab.relay, 25)), "{action}: relay");
        assert!(delivered(&outcomes(&lab.alice, &lab.university, 25)), "{action}: exception");
        assert_eq!(outcomes(&lab.alice, &lab.stranger, 25), seen, "{action}");
        assert!(delivered(&outcomes(&lab.alice, &lab.stranger, 587)), "{action}: submission");
        assert!(delivered(&outcomes(&lab.bob, &lab.university, 25)), "{action}: bob, who is monitored");
        let counted = counted(&lab);
        for counter in ["zone_west.relay", "zone_west.exception", "zone_west.default", "zone_east.default"] {
            assert!(counted.contains_key(counter), "{action}: {counter} in {counted:?}");
        }
        assert!(!counted.contains_key("zone_east.exception"), "{action}: {counted:?}");
    }
    Ok(())
}

#[test]
fn exceptions_end_by_themselves() -> Result<()> {
    let lab = Lab::new()?;
    let _sink = Sink::start(&lab.university.namespace, "university", &[25])?;
    let until = Timestamp::now() + SignedDuration::from_secs(4);
    let own = format!(
        "  - {{id: own, subscribers: [\"203.0.113.10\", \"2001:db8:100::10\"], destinations: {UNIVERSITY}, owner: noc, \
         reason: lab, until: \"{until:.0}\"}}\n"
    );
    // By destination, and for a listed subscriber.
    for more in [exception("campus", &format!("until: \"{until:.0}\"")), own] {
        let text = policy("mode: enforce, action: reset", "action: reset", &format!("exceptions:\n{more}"));
        let (going_on, as_of) =
            (ruleset(&lab, &text, &[])?, ruleset(&lab, &text, &["--at", "2020-01-01T00:00:00Z"])?);
        if Timestamp::now() + SignedDuration::from_secs(2) < until {
            load(&lab, &going_on)?;
            assert!(delivered(&outcomes(&lab.alice, &lab.university, 25)), "it has not ended:\n{going_on}");
        } else {
            wait::until(Duration::from_secs(10), || (Timestamp::now() >= until).then_some(()))
                .context("time stands still")?;
            load(&lab, &going_on)?;
        }
        wait::until(Duration::from_secs(10), || (Timestamp::now() >= until).then_some(()))
            .context("time stands still")?;
        assert_eq!(
            outcomes(&lab.alice, &lab.university, 25),
            [Outcome::Refused, Outcome::Refused],
            "{going_on}"
        );
        assert_eq!(counted(&lab).get("zone_west.expired"), Some(&2), "{going_on}");
        // One of an instant stays as it was then.
        load(&lab, &as_of)?;
        assert!(delivered(&outcomes(&lab.alice, &lab.university, 25)), "{as_of}");
    }
    Ok(())
}

#[test]
fn other_interfaces_are_left_alone() -> Result<()> {
    let lab = Lab::new()?;
    let text = policy("mode: enforce", "mode: enforce", "");
    let pair: (IpAddr, IpAddr) = ("203.0.113.10".parse()?, "198.51.100.25".parse()?);
    let frame = Link::new().carry(packet(pair.0, pair.1, &Tcp::syn(40_000, 25)));
    let side = Side::Subscribers;
    let with = ruleset(&lab, &text, &[])?;
    for (ruleset, passes) in [(with.clone(), false), (with.replace("\"eth1\"", "\"eth0\""), true)] {
        load(&lab, &ruleset)?;
        let observed = observe(&lab, side, std::slice::from_ref(&frame), &last(side))?;
        assert_eq!(observed.passed.contains(&pair), passes, "{ruleset}");
    }
    Ok(())
}

#[test]
fn many_prefixes_and_long_names_load() -> Result<()> {
    let lab = Lab::new()?;
    let (long, other) = ("z".repeat(120), "ü z".repeat(30));
    let both = (0..50_000_u32).map(|number| {
        let ipv4 = IpAddr::from((0x0a00_0000 + number * 2).to_be_bytes());
        format!("{ipv4}/32\n2001:db8:{:x}:{:x}::/64\n", number >> 16, (number * 2) & 0xffff)
    });
    let list = both.collect::<Vec<_>>().concat();
    std::fs::write(lab.folder().join("list.txt"), list)?;
    let text = format!(
        "version: 1
zones:
  - {{id: {long}, subscribers: [\"203.0.113.0/25\"], mode: enforce}}
  - {{id: \"{other}\", subscribers: [\"203.0.113.128/25\", \"2001:db8:101::/48\"], mode: enforce, return_path: enforce}}
exceptions:
  - {{id: listed, subscribers: [\"203.0.113.10\", \"203.0.113.140\"], destinations_file: list.txt, until: \"9999-01-01T00:00:00Z\"}}
  - {{id: all, zones: [\"{other}\"], destinations_file: list.txt, permanent: true}}
"
    );
    load(&lab, &ruleset(&lab, &text, &[])?)?;
    let pairs = [
        ("203.0.113.10", "10.0.0.6", true),
        ("203.0.113.10", "10.0.0.7", false),
        ("203.0.113.141", "10.0.0.6", true),
    ];
    let address = |text: &str| text.parse::<IpAddr>();
    let side = Side::Subscribers;
    for (from, to, passes) in pairs {
        let pair = (address(from)?, address(to)?);
        let frame = Link::new().carry(packet(pair.0, pair.1, &Tcp::syn(40_000, 25)));
        let observed = observe(&lab, side, &[frame], &last(side))?;
        assert_eq!(observed.passed.contains(&pair), passes, "{from} {to}");
    }
    Ok(())
}
