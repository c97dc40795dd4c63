//! A wall clock that is set back, forward, and back again; and one that was never set.

use crate::{SOON, becomes, gate25, reaches, reboot, sinks, text};
use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    clock::Clock,
    gate::{self, Gate},
    lab::Lab,
    policy::{self, WEST},
    wait,
};
use jiff::{SignedDuration, Timestamp};
use std::fs;

const DAY: i64 = 86_400;
const YEAR: i64 = 365 * DAY;
const BEHIND: &str = "gate25_clock_behind_seconds";
const STEPS: &str = "gate25_clock_steps_total";

/// The university for an hour; the stranger for two years; the relay is shut from the next hour on.
fn policy(lab: &Lab) -> Result<String> {
    let now = Timestamp::from_second(Timestamp::now().as_second())?;
    let ahead = |seconds| now + SignedDuration::from_secs(seconds);
    let [v4, v6] = lab.stranger.addresses();
    let [relay4, relay6] = lab.relay.addresses();
    let (hour, years) = (ahead(3600), ahead(2 * YEAR));
    Ok(format!(
        "{WEST}exceptions:\n{}  - {{id: long, destinations: [\"{v4}\", \"{v6}\"], owner: noc, reason: lab, until: \"{years}\"}}\n\
         blocks:\n  - {{id: shut, destinations: [\"{relay4}\", \"{relay6}\"], from: \"{hour}\", reason: lab}}\n",
        policy::exception("campus", &format!("until: \"{hour}\"")),
    ))
}

#[test]
fn what_has_ended_stays_ended() -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = sinks(&lab)?;
    let file = policy::write(lab.folder(), &policy(&lab)?)?;
    let (config, clock) = (gate::configuration(&lab, &file), Clock::new(lab.folder())?);
    let start = || Gate::start_by(&lab, &config, &clock);
    let now = || -> Result<[bool; 3]> {
        Ok([reaches(&lab, &lab.university)?, reaches(&lab, &lab.stranger)?, reaches(&lab, &lab.relay)?])
    };
    let [young, old] = [[true, true, true], [false, true, false]];

    let gate = start()?;
    ensure!(now()? == young);
    let step = |count: u8, ahead: i64, wanted: [bool; 3]| -> Result<()> {
        clock.set(ahead)?;
        gate.wait_series("gate25_policy_generation", f64::from(count + 1))?;
        gate.wait_series(STEPS, count.into())?;
        ensure!(now()? == wanted, "{ahead} s: {:?}; log:\n{}", now()?, gate.log());
        Ok(())
    };
    step(1, -DAY, young)?;
    ensure!(!gate.log().contains("newest time seen"), "{}", gate.log());
    let behind = gate.metrics()?[BEHIND];
    ensure!((behind - DAY as f64).abs() < 30.0, "{behind}");
    step(2, YEAR, old)?;
    ensure!(gate.metrics()?[BEHIND].abs() < 1.0);
    step(3, 0, old)?;
    let behind = gate.metrics()?[BEHIND];
    ensure!((behind - YEAR as f64).abs() < 30.0, "{behind}");
    gate.wait_log(&["WARN", "clock: ", "campus, shut", "gate25 reload --trust-clock"])?;
    // Loading the same policy again changes nothing of that.
    let reload = gate25(&lab, &["reload", "--config", text(gate.config())])?;
    ensure!(reload.code == Some(0) && now()? == old, "{reload:?}");
    // Killed, a moment later: what is in `state` says it.
    let year = (Timestamp::now() + SignedDuration::from_secs(YEAR)).to_string();
    let told =
        || fs::read_to_string(lab.folder().join("state/clock.json")).ok()?.contains(&year[..7]).then_some(());
    wait::until(SOON, told).context("the newest time is not in `state`")?;
    gate.kill();
    let gate = start()?;
    ensure!(now()? == old, "a restart opened it: {:?}; log:\n{}", now()?, gate.log());

    // A reboot of a router whose clock begins in 1970, with the policy where it was.
    reboot(&lab, gate)?;
    clock.set(-Timestamp::now().as_second())?;
    let gate = start()?;
    ensure!(now()? == old, "1970 opened it: {:?}; log:\n{}", now()?, gate.log());
    gate.wait_metrics("56 years behind", |metrics| metrics[BEHIND] > 55.0 * YEAR as f64)?;
    gate.wait_log(&["WARN", "clock: 1970-01-01T", "campus, shut", "gate25 reload --trust-clock"])?;
    clock.set(0)?;
    gate.wait_series(STEPS, 1.0)?;
    ensure!(now()? == old);

    // A comment is no other policy.
    policy::put(&file, &format!("# noted\n{}  # noted\n", fs::read_to_string(&file)?))?;
    let reload = gate25(&lab, &["reload", "--config", text(gate.config())])?;
    ensure!(reload.code == Some(0) && now()? == old, "a comment opened it: {reload:?}");
    // Another policy: what was seen before it does not count.
    policy::put(&file, &policy(&lab)?)?;
    becomes(&lab, &lab.university, true, "another policy", &gate)?;
    ensure!(now()? == young);
    gate.wait_metrics("not behind", |metrics| metrics[BEHIND].abs() < 1.0)?;

    clock.set(YEAR)?;
    becomes(&lab, &lab.university, false, "a year ahead", &gate)?;
    clock.set(0)?;
    gate.wait_series(STEPS, 3.0)?;
    // A reload that is refused trusts nothing.
    let whole = fs::read_to_string(&file)?;
    let ask = ["reload", "--config", text(gate.config()), "--trust-clock"];
    policy::put(&file, "version: 1\nzones: [\n")?;
    ensure!(gate25(&lab, &ask)?.code == Some(1) && now()? == old);
    policy::put(&file, &whole)?;
    ensure!(gate25(&lab, &ask[..3])?.code == Some(0) && now()? == old, "a refused reload trusted the clock");
    let trusted = gate25(&lab, &ask)?;
    ensure!(trusted.code == Some(0), "{trusted:?}");
    let behind = gate.metrics()?[BEHIND];
    ensure!(behind.abs() < 1.0, "the reload was answered, and it is told as {behind} s behind still");
    ensure!(now()? == young, "{:?}; log:\n{}", now()?, gate.log());
    gate.wait_log(&["reload: the policy is in force, and the wall clock is trusted"])?;
    ensure!(gate.stop()?.success());
    start().map(drop)?;
    ensure!(now()? == young, "what was trusted is forgotten by a restart");
    Ok(())
}

