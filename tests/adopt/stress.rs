//! Under a stream of connections: killed and restarted, upgraded, reloaded.

use crate::stream;
use crate::{PATIENCE, not_backwards, sinks};
use anyhow::{Result, ensure};
use gate25_tests::{
    gate::{self, Gate},
    lab::Lab,
    metrics::{Samples, sum},
    policy::{self, WEST},
};
use std::{
    fs,
    process::Command,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

const KILLS: u32 = 50;
const UPGRADES: u32 = 20;
const RELOADS: u32 = 200;
const DONE: &str = "gate25_policy_reloads_total{result=\"ok\"}";

#[test]
fn kills_upgrades_and_reloads_are_not_noticed() -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = sinks(&lab)?;
    // The same rules in both, so that no counter ends.
    let policies = ["198.51.100.0/24", "198.51.100.0/25"].map(|prefix| {
        format!("{WEST}exceptions:\n  - {{id: campus, destinations: [\"{prefix}\"], owner: noc, reason: lab, permanent: true}}\n")
    });
    let file = policy::write(lab.folder(), &policies[0])?;
    let gate = Gate::start(&lab, &file)?;
    let config = gate::configuration(&lab, &file);
    let first = gate.metrics()?;
    let ((), made) = stream::during(&lab, |_| {
        let mut last = gate.metrics()?;
        let mut checked = |gate: &Gate<'_>| -> Result<f64> {
            let now = gate.metrics()?;
            not_backwards(&last, &now)?;
            last = now;
            Ok(last[DONE])
        };
        let gate = timed(KILLS, "kill -9 and restart", gate, |gate, _| {
            checked(&gate)?;
            gate.kill();
            let gate = Gate::start_with(&lab, &config)?;
            checked(&gate).map(|_| gate)
        })?;
        let gate = timed(UPGRADES, "upgrade", gate, |gate, number| {
            checked(&gate)?;
            // Another binary.
            let binary = lab.folder().join(format!("gate25-{number}"));
            gate25_tests::command::copy_gate25(&binary, &number.to_string())?;
            let mut command = Command::new(&binary);
            command.arg("run").arg("--config").arg(gate.config());
            ensure!(gate.stop()?.success());
            let gate = Gate::run(&lab, command, PATIENCE)?;
            fs::remove_file(binary)?;
            checked(&gate).map(|_| gate)
        })?;
        let before = checked(&gate)?;
        let gate = timed(RELOADS, "reload", gate, |gate, number| {
            policy::put(&file, &policies[number as usize % 2])?;
            gate.reload();
            gate.wait_series(DONE, before + f64::from(number))?;
            checked(&gate).map(|_| gate)
        })?;
        ensure!(gate.stop()?.success());
        Ok(())
    })?;
    let last = Gate::start_with(&lab, &config)?.metrics()?;
    let count = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    let (allowed, blocked, slow) = (count(&made.allowed), count(&made.blocked), count(&made.slow));
    println!(
        "{allowed} mails to the relay, none failed; {blocked} to the stranger, none got through; {slow} slow"
    );
    ensure!(allowed > 2_000 && blocked > 2_000, "too few to mean anything");
    ensure!(last[DONE] == first[DONE] + f64::from(RELOADS), "{} reloads", last[DONE]);
    // Nothing was lost on the way, nor counted twice, but for what was sent twice.
    let moved = |reason: &str| {
        let total = |samples: &Samples| sum(samples, "gate25_attempts_total", &[("reason", reason)]);
        total(&last) - total(&first)
    };
    for (reason, made) in [("relay", allowed), ("default", blocked)] {
        let found = moved(reason);
        ensure!(
            (made as f64..=(made + slow) as f64).contains(&found),
            "{reason}: {found} attempts instead of {made}"
        );
    }
    Ok(())
}

fn timed<'lab>(
    times: u32,
    what: &str,
    mut gate: Gate<'lab>,
    mut once: impl FnMut(Gate<'lab>, u32) -> Result<Gate<'lab>>,
) -> Result<Gate<'lab>> {
    let (start, mut slowest) = (Instant::now(), Duration::ZERO);
    for number in 1..=times {
        let start = Instant::now();
        gate = once(gate, number)?;
        slowest = slowest.max(start.elapsed());
    }
    let took = start.elapsed();
    println!("{times} x {what}: {:.1} s, the slowest {} ms", took.as_secs_f32(), slowest.as_millis());
    Ok(gate)
}
