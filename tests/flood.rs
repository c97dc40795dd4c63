//! A million SYNs of as many forged connections, to a zone that gives notices: who talked before goes on talking.
//! (A target of its own, so that no other test runs beside it.)

#![expect(clippy::float_cmp, reason = "samples of counters are whole numbers, and exact")]

use anyhow::{Context as _, Result, ensure};
use gate25_tests::gate::{Gate, configuration};
use gate25_tests::lab::{INTERFACE, Lab};
use gate25_tests::metrics::sum;
use gate25_tests::packet::{Link, Tcp, packet};
use gate25_tests::process::Process;
use gate25_tests::wire::{Wire, mac};
use gate25_tests::{gate25, policy};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(5);
const SYNS: usize = 1_000_000;
/// At a time, and how often: some 53,000 a second, as much as one line brings, and less than the lab's queues lose.
const BATCH: usize = 64;
const PAUSE: Duration = Duration::from_micros(1200);
const SESSIONS: usize = 200;
/// Forged sources, none of which is there.
const SOURCES: std::ops::Range<u8> = 64..127;
/// Where the edge believes them to be.
const NOBODY: &str = "02:00:00:00:00:99";

fn policy(lab: &Lab) -> String {
    format!(
        "version: 1
zones:
  - id: west
    subscribers: [203.0.113.0/25]
    mode: enforce
    action: notice
    notice: {{address: '{}:2525'}}
",
        lab.relay.v4
    )
}

/// The real responder, on the relay's host. Its controller is out of reach there, as on a machine of its own.
fn responder(lab: &Lab, file: &std::path::Path) -> Result<Process> {
    let mut command = Command::new(gate25());
    command.arg("notice").arg("--policy").arg(file);
    command.args(["--hostname", "notice.example.net", "--connections-per-address", "1000"]);
    command.arg("--control").arg(lab.folder().join("nobody.sock"));
    lab.relay.namespace.spawn(command)
}

/// A connection to the stranger that has heard the whole greeting.
fn session(lab: &Lab) -> Result<BufReader<TcpStream>> {
    let stranger = SocketAddr::new(lab.stranger.v4.into(), 25);
    let stream = lab.alice.namespace.run(|| TcpStream::connect_timeout(&stranger, LIMIT))?;
    stream.set_read_timeout(Some(LIMIT))?;
    let mut input = BufReader::new(stream);
    loop {
        let mut line = String::new();
        ensure!(input.read_line(&mut line)? > 0 && line.starts_with("554"), "{line:?} instead of a greeting");
        if line.starts_with("554 ") {
            return Ok(input);
        }
    }
}

/// Whether the other end is still the responder.
fn is_alive(session: &mut BufReader<TcpStream>) -> bool {
    let mut answer = String::new();
    let asked = session.get_mut().write_all(b"QUIT\r\n").and_then(|()| session.read_line(&mut answer));
    asked.is_ok() && answer.starts_with("221")
}

/// SYNs that differ in source, port and destination. What one field gains another loses, so that the checksums hold.
fn flood(lab: &Lab, edge: [u8; 6]) -> Vec<Vec<u8>> {
    let mut templates = Vec::new();
    for last in SOURCES {
        let mut link = Link::new();
        link.destination = edge;
        let mut syn = Tcp::syn(0, 25);
        syn.sequence = 0xffff;
        syn.acknowledgement = 0xffff;
        let mut to = lab.stranger.v4.octets();
        (to[2], to[3]) = (0, 0);
        let frame = link.carry(packet([203, 0, 113, last].into(), std::net::Ipv4Addr::from(to).into(), &syn));
        templates.push(frame);
    }
    (0..SYNS)
        .map(|number| {
            let mut frame = templates[number % templates.len()].clone();
            // Multiplying by an odd number visits every port once before any comes again.
            let port = (number as u16).wrapping_mul(0x9e37);
            let remote = ((number >> 16) as u16).wrapping_add(0x4000);
            let id = u16::from_be_bytes([frame[18], frame[19]]);
            frame[18..20].copy_from_slice(&less(id, remote).to_be_bytes());
            frame[32..34].copy_from_slice(&remote.to_be_bytes());
            frame[34..36].copy_from_slice(&port.to_be_bytes());
            frame[40..42].copy_from_slice(&less(0xffff, port).to_be_bytes());
            frame[44..46].copy_from_slice(&less(0xffff, remote).to_be_bytes());
            frame
        })
        .collect()
}

/// Ones' complement subtraction.
fn less(from: u16, what: u16) -> u16 {
    let sum = u32::from(from) + u32::from(!what);
    (sum as u16).wrapping_add((sum >> 16) as u16)
}

