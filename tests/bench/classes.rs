//! What a packet costs over an empty program, by its class.

use crate::{
    contenders::{self, EMPTY, GATE25, Gate, compiled},
    figures::{Spread, added, interleaved},
    report::Report,
    rivals::xdp_filter::{Variant, XdpFilter},
};
use anyhow::Result;
use gate25_tests::{
    lab::Lab,
    packet::{ACK, Ipv4, Ipv6, Link, Ppp, SYN, Tcp, arp, packet, protocol, udp},
    testrun::measure,
    xdp_pass::{PASS, load, load_classifier},
};
use std::{
    fs,
    os::fd::{AsFd as _, BorrowedFd},
};

pub(crate) const PART: &str = "classes, XDP";
const TOWARD: &str = "toward subscribers, TC";
const UNIT: &str = "ns added";

/// The policy of all parts that go by class.
const POLICY: &str = r#"
version: 1
zones:
  - {id: silent, subscribers: ["203.0.113.0/25", "10.1.0.0/16", "2001:db8:100::/48"], mode: enforce}
  - {id: prompt, subscribers: ["203.0.113.128/26"], mode: enforce, action: reset, return_path: enforce}
  - {id: prohibited, subscribers: ["203.0.113.224/27"], mode: enforce, action: icmp}
  - id: told
    subscribers: ["203.0.113.192/27", "2001:db8:101::/48"]
    mode: enforce
    action: notice
    notice: {address: ["192.0.2.26:2525", "[2001:db8:26::1]:2525"]}
relays:
  - {id: relay, addresses: ["192.0.2.25"]}
exceptions:
  - {id: lasting, destinations: ["198.51.100.0/24"], permanent: true, owner: a, reason: b}
  - {id: dated, destinations: ["198.51.101.0/24"], until: "2100-01-01T00:00:00Z", owner: a, reason: b}
  - {id: limited, destinations: ["198.51.102.0/24"], permanent: true, max_new_connections_per_minute: 1000000, owner: a, reason: b}
blocks:
  - {id: blocked, destinations: ["198.51.100.66"], reason: b}
"#;

/// Puts the policy of the classes into force in all of ours.
pub(crate) fn install(lab: &Lab, gates: &mut [Gate]) -> Result<()> {
    let file = lab.folder().join("classes.yaml");
    fs::write(&file, POLICY)?;
    let tables = compiled(&file)?;
    contenders::install(gates, &tables)
}

