//! A hundred thousand subscribers that try at once, and then two hundred thousand forged ones: what it costs to look at
//! them, and who stays. (A target of its own, so that no other test runs beside it.)

#![expect(clippy::float_cmp, reason = "samples of counters are whole numbers, and exact")]

use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    command,
    gate::{Gate, configuration},
    lab::{INTERFACE, Lab},
    metrics::{Samples, sum},
    packet::{Link, Tcp, packet},
    policy,
    wire::{Wire, mac},
};
use serde_json::Value;
use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr},
    thread::sleep,
    time::{Duration, Instant},
};

const POLICY: &str = "version: 1
zones:
  - {id: crowd, subscribers: [10.0.0.0/8], mode: enforce, action: drop}
";
const CROWD: u32 = 100_000;
const REAL: u8 = 200;
const FORGED: u32 = 200_000;
const STRANGERS: u32 = 20_000;
/// At a time, and how often: less than the lab's queues lose.
const BATCH: usize = 64;
const PAUSE: Duration = Duration::from_micros(1200);
const LIMIT: Duration = Duration::from_secs(20);

struct Site {
    lab: Lab,
    wire: Wire,
    edge: [u8; 6],
}

impl Site {
    /// A new connection each.
    fn send(&self, connections: impl Iterator<Item = (Ipv4Addr, u8)>) -> Result<()> {
        let mut link = Link::new();
        link.destination = self.edge;
        let frame = |(from, remote): (Ipv4Addr, u8)| {
            let to: IpAddr = [192, 0, 2, remote].into();
            link.clone().carry(packet(from.into(), to, &Tcp::syn(20_000, 25)))
        };
        let frames: Vec<Vec<u8>> = connections.map(frame).collect();
        let start = Instant::now();
        frames.chunks(BATCH).zip(0..).try_for_each(|(batch, number)| {
            sleep((start + PAUSE * number).saturating_duration_since(Instant::now()));
            self.wire.send(batch)
        })
    }

    /// The answer, and the time it took.
    fn ask(&self, arguments: &[&str]) -> Result<(Vec<Value>, Duration)> {
        let mut command = command::gate25(arguments.iter().copied());
        command.arg("--control").arg(self.lab.folder().join("control.sock"));
        let ended = command::finish(&self.lab.edge, command, LIMIT)?;
        ensure!(ended.code == Some(0), "{ended:?}");
        let lines = ended.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        Ok((lines, ended.took))
    }

    fn top(&self, arguments: &[&str]) -> Result<(Value, Duration)> {
        let arguments: Vec<&str> = ["top", "--once", "--json"].iter().chain(arguments).copied().collect();
        let (mut lines, took) = self.ask(&arguments)?;
        Ok((lines.pop().context("no line")?, took))
    }
}

/// A line of `/proc/PID/status`, in kilobytes.
fn memory(process: u32, name: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such line")?;
    Ok(line.trim_start_matches(':').trim().trim_end_matches(" kB").parse()?)
}

/// Processor time that a process has used, in hundredths of a second.
fn used(process: u32) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    Ok(fields[11].parse::<u64>()? + fields[12].parse::<u64>()?)
}

fn crowd(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(Ipv4Addr::new(10, 0, 0, 0)) + number)
}

fn real(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 200, 0, number)
}

