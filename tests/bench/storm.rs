//! Reloads of many prefixes under full load: one processor sends and drops without a pause, the other one has the
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
    command,
    gate::{self, Gate},
    xdp_pass::TX,
};
use std::{
    fs,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

const PART: &str = "reload under full load";
/// How often the packets are counted.
const STEP: Duration = Duration::from_millis(50);
/// How long it is left alone before each reload, and at the end.
const PAUSE: Duration = Duration::from_secs(1);
/// For how long what comes of a reload may show behind it.
const BEHIND: Duration = Duration::from_millis(500);
/// For the first frames.
const WARM: Duration = Duration::from_secs(1);
/// How long a reload should take at most, with what the lists take that are written for it.
const EACH: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_mins(1);
/// Where all runs that is not the sender.
const ELSEWHERE: [&str; 2] = ["--cpu-list", "0"];

/// A count, and since when it was.
struct Sample {
    start: Instant,
    end: Instant,
    /// Packets a second.
    rate: f64,
}

/// When it was left alone, and the reload behind that.
struct Reload {
    pause: Instant,
    start: Instant,
    end: Instant,
}

impl Reload {
    fn took(&self) -> Duration {
        self.end - self.start
    }
}

pub(crate) fn run(report: &mut Report, size: usize, reloads: u32) -> Result<()> {
    eprintln!("bench: {reloads} reloads of {size} prefixes under full load");
    let router = Router::new()?;
    let mut spray = Spray::load()?;
    let frame = Kind::Smtp.plan(&mut spray, TX)?;
    let all = policies::upper_halves(size * 2, 2, 0x1000_0000, 0x0fff_ffff);
    let lists = all.split_at(size);
    let zone = format!("[\"{ZONE}\"]");
    let policy = policies::write(router.lab.folder(), &zone, &[(Role::Destinations, lists.0)])?;
    let config = gate::write(&router.lab, &gate::configuration(&router.lab, &policy))?;
    let gate25 = |verb| {
        let mut command = Command::new("taskset");
        command.args(ELSEWHERE).arg(gate25_tests::gate25()).arg(verb).arg("--config").arg(&config);
        command
    };
    let gate = Gate::run(&router.lab, gate25("run"), PATIENCE)?;
    let texts = [lists.1, lists.0].map(policies::lines);
    let before = complaints()?;

    let whole = (WARM + reloads * (EACH + PAUSE + BEHIND)).as_secs_f64();
    let stop = AtomicBool::new(false);
    let (samples, done) = thread::scope(|scope| {
        let sender = scope.spawn(|| router.send_until(&spray, &frame, whole, &stop));
        let watch = scope.spawn(|| sample(&router, &stop));
        let reload = |text: &String| -> Result<Reload> {
            let list = router.lab.folder().join("list0.txt");
            let next = list.with_extension("next");
            fs::write(&next, text)?;
            let pause = Instant::now();
            thread::sleep(PAUSE);
            fs::rename(&next, &list)?;
            let start = Instant::now();
            let ended = command::finish(&router.lab.edge, gate25("reload"), PATIENCE)?;
            ensure!(ended.code == Some(0), "gate25 reload: {}", ended.stderr);
            let end = start + ended.took;
            thread::sleep(BEHIND);
            Ok(Reload { pause, start, end })
        };
        thread::sleep(WARM);
        let done: Result<Vec<_>> = texts.iter().cycle().take(reloads as usize).map(reload).collect();
        stop.store(true, Ordering::Relaxed);
        let joined = (sender.join(), watch.join());
        let (Ok(sent), Ok(seen)) = joined else { anyhow::bail!("a thread panicked") };
        sent?;
        Ok((seen?, done?))
    })?;
    let after = complaints()?;
    told(report, size, &samples, &done);
    report.at_most(
        format!("{PART}: lock-ups and stalls in the kernel's log"),
        (after - before) as f64,
        0.0,
        "lines",
    );
    ensure!(gate.stop()?.success());
    Ok(())
}

/// Of each reload the deepest dip of a sample, against the median of all pauses; and, to see what the machine does by itself, of
/// as many samples in a row in the pauses.
fn told(report: &mut Report, size: usize, samples: &[Sample], reloads: &[Reload]) {
    let within = |from: Instant, to: Instant| -> Vec<&Sample> {
        samples.iter().filter(|sample| sample.start >= from && sample.end <= to).collect()
    };
    // Samples that a reload had a part of.
    let touched = |from: Instant, to: Instant| -> Vec<&Sample> {
        samples.iter().filter(|sample| sample.end > from && sample.start < to).collect()
    };
    let pauses: Vec<_> = reloads.iter().map(|reload| within(reload.pause, reload.start)).collect();
    let usual: Vec<f64> = pauses.iter().flatten().map(|sample| sample.rate).collect();
    if usual.is_empty() {
        return;
    }
    let size = Some(size as u64);
    let mut add = |what, unit, values: Vec<f64>| {
        let spread = Spread::of(values);
        report.add(PART, (what, size), GATE25, unit, spread);
        spread.median
    };
    let usual = add("in pauses", "Mpps", usual.iter().map(|rate| rate / 1e6).collect()) * 1e6;
    let dip = |samples: &[&Sample]| {
        samples.iter().map(|sample| 100.0 * (1.0 - sample.rate / usual)).fold(f64::MIN, f64::max)
    };
    let low = |samples: &[&Sample]| -> f64 {
        let low = samples.iter().filter(|sample| sample.rate < 0.8 * usual);
        low.map(|sample| (sample.end - sample.start).as_secs_f64()).fold(0.0, std::ops::Add::add)
    };
    let during: Vec<_> = reloads.iter().map(|reload| touched(reload.start, reload.end)).collect();
    let behind: Vec<_> = reloads.iter().map(|reload| within(reload.end, reload.end + BEHIND)).collect();
    let few = during.iter().map(Vec::len).min().unwrap_or_default().max(1);
    let alone = pauses.iter().flat_map(|pause| pause.chunks_exact(few)).map(dip).collect();
    let took = add("a reload", "s", reloads.iter().map(|reload| reload.took().as_secs_f64()).collect());
    let rates = during.iter().flatten().map(|sample| sample.rate / 1e6).collect();
    add("while it loads", "Mpps", rates);
    add("deepest dip of as many samples in pauses", "%", alone);
    let loading = add("deepest dip while it loads", "%", during.iter().map(|samples| dip(samples)).collect());
    let later = add("deepest dip behind it", "%", behind.iter().map(|samples| dip(samples)).collect());
    let both = during.iter().zip(&behind).map(|(during, behind)| low(during) + low(behind)).collect();
    let low = add("below 80 % of the usual, a reload", "s", both);
    report.at_most(format!("{PART}: deepest dip while it loads, median"), loading, 20.0, "%");
    report.at_most(format!("{PART}: deepest dip behind it, median"), later, 20.0, "%");
    report.at_most(format!("{PART}: time below 80 % of the usual, median"), low, took, "s");
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
