//! `cargo xtask bench`: what a packet costs over an empty program, both in one run, interleaved; medians of nine.
//! The spread is from the least to the greatest added cost of the nine pairs.

use anyhow::{Context as _, Result};
use gate25::clock;
use gate25::datapath::object::Unmanaged;
use gate25::datapath::testrun::Runner;
use gate25::policy::{self, compile::compile};
use gate25_common::verdict::Direction;
use gate25_tests::lab::Lab;
use gate25_tests::packet::{ACK, Ipv4, Ipv6, Link, Ppp, SYN, Tcp, arp, packet, protocol, udp};
use gate25_tests::testrun::{measure, measure_each, measure_live};
use gate25_tests::xdp_pass::{DROP, PASS, TX, attach_code, load, load_classifier};
use std::fs;
use std::os::fd::{AsFd, BorrowedFd};

const ROUNDS: usize = 9;
const REPEAT: u32 = 1_000_000;
/// SYNs in a row, none like another.
const SYNS: u32 = 4_000;
/// Live frames at a time, all of them new pages.
const FRAMES: u32 = 64;
const LIVE_ROUNDS: usize = 99;

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

/// A class of packets, its frame, and the most that it may cost over the empty program, where that is promised.
struct Class(&'static str, Vec<u8>, Option<i64>);

fn main() -> Result<()> {
    let lab = Lab::new()?;
    let file = lab.folder().join("bench.yaml");
    fs::write(&file, POLICY)?;
    let policy = policy::load(&file).map_err(|refused| anyhow::anyhow!("{:?}", refused.problems))?.policy;
    let tables = compile(&policy, clock::now(), true, |zone| zone as u32 + 1)?;
    let mut runner = Runner::unobserved(&[Direction::Egress, Direction::Return], Unmanaged::Pass)?;
    runner.install(&tables)?;
    let gate = runner.xdp()?;
    let empty = load(PASS)?;

    println!("{}\n", fs::read_to_string("/proc/version")?.trim());
    table("arriving from subscribers, XDP", &classes()?, empty.as_fd(), gate.as_fd())?;
    new_connections(empty.as_fd(), gate.as_fd())?;
    // The return program may be on the interface or not; this is what it costs where it is.
    let (empty, toward) = (load_classifier()?, runner.classifier()?);
    table("leaving toward subscribers, TC", &toward_classes()?, empty.as_fd(), toward.as_fd())?;
    let (dropper, transmitter) = (load(DROP)?, load(TX)?);
    // What is sent back ends right behind the interface: what a switch does with it is no part of the cost.
    lab.edge.ip("link add live type veth peer name end\nlink set live up\nlink set end up\n")?;
    let _end = lab.edge.run(|| attach_code("end", DROP))?;
    lab.edge.run(|| live(gate.as_fd(), dropper.as_fd(), transmitter.as_fd()))
}

fn table(title: &str, classes: &[Class], empty: BorrowedFd<'_>, gate: BorrowedFd<'_>) -> Result<()> {
    println!("{title}");
    println!(
        "{:<36} {:>7} {:>7} {:>7} {:>10} {:>6}",
        "ns a packet", "empty", "gate25", "added", "spread", "bound"
    );
    for Class(name, frame, bound) in classes {
        row(name, *bound, ROUNDS, || measure(empty, frame, REPEAT), || measure(gate, frame, REPEAT))?;
    }
    println!();
    Ok(())
}

/// Who sends the SYN of that number.
type Sender = fn(u32) -> [u8; 4];

/// How SYNs are run, who sends them, and to whom.
type Side<'a> = (&'a dyn Fn(Vec<Vec<u8>>) -> Result<std::time::Duration>, Sender, &'a str);

/// What is done for a SYN that is new. A test-run repeats one frame, so each SYN is a run of its own, and the first column
/// is what the same run costs without what is asked for.
fn new_connections(empty: BorrowedFd<'_>, gate: BorrowedFd<'_>) -> Result<()> {
    println!("new connections, {SYNS} different SYNs, one run each (beside what the first column says)");
    println!(
        "{:<36} {:>7} {:>7} {:>7} {:>10} {:>6}",
        "ns a SYN", "beside", "gate25", "added", "spread", "bound"
    );
    let mut sequence = 0;
    let mut syns = |from: Sender, remote: &str| -> Result<Vec<Vec<u8>>> {
        let frame = |number| {
            sequence += 1;
            let tcp = Tcp { sequence, ..Tcp::syn(40_000, 25) };
            Ok(Link::new().carry(packet(from(number).into(), remote.parse()?, &tcp)))
        };
        (0..SYNS).map(frame).collect()
    };
    let one: Sender = |_| [203, 0, 113, 7];
    let anyone: Sender = |number| [10, 1, (number >> 8) as u8, number as u8];
    // Each twice: the second is a retransmission.
    let again = |frames: Vec<Vec<u8>>| -> Result<_> {
        measure_each(gate, &frames)?;
        measure_each(gate, &frames)
    };
    let new = |frames: Vec<Vec<u8>>| measure_each(gate, &frames);
    let (default, allowed, limited) = ("192.0.2.200", "198.51.100.25", "198.51.102.25");
    let rows: [(&str, Side<'_>, Side<'_>, Option<i64>); 5] = [
        (
            "retransmitted, over empty",
            (&|frames| measure_each(empty, &frames), one, default),
            (&again, one, default),
            None,
        ),
        ("blocked, over retransmitted", (&again, one, default), (&new, one, default), Some(150)),
        ("blocked, each of someone new, the same", (&again, anyone, default), (&new, anyone, default), None),
        ("allowed, over retransmitted", (&again, one, allowed), (&new, one, allowed), None),
        ("allowed by a limit, over without one", (&new, one, allowed), (&new, one, limited), Some(150)),
    ];
    for (name, beside, gate, bound) in rows {
        let mut frames =
            |(_, from, to): &Side<'_>| -> Result<Vec<_>> { (0..ROUNDS).map(|_| syns(*from, to)).collect() };
        let (mut before, mut now) = (frames(&beside)?, frames(&gate)?);
        row(
            name,
            bound,
            ROUNDS,
            || (beside.0)(before.pop().context("frames")?),
            || (gate.0)(now.pop().context("frames")?),
        )?;
    }
    println!();
    Ok(())
}

/// Answers change the frame, so each run needs a new one; what sending it costs is the other program's figure.
fn live(gate: BorrowedFd<'_>, dropper: BorrowedFd<'_>, transmitter: BorrowedFd<'_>) -> Result<()> {
    let interface = nix::net::if_::if_nametoindex("live").context("live")?;
    println!("live frames, in batches of {FRAMES} (beside a program that only drops, or only sends back)");
    let syn = |last| smtp(last, "192.0.2.200", SYN, 0);
    let live = |program, frame: &[u8]| measure_live(program, frame, interface, FRAMES);
    let (silent, reset, data) = (syn(7)?, syn(140)?, smtp(140, "192.0.2.200", ACK, 1_440)?);
    row("SMTP SYN, default, drop", None, LIVE_ROUNDS, || live(dropper, &silent), || live(gate, &silent))?;
    row("SMTP SYN, default, reset", None, LIVE_ROUNDS, || live(transmitter, &reset), || live(gate, &reset))?;
    row(
        "SMTP data, 1,440 octets, reset",
        None,
        LIVE_ROUNDS,
        || live(transmitter, &data),
        || live(gate, &data),
    )?;
    let icmp = syn(230)?;
    row("SMTP SYN, default, icmp", None, LIVE_ROUNDS, || live(transmitter, &icmp), || live(gate, &icmp))
}

fn row(
    name: &str,
    bound: Option<i64>,
    rounds: usize,
    mut empty: impl FnMut() -> Result<std::time::Duration>,
    mut gate: impl FnMut() -> Result<std::time::Duration>,
) -> Result<()> {
    let (mut without, mut with, mut added) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let pair = (empty()?.as_nanos() as i64, gate()?.as_nanos() as i64);
        without.push(pair.0);
        with.push(pair.1);
        added.push(pair.1 - pair.0);
    }
    for list in [&mut without, &mut with, &mut added] {
        list.sort_unstable();
    }
    let middle = rounds / 2;
    let spread = format!("{}..{}", added[rounds / 10], added[rounds - 1 - rounds / 10]);
    let judged = match bound {
        Some(bound) if added[middle] <= bound => format!("<= {bound}"),
        Some(bound) => format!("OVER {bound}"),
        None => String::new(),
    };
    println!(
        "{name:<36} {:>7} {:>7} {:>+7} {spread:>10} {judged:>6}",
        without[middle], with[middle], added[middle]
    );
    Ok(())
}