#[test]
fn a_crowd_is_looked_at_quickly_and_forgers_push_nobody_out() -> Result<()> {
    let lab = Lab::new()?;
    let file = policy::write(lab.folder(), POLICY)?;
    lab.with_flow_control()?;
    let (wire, edge) = (Wire::open(lab.access(), "edge")?, mac(&lab.edge, INTERFACE)?);
    let log = format!("events: {{file: {}/events.jsonl}}\n", lab.folder().display());
    let node = log + &configuration(&lab, &file) + "    unmanaged: block\n";
    let site = Site { lab, wire, edge };
    let gate = Gate::start_with(&site.lab, &node)?;
    let blocked = |now: &_, zone| sum(now, "gate25_attempts_total", &[("zone", zone), ("verdict", "block")]);
    let told = |now: &_| sum(now, "gate25_events_total", &[("kind", "blocked")]);
    let lost = |now: &_| sum(now, "gate25_events_lost_total", &[]);
    let idle = used(gate.id())?;
    let begin = Instant::now();
    sleep(Duration::from_secs(3));
    let empty = (used(gate.id())? - idle) as f64 / begin.elapsed().as_secs_f64();

    // Real ones: they try three times, ten of them more.
    site.send((1..=REAL).flat_map(|number| [1, 2, 3].map(|remote| (real(number), remote))))?;
    site.send((1..=10).flat_map(|number| (10..40).map(move |remote| (real(number), remote))))?;
    let first = gate.wait_metrics("real ones are there", |now| {
        blocked(now, "crowd") == 3.0 * f64::from(REAL) + 300.0 && sum(now, "gate25_suspects", &[]) == 10.0
    })?;

    site.send((0..CROWD).map(|number| (crowd(number), 200)))?;
    // Each has one attempt, and so one event. What the gauge has, some seconds old, is all there is to come.
    let more = |now: &Samples, of: &dyn Fn(&Samples) -> f64| of(now) - of(&first);
    let attempts = |now: &Samples| more(now, &|now| blocked(now, "crowd"));
    let kept = |now: &Samples| sum(now, "gate25_table_entries", &[("table", "suspects")]) - f64::from(REAL);
    let now = gate.wait_metrics("all are told", |now| {
        attempts(now) >= f64::from(CROWD) * 0.99
            && more(now, &|now| told(now) + lost(now)) == attempts(now)
            && kept(now) == attempts(now)
    })?;
    let (attempts, lost_events) = (attempts(&now), lost(&now));
    let (top, took) = site.top(&[])?;
    ensure!(
        top["subscribers"] == attempts + f64::from(REAL) && top["attempts"] == blocked(&now, "crowd"),
        "{top}"
    );
    ensure!(top["rows"].as_array().is_some_and(|rows| rows.len() == 20), "{top}");
    let (_, large) = site.top(&["--limit", "10000", "--sort", "remotes"])?;
    let scrape = (0..10)
        .map(|_| {
            let start = Instant::now();
            gate.scrape().map(|_| start.elapsed())
        })
        .collect::<Result<Vec<_>>>()?;
    let scrape = scrape.into_iter().min().context("no scrape")?;
    let before = used(gate.id())?;
    let begin = Instant::now();
    sleep(Duration::from_secs(10));
    let full = (used(gate.id())? - before) as f64 / begin.elapsed().as_secs_f64();
    println!(
        "{attempts} subscribers: top --once in {took:?}, 10,000 rows in {large:?}, a scrape in {scrape:?}; {lost_events} \
         events lost; controller {} kB, at most {} kB; {empty:.2} % of a core idle, {full:.2} % with the crowd",
        memory(gate.id(), "VmRSS")?,
        memory(gate.id(), "VmHWM")?,
    );
    ensure!(took < Duration::from_secs(1) && large < Duration::from_secs(1), "{took:?} {large:?}");
    ensure!(scrape < Duration::from_millis(50), "{scrape:?}");
    ensure!(memory(gate.id(), "VmHWM")? < 150_000);

    // Forged ones, each from an address of its own.
    site.send((CROWD..CROWD + FORGED).map(|number| (crowd(number), 200)))?;
    gate.wait_metrics("forged ones are counted", |now| {
        blocked(now, "crowd") > blocked(&first, "crowd") + attempts + f64::from(FORGED) * 0.99
    })?;
    let crowded = site.top(&[])?.0["subscribers"].clone();
    gate25_tests::wait::until(LIMIT, || {
        site.top(&[]).ok()?.0["subscribers"].as_u64().filter(|subscribers| *subscribers <= 114_688)
    })
    .with_context(|| format!("no room is made, with {crowded}"))?;
    let (top, took) = site.top(&["--limit", "201"])?;
    let rows = top["rows"].as_array().context("no rows")?;
    let found: HashSet<&str> =
        rows.iter().take(REAL.into()).filter_map(|row| row["subscriber"].as_str()).collect();
    let gone: Vec<_> = (1..=REAL).map(real).filter(|real| !found.contains(&*real.to_string())).collect();
    ensure!(gone.is_empty(), "were pushed out: {gone:?}");
    ensure!(top["suspects"] == 10 && rows.iter().filter(|row| row["suspect"] == true).count() == 10, "{top}");
    ensure!(took < Duration::from_secs(1), "{took:?}");
    println!("after {FORGED} forged ones: {} subscribers kept, top in {took:?}", top["subscribers"]);
    site.send([(Ipv4Addr::new(10, 201, 0, 1), 1)].into_iter())?;
    let newest = || site.top(&["--sort", "last", "--limit", "1"]);
    gate25_tests::wait::until(LIMIT, || {
        (newest().ok()?.0["rows"][0]["subscriber"] == "10.201.0.1").then_some(())
    })
    .context("there is no room for a new one")?;

    // Sources of no zone are blocked here, and not kept.
    let entries = site.top(&[])?.0["subscribers"].clone();
    site.send((0..STRANGERS).map(|number| (Ipv4Addr::from_bits(0xc612_0000 + number), 200)))?;
    gate.wait_metrics("strangers are counted", |now| blocked(now, "") >= f64::from(STRANGERS) * 0.99)?;
    let after = site.top(&[])?.0["subscribers"].clone();
    ensure!(after == entries, "{entries} before, {after} after");

    loud(&site)?;
    ensure!(gate.health()?.0 == 200);
    Ok(())
}

/// One who tries a thousand times is told of now and then.
fn loud(site: &Site) -> Result<()> {
    let loud = Ipv4Addr::new(10, 202, 0, 1);
    site.send((0..1000_u16).map(|number| (loud, number as u8)))?;
    let loudly = || -> Result<(u64, u64)> {
        let (newest, _) = site.ask(&["events", "--json", "--kind", "blocked", "--zone", "crowd"])?;
        let loud = loud.to_string();
        let attempts: Vec<u64> = newest
            .iter()
            .filter(|event| event["subscriber"] == *loud)
            .filter_map(|event| event["attempts"].as_u64())
            .collect();
        Ok((attempts.len() as u64, attempts.iter().sum()))
    };
    let heard = gate25_tests::wait::until(LIMIT, || loudly().ok().filter(|(events, _)| *events >= 20));
    let (events, attempts) = heard.context("nobody was told")?;
    ensure!(events <= 30 && attempts <= 1000, "{events} events of {attempts} attempts");
    Ok(())
}