/// The controller died before the end, and `state` with it: the tables that ended the exception are what is left.
#[test]
fn what_the_tables_have_ended_stays_ended() -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = sinks(&lab)?;
    let file = policy::write(lab.folder(), WEST)?;
    let (config, clock) = (gate::configuration(&lab, &file), Clock::new(lab.folder())?);
    let gate = Gate::start_by(&lab, &config, &clock)?;
    // The start may take longer than that.
    let end = Timestamp::now() + SignedDuration::from_secs(4);
    let text = format!("{WEST}exceptions:\n{}", policy::exception("campus", &format!("until: \"{end}\"")));
    policy::put(&file, &text)?;
    gate.wait_series("gate25_policy_generation", 2.0)?;
    ensure!(reaches(&lab, &lab.university)?, "it ended too soon for this test");
    gate.kill();
    let ended = wait::until(SOON, || (!reaches(&lab, &lab.university).ok()?).then_some(()));
    ended.context("it does not end")?;
    // It may have died too soon to write anything.
    if lab.folder().join("state").exists() {
        fs::remove_dir_all(lab.folder().join("state"))?;
    }
    clock.set(-DAY)?;
    let gate = Gate::start_by(&lab, &config, &clock)?;
    ensure!(!reaches(&lab, &lab.university)?, "a restart opened it; log:\n{}", gate.log());
    gate.wait_log(&["WARN", "clock: ", "campus", "gate25 reload --trust-clock"])?;
    // And so it is written down again.
    ensure!(gate.stop()?.success());
    let gate = Gate::start_by(&lab, &config, &clock)?;
    ensure!(!reaches(&lab, &lab.university)?, "a second restart opened it; log:\n{}", gate.log());
    Ok(())
}