fn smtp(last: u8, remote: &str, flags: u8, payload: usize) -> Result<Vec<u8>> {
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
    Ok(vec![
        Class("TCP/443, IPv4", Link::new().carry(web4()), Some(8)),
        Class("UDP, IPv4", Link::new().carry(Ipv4::new(from4, to4, protocol::UDP, dns.clone())), Some(8)),
        Class("TCP/443, IPv6", Link::new().carry(web6()), Some(8)),
        Class("UDP, IPv6", Link::new().carry(Ipv6::new(from6, to6, protocol::UDP, dns)), Some(8)),
        Class("ARP", Link::new().carry(arp()), None),
        Class("TCP/443, one tag", Link::new().tag(0x8100, 7).carry(web4()), None),
        Class("TCP/443, QinQ", Link::new().tag(0x88a8, 7).tag(0x8100, 9).carry(web4()), Some(12)),
        Class("TCP/443, IPv6, QinQ", Link::new().tag(0x88a8, 7).tag(0x8100, 9).carry(web6()), Some(12)),
        Class("TCP/443, PPPoE", Link::new().pppoe(Ppp::Long).carry(web4()), None),
        Class(
            "SMTP, unmanaged",
            Link::new().carry(packet([203, 0, 114, 7].into(), to4.into(), &Tcp::new(40_000, 25, ACK))),
            None,
        ),
        Class("SMTP, relay", smtp(7, "192.0.2.25", ACK, 0)?, None),
        Class("SMTP, exception, permanent", smtp(7, "198.51.100.25", ACK, 0)?, None),
        Class("SMTP, exception with an end", smtp(7, "198.51.101.25", ACK, 0)?, None),
        Class("SMTP, default, drop", smtp(7, "192.0.2.200", ACK, 0)?, None),
        Class("SMTP SYN, default, drop", smtp(7, "192.0.2.200", SYN, 0)?, None),
        Class("SMTP, default, drop, IPv6", Link::new().carry(default6), None),
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
    Ok(vec![
        Class("TCP/443, IPv4", Link::new().carry(web4()), Some(15)),
        Class("UDP, IPv4", Link::new().carry(Ipv4::new(from4, to4, protocol::UDP, answer.clone())), Some(15)),
        Class("TCP/443, IPv6", Link::new().carry(web6()), Some(15)),
        Class("UDP, IPv6", Link::new().carry(Ipv6::new(from6, to6, protocol::UDP, answer)), Some(15)),
        Class("ARP", Link::new().carry(arp()), Some(15)),
        Class("TCP/443, QinQ", Link::new().tag(0x88a8, 7).tag(0x8100, 9).carry(web4()), Some(15)),
        Class("TCP/443, PPPoE", Link::new().pppoe(Ppp::Long).carry(web4()), Some(15)),
        Class("TCP from a target's port, no flow", smtp(7, "192.0.2.26", 2525)?, None),
        Class("from port 25, zone does not look", smtp(7, "192.0.2.200", 25)?, None),
        Class("from port 25, relay", smtp(140, "192.0.2.25", 25)?, None),
        Class("from port 25, default, drop", smtp(140, "192.0.2.200", 25)?, None),
    ])
}
