//! A million prefixes, by the real command: loaded, changed under full load without a packet that is judged by a mixture, and
//! let go of.

mod kernel_log;
mod places;
mod policies;

use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    command,
    gate::{self, Gate},
    lab::{Host, INTERFACE, Lab},
    memory,
    metrics::sum,
    packet::{ACK, Link, Tcp, packet},
    policy::{self, WEST},
    smtp::{self, Outcome, Sink},
    testrun, wait, xdp,
};
use kernel_log::KernelLog;
use nix::sys::signal::SigSet;
use policies::MILLION;
use std::{
    fs,
    net::IpAddr,
    os::fd::AsFd,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

const LIMIT: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_mins(1);
/// Of processors: clocks are printed, and the benchmark's business, for others may be busy here. Far above what was measured.
const START: Duration = Duration::from_secs(10);
const RELOAD: Duration = Duration::from_secs(3);
const MEMORY: u64 = 500_000_000;
/// What maps of the same policy may differ by: what is in them.
const SLACK: u64 = 65_536;

/// Starts, and says how long that took.
fn start<'lab>(lab: &'lab Lab, text: &str) -> Result<Gate<'lab>> {
    let file = policy::write(lab.folder(), text)?;
    let mut command = Command::new(gate25_tests::gate25());
    command.arg("run").arg("--config").arg(gate::write(lab, &gate::configuration(lab, &file))?);
    let start = Instant::now();
    let gate = Gate::run(lab, command, PATIENCE)?;
    let (took, worked) = (start.elapsed(), worked(&gate)?);
    println!("in force after {:.2} s, of which it worked {:.2}", took.as_secs_f64(), worked.as_secs_f64());
    ensure!(worked < START, "{worked:?}");
    Ok(gate)
}

/// How long processors have worked for it.
fn worked(gate: &Gate<'_>) -> Result<Duration> {
    // `proc_pid_stat(5)`: the second field, in brackets, may have spaces; times are in hundredths of a second (`USER_HZ`).
    let text = fs::read_to_string(format!("/proc/{}/stat", gate.id()))?;
    let (_, behind) = text.rsplit_once(')').context("no name")?;
    let ticks = behind.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    Ok(Duration::from_millis(ticks.sum::<Result<u64, _>>()? * 10))
}

/// `gate25 reload`, which waits until the policy is in force: how long that took.
fn reload(lab: &Lab, gate: &Gate<'_>) -> Result<Duration> {
    let before = worked(gate)?;
    let mut command = Command::new(gate25_tests::gate25());
    command.arg("reload").arg("--config").arg(gate.config());
    let ended = command::finish(&lab.edge, command, PATIENCE)?;
    ensure!(ended.code == Some(0), "gate25 reload: {}\n{}", ended.stderr, gate.log());
    let worked = worked(gate)?.saturating_sub(before);
    ensure!(worked < RELOAD, "{worked:?}");
    Ok(ended.took)
}

/// How many times each of these frames was run, in turns, until told to stop.
fn run(program: &impl AsFd, frames: &[Vec<u8>], stop: &AtomicBool) -> Result<u32> {
    const BATCH: u32 = 10_000;
    // A signal to the process, as of a child that ends, is another thread's: it would end a batch somewhere.
    SigSet::all().thread_block()?;
    let mut runs = 0;
    while !stop.load(Ordering::Relaxed) {
        for frame in frames {
            testrun::measure(program.as_fd(), frame, BATCH)?;
        }
        runs += BATCH;
    }
    Ok(runs)
}

#[test]
fn no_packet_is_judged_by_a_mixture() -> Result<()> {
    const RELOADS: u32 = 10;
    let lab = Lab::new()?;
    policies::write_lists(lab.folder(), MILLION)?;
    let gate = start(&lab, &policies::text(false))?;
    let peak = memory::peak(gate.id())?;
    println!("{:.0} MB at most", peak as f64 / 1e6);
    ensure!(peak < MEMORY, "{peak} octets");
    let destinations = policies::destinations(MILLION)?;
    let frame = |from: IpAddr, to| Link::new().carry(packet(from, to, &Tcp::new(40_000, 25, ACK)));
    let toward = |host: &Host| [0, 1].map(|family| frame(host.addresses()[family], destinations[family]));
    let frames = [toward(&lab.alice), toward(&lab.bob)].concat();
    let attached = xdp::on(&lab.edge, INTERFACE)?.context("nothing is attached")?;
    let program = xdp::program(attached.program)?;

    let before = gate.metrics()?;
    let kernel = KernelLog::from_now()?;
    let stop = AtomicBool::new(false);
    let (runs, slowest) = thread::scope(|scope| {
        let load = scope.spawn(|| run(&program, &frames, &stop));
        let reloads = (1..=RELOADS).map(|number| {
            policy::write(lab.folder(), &policies::text(number % 2 == 1))?;
            reload(&lab, &gate)
        });
        let reloads: Result<Vec<_>> = reloads.collect();
        stop.store(true, Ordering::Relaxed);
        let runs = load.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok::<_, anyhow::Error>((runs?, reloads?.into_iter().max().unwrap_or_default()))
    })?;
    let after = gate.metrics()?;
    println!("{RELOADS} reloads, the slowest in {:.2} s; {runs} runs of each packet", slowest.as_secs_f64());

    let moved = |metric, labels: &[(&str, &str)]| sum(&after, metric, labels) - sum(&before, metric, labels);
    let smtp = |labels: &[_]| {
        moved("gate25_packets_total", labels)
            - moved("gate25_packets_total", &[labels, &[("reason", "not-smtp")]].concat())
    };
    let by = |rule| moved("gate25_rule_packets_total", &[("rule", rule)]);
    exactly(smtp(&[]), 4 * runs);
    exactly(smtp(&[("zone", "west"), ("reason", "exception"), ("verdict", "pass")]), 2 * runs);
    exactly(smtp(&[("zone", "east"), ("reason", "default"), ("enforced", "true")]), 2 * runs);
    exactly(by("here") + by("there"), 2 * runs);
    ensure!(by("here") > 0.0 && by("there") > 0.0, "{} and {}", by("here"), by("there"));
    exactly(moved("gate25_policy_generation", &[]), RELOADS);
    let complaints = kernel.complaints()?;
    ensure!(complaints.is_empty(), "the kernel: {}", complaints.concat());
    ensure!(gate.stop()?.success());
    Ok(())
}

