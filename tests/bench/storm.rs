//! A reload of many prefixes under full load: one processor sends and drops without a pause, the other one has the
//! controller.

use crate::{
    contenders::GATE25,
    figures::Spread,
    policies::{self, Role},
    report::Report,
    spray::Spray,
    traffic::{Kind, Router, ZONE},
};
use anyhow::{Result, ensure};
use gate25_tests::{
    gate::{self, Gate},
    metrics::sum,
    policy::put,
    xdp_pass::TX,
};
use std::{
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

const PART: &str = "reload under full load";
/// How often the packets are counted.
const STEP: Duration = Duration::from_millis(50);
/// How long before the reload, and behind it.
const BESIDE: Duration = Duration::from_secs(2);
/// How long it is sent, all in all: longer than a reload should take.
const WHOLE: Duration = Duration::from_secs(7);
/// For the first frames.
const WARM: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_mins(1);

/// A count, and since when it was.
struct Sample {
    start: Instant,
    end: Instant,
    rate: f64,
}

pub(crate) fn run(report: &mut Report, size: usize) -> Result<()> {
    eprintln!("bench: a reload of {size} prefixes under full load");
    let router = Router::new()?;
    let mut spray = Spray::load()?;
    let frame = Kind::Smtp.plan(&mut spray, TX)?;
    let all = policies::upper_halves(size * 2, 2, 0x1000_0000, 0x0fff_ffff);
    let lists = all.split_at(size);
    let zone = format!("[\"{ZONE}\"]");
    let policy = policies::write(router.lab.folder(), &zone, &[(Role::Destinations, lists.0)])?;
    let config = gate::write(&router.lab, &gate::configuration(&router.lab, &policy))?;
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", "0"]).arg(gate25_tests::gate25()).arg("run").arg("--config").arg(config);
    let gate = Gate::run(&router.lab, command, PATIENCE)?;
    let generation =
        |gate: &Gate<'_>| -> Result<f64> { Ok(sum(&gate.metrics()?, "gate25_policy_generation", &[])) };
    let first = generation(&gate)?;
    let other = policies::lines(lists.1);
    let before = complaints()?;

    let stop = AtomicBool::new(false);
    let (samples, reloaded) = thread::scope(|scope| {
        let sender = scope.spawn(|| router.send_until(&spray, &frame, WHOLE.as_secs_f64(), &stop));
        let watch = scope.spawn(|| sample(&router, &stop));
        let reload = || -> Result<(Instant, Instant)> {
            thread::sleep(WARM + BESIDE);
            let start = Instant::now();
            put(&router.lab.folder().join("list0.txt"), &other)?;
            gate.reload();
            gate.wait_metrics("another generation", |now| {
                sum(now, "gate25_policy_generation", &[]) > first + 0.5
            })?;
            let end = Instant::now();
            thread::sleep(BESIDE);
            Ok((start, end))
        };
        let reloaded = reload();
        stop.store(true, Ordering::Relaxed);
        let joined = (sender.join(), watch.join());
        let (Ok(sent), Ok(seen)) = joined else { anyhow::bail!("a thread panicked") };
        sent?;
        Ok((seen?, reloaded?))
    })?;
    let after = complaints()?;
    told(report, size, &samples, reloaded);
    report.at_most(
        format!("{PART}: lock-ups and stalls in the kernel's log"),
        (after - before) as f64,
        0.0,
        "lines",
    );
    ensure!(gate.stop()?.success());
    Ok(())
}

fn told(report: &mut Report, size: usize, samples: &[Sample], (start, end): (Instant, Instant)) {
    let rates = |wanted: &dyn Fn(&Sample) -> bool| -> Vec<f64> {
        samples.iter().filter(|sample| wanted(sample)).map(|sample| sample.rate / 1e6).collect()
    };
    let before = rates(&|sample| sample.end < start && start.duration_since(sample.start) < BESIDE);
    let during = rates(&|sample| sample.end >= start && sample.start < end);
    let behind = rates(&|sample| sample.start >= end && sample.end < end + BESIDE);
    let size = Some(size as u64);
    for (what, rates) in [("before", &before), ("during", &during), ("behind", &behind)] {
        if !rates.is_empty() {
            report.add(PART, (what, size), GATE25, "Mpps", Spread::of(rates.clone()));
        }
    }
    let took = (end - start).as_secs_f64();
    report.add(PART, ("the reload", size), GATE25, "s", Spread::of(vec![took]));
    if before.is_empty() || during.is_empty() || behind.is_empty() {
        return;
    }
    let usual = Spread::of(before).median;
    let dip = |rates: Vec<f64>| 100.0 * (1.0 - Spread::of(rates).least / usual);
    let low = samples
        .iter()
        .filter(|sample| sample.end >= start && sample.end < end + BESIDE && sample.rate / 1e6 < 0.8 * usual);
    let low: f64 = low.map(|sample| (sample.end - sample.start).as_secs_f64()).sum();
    report.at_most(format!("{PART}: deepest dip while it loads"), dip(during), 20.0, "%");
    report.at_most(format!("{PART}: deepest dip behind it"), dip(behind), 20.0, "%");
    report.at_most(format!("{PART}: time below 80 % of the usual"), low, took, "s");
}

fn sample(router: &Router, stop: &AtomicBool) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    let mut last = (Instant::now(), router.counted()?.0);
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(STEP);
        let now = (Instant::now(), router.counted()?.0);
        let rate = (now.1 - last.1) as f64 / (now.0 - last.0).as_secs_f64();
        samples.push(Sample { start: last.0, end: now.0, rate });
        last = now;
    }
    // The first one saw the sender begin, the last one saw it end.
    samples.pop();
    Ok(samples.split_off(samples.len().min(1)))
}

/// How many lines of the kernel's log tell of processors that were stuck.
fn complaints() -> Result<usize> {
    let output = Command::new("dmesg").output()?;
    ensure!(output.status.success(), "dmesg: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).to_lowercase();
    let words = ["soft lockup", "hard lockup", "rcu_sched", "rcu_preempt", "blocked for more than"];
    Ok(text.lines().filter(|line| words.iter().any(|word| line.contains(word))).count())
}