/// A class of packets, its frame, and the most that it may cost over the empty program, where that is promised.
struct Class(&'static str, Vec<u8>, Option<f64>);

/// What arrives from subscribers, and what leaves toward them.
pub(crate) fn run(
    report: &mut Report,
    gates: &mut [Gate],
    filters: &[XdpFilter],
    rounds: usize,
    repeat: u32,
) -> Result<()> {
    let empty = load(PASS)?;
    let mut programs = vec![(EMPTY, empty.as_fd())];
    programs.extend(gates.iter().map(|gate| (gate.name, gate.program.as_fd())));
    let ours = programs.len();
    programs.extend(filters.iter().map(|filter| (filter.name, filter.program.as_fd())));
    for class in classes()? {
        // It knows neither relays nor exceptions.
        let able =
            if class.0.contains("relay") || class.0.contains("exception") || class.0.contains("unmanaged") {
                ours
            } else {
                programs.len()
            };
        measured(report, PART, &class, &programs[..able], rounds, repeat)?;
    }
    let empty = load_classifier()?;
    if let Some(toward) = gates[0].classifier()? {
        // The return program may be on the interface or not; this is what it costs where it is.
        let programs = [(EMPTY, empty.as_fd()), (GATE25, toward.as_fd())];
        for class in toward_classes()? {
            measured(report, TOWARD, &class, &programs, rounds, repeat)?;
        }
    }
    promise_beside_filter(report);
    Ok(())
}

fn measured(
    report: &mut Report,
    part: &'static str,
    Class(name, frame, bound): &Class,
    programs: &[(&'static str, BorrowedFd<'_>)],
    rounds: usize,
    repeat: u32,
) -> Result<()> {
    let values = interleaved(rounds, programs.len(), |number| {
        Ok(measure(programs[number].1, frame, repeat)?.as_secs_f64() * 1e9)
    })?;
    let base = &values[0];
    report.add(part, (name, None), EMPTY, UNIT, Spread::of(base.clone()));
    for ((contender, _), values) in programs.iter().zip(&values).skip(1) {
        let spread = Spread::of(added(values, base));
        report.add(part, (name, None), contender, UNIT, spread);
        if let (Some(bound), true) = (bound, *contender == GATE25) {
            report.at_most(format!("{name}: added"), spread.median, *bound, "ns");
        }
    }
    Ok(())
}

/// What is not SMTP costs a tenth of what it costs there, or less.
fn promise_beside_filter(report: &mut Report) {
    for name in ["TCP/443, IPv4", "UDP, IPv4", "TCP/443, IPv6", "UDP, IPv6"] {
        let median = |contender| report.median(PART, name, None, contender);
        if let (Some(gate), Some(filter)) = (median(GATE25), median(Variant::Default.name())) {
            // Below a nanosecond there is nothing to divide by.
            let ratio = filter / gate.max(1.0);
            report.at_least(format!("{name}: xdp-filter's added cost over ours"), ratio, 10.0, "times");
        }
    }
}

pub(crate) fn smtp(last: u8, remote: &str, flags: u8, payload: usize) -> Result<Vec<u8>> {
    let tcp = Tcp::new(40_000, 25, flags).payload(vec![0; payload]);
    Ok(Link::new().carry(packet([203, 0, 113, last].into(), remote.parse()?, &tcp)))
}

fn classes() -> Result<Vec<Class>> {
    let (from4, to4) = ("203.0.113.7".parse()?, "192.0.2.200".parse()?);
    let (from6, to6) = ("2001:db8:100::7".parse()?, "2001:db8:bad::25".parse()?);
    let web4 = || Ipv4::tcp(from4, to4, &Tcp::new(40_000, 443, ACK));
    let web6 = || Ipv6::tcp(from6, to6, &Tcp::new(40_000, 443, ACK));
    let dns = udp(40_000, 53, b"query");
    let default6 = packet(from6.into(), to6.into(), &Tcp::new(40_000, 25, ACK));
    let unmanaged = packet([203, 0, 114, 7].into(), to4.into(), &Tcp::new(40_000, 25, ACK));
    let qinq = || Link::new().tag(0x88a8, 7).tag(0x8100, 9);
    Ok(vec![
        Class("TCP/443, IPv4", Link::new().carry(web4()), Some(5.0)),
        Class("UDP, IPv4", Link::new().carry(Ipv4::new(from4, to4, protocol::UDP, dns.clone())), Some(5.0)),
        Class("TCP/443, IPv6", Link::new().carry(web6()), Some(5.0)),
        Class("UDP, IPv6", Link::new().carry(Ipv6::new(from6, to6, protocol::UDP, dns)), Some(5.0)),
        Class("ARP", Link::new().carry(arp()), Some(5.0)),
        Class("TCP/443, one tag", Link::new().tag(0x8100, 7).carry(web4()), Some(10.0)),
        Class("TCP/443, QinQ", qinq().carry(web4()), Some(10.0)),
        Class("TCP/443, IPv6, QinQ", qinq().carry(web6()), Some(10.0)),
        Class("TCP/443, PPPoE", Link::new().pppoe(Ppp::Long).carry(web4()), Some(10.0)),
        Class("SMTP, unmanaged", Link::new().carry(unmanaged), None),
        Class("SMTP, relay", smtp(7, "192.0.2.25", ACK, 0)?, None),
        Class("SMTP, exception, permanent", smtp(7, "198.51.100.25", ACK, 0)?, None),
        Class("SMTP, exception with an end", smtp(7, "198.51.101.25", ACK, 0)?, None),
        Class("SMTP, default, drop", smtp(7, "192.0.2.200", ACK, 0)?, Some(40.0)),
        Class("SMTP SYN (retransmitted), default, drop", smtp(7, "192.0.2.200", SYN, 0)?, None),
        Class("SMTP, default, drop, IPv6", Link::new().carry(default6), Some(40.0)),
        Class("SMTP, block rule, drop", smtp(7, "198.51.100.66", ACK, 0)?, None),
    ])
}

/// What leaves toward subscribers.
fn toward_classes() -> Result<Vec<Class>> {
    let (from4, to4) = ("192.0.2.200".parse()?, "203.0.113.7".parse()?);
    let (from6, to6) = ("2001:db8:bad::25".parse()?, "2001:db8:100::7".parse()?);
    let web4 = || Ipv4::tcp(from4, to4, &Tcp::new(443, 40_000, ACK).payload(vec![0; 1_400]));
    let web6 = || Ipv6::tcp(from6, to6, &Tcp::new(443, 40_000, ACK).payload(vec![0; 1_400]));
    let answer = udp(53, 40_000, b"answer");
    let smtp = |last, remote: &str, port| -> Result<Vec<u8>> {
        let tcp = Tcp::new(port, 40_000, ACK);
        Ok(Link::new().carry(packet(remote.parse()?, [203, 0, 113, last].into(), &tcp)))
    };
    let bound = Some(15.0);
    Ok(vec![
        Class("to: TCP/443, IPv4", Link::new().carry(web4()), bound),
        Class(
            "to: UDP, IPv4",
            Link::new().carry(Ipv4::new(from4, to4, protocol::UDP, answer.clone())),
            bound,
        ),
        Class("to: TCP/443, IPv6", Link::new().carry(web6()), bound),
        Class("to: UDP, IPv6", Link::new().carry(Ipv6::new(from6, to6, protocol::UDP, answer)), bound),
        Class("to: ARP", Link::new().carry(arp()), bound),
        Class("to: TCP/443, QinQ", Link::new().tag(0x88a8, 7).tag(0x8100, 9).carry(web4()), bound),
        Class("to: TCP/443, PPPoE", Link::new().pppoe(Ppp::Long).carry(web4()), bound),
        Class("to: TCP from a target's port, no flow", smtp(7, "192.0.2.26", 2525)?, None),
        Class("to: from port 25, zone does not look", smtp(7, "192.0.2.200", 25)?, None),
        Class("to: from port 25, relay", smtp(140, "192.0.2.25", 25)?, None),
        Class("to: from port 25, default, drop", smtp(140, "192.0.2.200", 25)?, None),
    ])
}