/// A list of so many prefixes, of which the last ten are of that server and of nine hosts that are on no other server's list.
fn list(count: u32, last: &Host) -> String {
    let others =
        (MILLION + u32::from(last.v4.octets()[3]) * 9..).take(9).map(|number| policies::prefix(number, 0));
    let all = (0..).flat_map(|number| policies::KINDS.map(|kind| policies::prefix(number, kind)));
    let lines = all.take(count as usize - 10).chain(others).chain([last.v4.to_string()]);
    lines.map(|line| line + "\n").collect()
}

/// The last ten prefixes of a million change, and connections follow; when ten are left, no more memory is held than by a gate
/// that never had others.
#[test]
fn ten_of_a_million_change_and_the_rest_is_let_go() -> Result<()> {
    let listed = format!("{WEST}exceptions:\n{}", policy::exception("campus", "permanent: true"))
        .replace(&format!("destinations: {}", policy::UNIVERSITY), "destinations_file: list.txt");
    let lab = Lab::new()?;
    let sink = |host: &Host| Sink::start(&host.namespace, host.name, &[25]);
    let _sinks = [sink(&lab.university)?, sink(&lab.stranger)?];
    let put = |lab: &Lab, text: &str| policy::put(&lab.folder().join("list.txt"), text);
    let only = |reached: &Host, other: &Host| -> Result<()> {
        ensure!(smtp::mail(&lab.alice, reached.v4.into(), LIMIT).is_delivered(), "{}", reached.name);
        ensure!(smtp::mail(&lab.alice, other.v4.into(), LIMIT) == Outcome::Refused, "{}", other.name);
        Ok(())
    };

    put(&lab, &list(MILLION, &lab.university))?;
    let gate = start(&lab, &listed)?;
    only(&lab.university, &lab.stranger)?;
    let samples = gate.metrics()?;
    let entries = |table| sum(&samples, "gate25_table_entries", &[("table", table)]);
    // Of each family nearly a half; the ten; and the relay.
    exactly(entries("destinations_ipv4"), MILLION / 2 - 4 + 10 + 1);
    exactly(entries("destinations_ipv6"), MILLION / 2 - 6 + 1);

    put(&lab, &list(MILLION, &lab.stranger))?;
    let took = reload(&lab, &gate)?;
    only(&lab.stranger, &lab.university)?;
    let peak = memory::peak(gate.id())?;
    println!("ten changed in {:.2} s; {:.0} MB at most", took.as_secs_f64(), peak as f64 / 1e6);
    ensure!(peak < MEMORY, "{peak} octets");

    let held = |lab: &Lab, gate: &Gate<'_>| memory::held(gate.id(), &lab.pin());
    let many = held(&lab, &gate)?;
    put(&lab, &list(10, &lab.stranger))?;
    reload(&lab, &gate)?;
    let never = Lab::new()?;
    put(&never, &list(10, &never.stranger))?;
    let few = held(&never, &start(&never, &listed)?)?;
    println!("maps of {:.1} MB, of {:.1} MB for ten", many as f64 / 1e6, few as f64 / 1e6);
    ensure!(many > few + u64::from(MILLION) * 10, "{many} octets and {few}");
    let let_go = wait::until(PATIENCE / 6, || held(&lab, &gate).ok().filter(|now| *now < few + SLACK));
    ensure!(let_go.is_some(), "{} octets, not {few}", held(&lab, &gate)?);
    ensure!(gate.stop()?.success());
    Ok(())
}

#[track_caller]
fn exactly(found: f64, wanted: u32) {
    let wanted = f64::from(wanted);
    assert!((found - wanted).abs() < 0.5, "{found} instead of {wanted}");
}