/// Datagrams of bob to a stranger's echo, one after the other, until told to stop: sent, and lost.
fn datagrams(lab: &Lab, stop: &AtomicBool) -> Result<(u32, u32)> {
    let echo = SocketAddr::new(lab.stranger.v4.into(), 7);
    let socket = lab.bob.namespace.run(|| UdpSocket::bind((lab.bob.v4, 0)))?;
    socket.connect(echo)?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    let (mut sent, mut lost) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        socket.send(b"ping")?;
        sent += 1;
        lost += u32::from(socket.recv(&mut [0; 8]).is_err());
    }
    Ok((sent, lost))
}

/// Resident memory of a process, in kilobytes.
fn resident(process: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

#[test]
fn a_flood_costs_nobody_a_connection() -> Result<()> {
    let lab = Lab::new()?;
    let file = policy::write(lab.folder(), &policy(&lab))?;
    let neighbours: Vec<String> =
        SOURCES.map(|last| format!("neigh add 203.0.113.{last} lladdr {NOBODY} dev {INTERFACE}\n")).collect();
    lab.edge.ip(&neighbours.concat())?;
    lab.with_flow_control()?;
    let _responder = responder(&lab, &file)?;
    let gate = Gate::start_with(&lab, &configuration(&lab, &file))?;
    gate.wait_metrics("the responder answers", |now| sum(now, "gate25_redirect_up", &[]) == 1.0)?;
    let mut sessions = (0..SESSIONS).map(|_| session(&lab)).collect::<Result<Vec<_>>>()?;
    let events = |now: &_, event| sum(now, "gate25_flow_events_total", &[("event", event)]);
    gate.wait_metrics("all are established", |now| events(now, "established") == SESSIONS as f64)?;

    let echo = lab.stranger.namespace.run(|| UdpSocket::bind((lab.stranger.v4, 7)))?;
    let wire = Wire::open(lab.access(), "edge")?;
    let frames = flood(&lab, mac(&lab.edge, INTERFACE)?);
    let (before, stop) = (resident(gate.id())?, AtomicBool::new(false));
    let (took, (sent, lost)) = std::thread::scope(|scope| -> Result<_> {
        let answering = scope.spawn(|| {
            let mut buffer = [0; 8];
            while let Ok((length, from)) = echo.recv_from(&mut buffer) {
                if length == 0 || echo.send_to(&buffer[..length], from).is_err() {
                    break;
                }
            }
        });
        let talking = scope.spawn(|| datagrams(&lab, &stop));
        let start = Instant::now();
        let flooded = frames.chunks(BATCH).zip(0..).try_for_each(|(batch, number)| {
            std::thread::sleep((start + PAUSE * number).saturating_duration_since(Instant::now()));
            wire.send(batch)
        });
        let took = start.elapsed();
        stop.store(true, Ordering::Relaxed);
        let talked = talking.join().map_err(|_| anyhow::anyhow!("the talker panicked"))?;
        // An empty datagram ends the echo.
        lab.stranger
            .namespace
            .run(|| UdpSocket::bind((lab.stranger.v4, 0)))?
            .send_to(&[], (lab.stranger.v4, 7))?;
        answering.join().map_err(|_| anyhow::anyhow!("the echo panicked"))?;
        flooded?;
        Ok((took, talked?))
    })?;
    let after = gate.metrics()?;
    let opened = events(&after, "opened");
    ensure!(opened > SYNS as f64 * 0.99, "only {opened} SYNs were redirected");
    let alive = sessions.iter_mut().map(is_alive).filter(|alive| *alive).count();
    println!(
        "{SYNS} SYNs in {:.1} s, {opened} redirected; {alive} of {SESSIONS} sessions alive; {lost} of {sent} datagrams \
         lost; the controller grew by {} kB",
        took.as_secs_f64(),
        resident(gate.id())?.saturating_sub(before)
    );
    ensure!(alive >= SESSIONS * 9 / 10, "{alive} of {SESSIONS} sessions survived");
    // What the gate dropped it would have counted. On a busy machine the lab's queues drop some, before and behind it
    // (`/proc/net/softnet_stat`).
    let refused = sum(&after, "gate25_actions_total", &[("action", "drop")])
        + sum(&after, "gate25_actions_total", &[("action", "reset")]);
    ensure!(refused == 0.0, "{refused} packets were refused");
    ensure!(lost * 1000 <= sent && sent > 100, "{lost} of {sent} datagrams were lost");
    ensure!(resident(gate.id())? < before + 50_000, "the controller grows with the flood");
    ensure!(gate.health()?.0 == 200);
    ensure!(is_alive(&mut session(&lab).context("after the flood")?));
    Ok(())
}
