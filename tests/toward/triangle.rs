//! Triangular spam (Qian, Mao, Xie, Yu; IEEE S&P 2010): somebody elsewhere writes a subscriber's address on his SYNs, and
//! the subscriber's line carries the answers, which come from port 25.

use anyhow::{Context as _, Result, ensure};
use gate25_tests::gate::Gate;
use gate25_tests::lab::{Host, INTERFACE, Lab};
use gate25_tests::metrics::sum;
use gate25_tests::packet::{Link, Tcp, packet};
use gate25_tests::smtp::Sink;
use gate25_tests::wire::{Wire, mac};
use gate25_tests::{policy, wait};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

/// Nobody may send to the stranger but bob; `return_path` is given.
fn policy(lab: &Lab, return_path: &str) -> String {
    let (bob, stranger) = (&lab.bob, &lab.stranger);
    format!(
        "version: 1
zones:
  - id: all
    subscribers: [203.0.113.0/24, '2001:db8:100::/40']
    mode: enforce
    action: reset
    return_path: {return_path}
exceptions:
  - id: bob
    subscribers: [{}, '{}']
    destinations: [{}, '{}']
    permanent: true
    owner: lab
    reason: lab
",
        bob.v4, bob.v6, stranger.v4, stranger.v6
    )
}

/// What a host's TCP answered that it knows nothing of.
fn resets(host: &Host) -> Result<u64> {
    host.counter("OutRsts")
}

/// The spammer's SYN in the victim's name. The stranger answers the victim.
fn forge(lab: &Lab, wire: &Wire, victim: IpAddr, server: IpAddr, port: u16) -> Result<()> {
    let mut link = Link::new();
    link.destination = mac(&lab.edge, "eth0")?;
    wire.send(&[link.carry(packet(victim, server, &Tcp::syn(port, 25)))])
}

#[test]
fn answers_to_forged_syns_do_not_arrive() -> Result<()> {
    let lab = Lab::new()?;
    let file = policy::write(lab.folder(), &policy(&lab, "enforce"))?;
    let gate = Gate::start(&lab, &file)?;
    let _sink = Sink::start(&lab.stranger.namespace, "stranger", &[25])?;
    let wire = Wire::open(&lab.university.namespace, "eth0")?;
    for family in 0..2 {
        let server = lab.stranger.addresses()[family];
        let blocked = |samples: &_| {
            // By family, as the server sends an unanswered one again.
            let labels =
                [("direction", "return"), ("enforced", "true"), ("family", ["ipv4", "ipv6"][family])];
            sum(samples, "gate25_packets_total", &labels)
        };
        let before = (blocked(&gate.metrics()?), resets(&lab.alice)?, resets(&lab.bob)?);
        forge(&lab, &wire, lab.alice.addresses()[family], server, 40_000)?;
        gate.wait_metrics("the SYN-ACK to alice is blocked", |now| blocked(now) > before.0)?;
        forge(&lab, &wire, lab.bob.addresses()[family], server, 40_000)?;
        wait::until(LIMIT, || resets(&lab.bob).ok().filter(|now| *now > before.2))
            .context("the exempt subscriber's answer does not arrive")?;
        ensure!(resets(&lab.alice)? == before.1, "alice heard of the forged connection");
    }
    Ok(())
}

#[test]
fn a_zone_that_monitors_counts_and_lets_pass() -> Result<()> {
    let lab = Lab::new()?;
    let file = policy::write(lab.folder(), &policy(&lab, "monitor"))?;
    let gate = Gate::start(&lab, &file)?;
    let _sink = Sink::start(&lab.stranger.namespace, "stranger", &[25])?;
    let wire = Wire::open(&lab.university.namespace, "eth0")?;
    let before = resets(&lab.alice)?;
    forge(&lab, &wire, lab.alice.v4.into(), lab.stranger.v4.into(), 40_000)?;
    wait::until(LIMIT, || resets(&lab.alice).ok().filter(|now| *now > before)).context("it does not pass")?;
    let labels = [("direction", "return"), ("verdict", "block"), ("enforced", "false"), ("zone", "all")];
    gate.wait_metrics("it is counted", |now| sum(now, "gate25_packets_total", &labels) >= 1.0)?;
    Ok(())
}

/// Both ways of a connection that has nothing to do with mail, opened from either side.
#[test]
fn a_web_session_is_untouched() -> Result<()> {
    let lab = Lab::new()?;
    let file = policy::write(lab.folder(), &policy(&lab, "enforce"))?;
    let gate = Gate::start(&lab, &file)?;
    for (server, client) in [(&lab.alice, &lab.stranger), (&lab.stranger, &lab.alice)] {
        for address in server.addresses() {
            let listener = server.namespace.run(|| TcpListener::bind(SocketAddr::new(address, 80)))?;
            let page = std::thread::spawn(move || -> std::io::Result<()> {
                let (mut stream, _) = listener.accept()?;
                let mut request = [0; 4];
                stream.read_exact(&mut request)?;
                stream.write_all(&vec![b'x'; 300_000])
            });
            let read = client.namespace.run(|| -> std::io::Result<usize> {
                let mut stream = TcpStream::connect_timeout(&SocketAddr::new(address, 80), LIMIT)?;
                stream.set_read_timeout(Some(LIMIT))?;
                stream.write_all(b"GET ")?;
                let mut body = Vec::new();
                stream.read_to_end(&mut body)
            })?;
            ensure!(read == 300_000, "{address}: {read} octets");
            page.join().map_err(|_| anyhow::anyhow!("the server panicked"))??;
        }
    }
    let samples = gate.metrics()?;
    ensure!(sum(&samples, "gate25_packets_total", &[("verdict", "block")]) == 0.0, "something was blocked");
    let seen =
        [("direction", "return"), ("reason", "not-smtp"), ("interface", INTERFACE), ("family", "ipv4")];
    ensure!(sum(&samples, "gate25_packets_total", &seen) > 0.0, "the way back was not looked at");
    Ok(())
}
