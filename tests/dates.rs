//! Dates: exceptions end to the second without a controller; with one, everything begins and ends by itself.

#![expect(clippy::float_cmp, reason = "samples of counters are whole numbers, and exact")]

use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    clock::Clock,
    gate::{self, Gate},
    lab::Lab,
    metrics::sum,
    policy::{self, WEST},
    smtp::{self, Outcome, Sink},
    wait,
};
use jiff::{SignedDuration, Timestamp};
use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

/// For each step of a mail that arrives or is refused, on a busy machine.
const LIMIT: Duration = Duration::from_secs(15);
/// For what is seconds ahead.
const PATIENCE: Duration = Duration::from_secs(30);
/// "To the second": what may lie between the instant and its effect.
const SECOND: SignedDuration = SignedDuration::from_secs(1);
const GENERATION: &str = "gate25_policy_generation";

/// A whole second at least that far ahead.
fn ahead(seconds: i64) -> Result<Timestamp> {
    Ok(Timestamp::from_second(Timestamp::now().as_second() + 1 + seconds)?)
}

/// A gate with [`WEST`] alone.
fn start(lab: &Lab) -> Result<Gate<'_>> {
    Gate::start(lab, &policy::write(lab.folder(), WEST)?)
}

/// Gives it, while it runs, a policy whose dates are seconds ahead: a start may take longer than that. Its file.
fn load(lab: &Lab, gate: &Gate<'_>, text: &str) -> Result<PathBuf> {
    let file = policy::write(lab.folder(), text)?;
    gate.wait_series(GENERATION, 2.0)?;
    Ok(file)
}

/// Sends mail from alice until what comes of it turns to `arrives`; between which two instants that was: the start of
/// the last attempt that went the other way, and the end of the first that did not.
fn turn(lab: &Lab, to: IpAddr, arrives: bool) -> Result<(Timestamp, Timestamp)> {
    let mut last = None;
    let found = wait::until(PATIENCE, || {
        let began = Timestamp::now();
        let outcome = smtp::mail(&lab.alice, to, LIMIT);
        match &outcome {
            outcome if outcome.is_delivered() == arrives => Some(Timestamp::now()),
            Outcome::Delivered(_) | Outcome::Refused => {
                last = Some(began);
                None
            }
            other => panic!("{to}: {other:?}"),
        }
    });
    let last = last.with_context(|| format!("{to}: had turned before it could be watched"))?;
    Ok((last, found.with_context(|| format!("{to}: never turned"))?))
}

/// That turn is neither before the instant nor a second behind it.
fn on_time(what: &str, instant: Timestamp, (last, first): (Timestamp, Timestamp)) -> Result<()> {
    let (early, late) = (last.duration_since(instant), first.duration_since(instant));
    println!("{what}: turned between {:+} and {:+} ms of the second", early.as_millis(), late.as_millis());
    ensure!(first >= instant, "{what}: {late:?} before its time");
    ensure!(late < SECOND, "{what}: {late:?} behind its time");
    Ok(())
}

#[test]
fn an_exception_ends_to_the_second_when_the_controller_is_dead() -> Result<()> {
    let lab = Lab::new()?;
    let _sink = Sink::start(&lab.university.namespace, "university", &[25])?;
    let gate = start(&lab)?;
    let until = ahead(4)?;
    let later = ahead(1000)?;
    let text = format!("{WEST}exceptions:\n{}", policy::exception("campus", &format!("until: \"{until}\"")))
        + "  - {id: later, destinations: [\"192.0.2.200\"], owner: noc, reason: lab, "
        + &format!("until: \"{later}\"}}\n");
    let policy = load(&lab, &gate, &text)?;
    let before = gate.metrics()?;
    ensure!(sum(&before, "gate25_packets_total", &[("reason", "expired")]) == 0.0);
    gate.kill();
    ensure!(Timestamp::now() < until, "the gate took too long to load it");

    let [v4, v6] = lab.university.addresses();
    let (one, other) = std::thread::scope(|scope| {
        let one = scope.spawn(|| turn(&lab, v4, false));
        let other = turn(&lab, v6, false);
        (one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), other)
    });
    on_time("until, controller killed, IPv4", until, one?)?;
    on_time("until, controller killed, IPv6", until, other?)?;
    // Only what has ended is over.
    let _stranger = Sink::start(&lab.stranger.namespace, "stranger", &[25])?;
    ensure!(smtp::mail(&lab.alice, lab.stranger.v4.into(), LIMIT).is_delivered());

    // What was counted while nobody watched.
    let gate = Gate::start(&lab, &policy)?;
    let after = gate.metrics()?;
    for family in ["ipv4", "ipv6"] {
        let labels = [
            ("reason", "expired"),
            ("family", family),
            ("zone", "west"),
            ("verdict", "block"),
            ("enforced", "true"),
        ];
        ensure!(sum(&after, "gate25_packets_total", &labels) >= 1.0, "{family}: {after:#?}");
        let passed = [("reason", "exception"), ("family", family), ("verdict", "pass")];
        ensure!(sum(&after, "gate25_packets_total", &passed) >= 1.0, "{family}: {after:#?}");
    }
    ensure!(
        smtp::mail(&lab.alice, v4, LIMIT) == Outcome::Refused,
        "it does not come back with the controller"
    );
    Ok(())
}

#[test]
fn with_a_controller_rules_begin_and_end_by_themselves() -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = [&lab.university, &lab.stranger]
        .map(|host| Sink::start(&host.namespace, host.name, &[25]))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let gate = start(&lab)?;
    let (from, until) = (ahead(4)?, ahead(6)?);
    let text = format!(
        "{WEST}exceptions:
{}  - {{id: all, destinations: [\"192.0.2.128/25\"], permanent: true, owner: noc, reason: lab}}
blocks:
  - {{id: shut, destinations: [\"192.0.2.200\"], from: \"{from}\", until: \"{until}\", reason: lab}}
",
        policy::exception("campus", &format!("from: \"{from}\", until: \"{until}\""))
    );
    load(&lab, &gate, &text)?;
    let (campus, shut) = (lab.university.v6.into(), lab.stranger.v4.into());
    std::thread::scope(|scope| {
        let block = scope.spawn(|| {
            on_time("block begins", from, turn(&lab, shut, false)?)?;
            on_time("block ends", until, turn(&lab, shut, true)?)
        });
        on_time("from", from, turn(&lab, campus, true)?)?;
        on_time("until, controller running", until, turn(&lab, campus, false)?)?;
        block.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    let after = gate.metrics()?;
    // Packets, as an open connection is cut as well.
    for reason in ["default", "exception", "expired", "block-rule"] {
        ensure!(sum(&after, "gate25_packets_total", &[("reason", reason)]) >= 1.0, "{reason}: {after:#?}");
    }
    // Dates are no reloads: there was the one above.
    ensure!(sum(&after, "gate25_policy_reloads_total", &[]) == 1.0);
    Ok(())
}

/// The contract: nothing begins, and no block ends, until the controller is back.
#[test]
fn nothing_begins_while_the_controller_is_dead() -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = [&lab.university, &lab.stranger]
        .map(|host| Sink::start(&host.namespace, host.name, &[25]))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let gate = start(&lab)?;
    let instant = ahead(3)?;
    let text = format!(
        "{WEST}exceptions:
{}  - {{id: all, destinations: [\"192.0.2.128/25\"], permanent: true, owner: noc, reason: lab}}
blocks:
  - {{id: shut, destinations: [\"192.0.2.200\"], until: \"{instant}\", reason: lab}}
",
        policy::exception("campus", &format!("from: \"{instant}\", permanent: true"))
    );
    let policy = load(&lab, &gate, &text)?;
    gate.kill();
    ensure!(Timestamp::now() < instant, "the gate took too long to load it");
    wait::until(PATIENCE, || (Timestamp::now() > instant + SECOND / 2).then_some(()));
    let both = || [lab.university.v4, lab.stranger.v4].map(|to| smtp::mail(&lab.alice, to.into(), LIMIT));
    ensure!(both() == [Outcome::Refused, Outcome::Refused], "{:?}", both());
    let _gate = Gate::start(&lab, &policy)?;
    ensure!(both().iter().all(Outcome::is_delivered), "{:?}", both());
    Ok(())
}

/// When the kernel refuses the tables of a later instant, those in force stay, and it is tried again.
#[test]
fn a_date_that_cannot_be_worked_out_opens_nothing() -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = [&lab.relay, &lab.university, &lab.stranger]
        .map(|host| Sink::start(&host.namespace, host.name, &[25]))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    // When the date comes so much more is listed that there is no room for it yet.
    let hosts = (0..20_000).map(|number| Ipv4Addr::from_bits(0x0a00_0000 + number * 2).to_string());
    let list = hosts.collect::<Vec<_>>().join("\n");
    policy::put(&lab.folder().join("list.txt"), &list)?;
    let gate = start(&lab)?;
    let until = ahead(3)?;
    let text = format!(
        "{WEST}exceptions:\n{}  - {{id: more, destinations_file: list.txt, from: \"{until}\", permanent: true, owner: noc, \
         reason: lab}}\n",
        policy::exception("campus", &format!("until: \"{until}\""))
    );
    load(&lab, &gate, &text)?;
    let limit = |descriptors: usize| -> Result<()> {
        let mut command = Command::new("prlimit");
        command.arg(format!("--pid={}", gate.id())).arg(format!("--nofile={descriptors}:"));
        lab.edge.output(command).map(drop)
    };
    // No map can be made without a descriptor.
    limit(3)?;
    ensure!(Timestamp::now() < until, "the gate took too long to load it");
    let refused =
        wait::until(PATIENCE, || (gate.log().matches("the tables in force stay").count() > 2).then_some(()));
    refused.with_context(|| gate.log())?;
    limit(1024)?;
    gate.wait_series(GENERATION, 3.0)?;
    ensure!(smtp::mail(&lab.alice, lab.relay.v4.into(), LIMIT).is_delivered());
    for to in [lab.university.v4, lab.stranger.v4] {
        let outcome = smtp::mail(&lab.alice, to.into(), LIMIT);
        ensure!(outcome == Outcome::Refused, "{to}: {outcome:?}");
    }
    let blocked = [("zone", "west"), ("reason", "default"), ("verdict", "block"), ("enforced", "true")];
    let samples = gate.metrics()?;
    ensure!(sum(&samples, "gate25_attempts_total", &blocked) == 1.0, "{samples:#?}");
    Ok(())
}

/// The wall clock of the gate alone is stepped (the machine's stays): dates are worked out again.
#[test]
fn a_stepped_wall_clock_moves_the_dates() -> Result<()> {
    let lab = Lab::new()?;
    let _sink = Sink::start(&lab.university.namespace, "university", &[25])?;
    let until = ahead(3600)?;
    let text = format!("{WEST}exceptions:\n{}", policy::exception("campus", &format!("until: \"{until}\"")));
    let policy = policy::write(lab.folder(), &text)?;
    let clock = Clock::new(lab.folder())?;
    let gate = Gate::start_by(&lab, &gate::configuration(&lab, &policy), &clock)?;

    let to = lab.university.v4.into();
    ensure!(smtp::mail(&lab.alice, to, LIMIT).is_delivered());
    for (generation, step, arrives) in [(2, -7200, true), (3, 7200, false)] {
        let stepped = Instant::now();
        clock.set(step)?;
        gate.wait_series(GENERATION, f64::from(generation))?;
        ensure!(
            smtp::mail(&lab.alice, to, LIMIT).is_delivered() == arrives,
            "clock at {step} s: {}",
            gate.log()
        );
        let seen = stepped.elapsed();
        println!("the clock set to {step} s ahead: in force after {} ms", seen.as_millis());
        ensure!(seen < Duration::from_secs(1), "clock at {step} s: {seen:?}");
    }
    ensure!(gate.log().contains("the wall clock was set by +14400."), "{}", gate.log());
    ensure!(gate.stop()?.success());

    // Where no more than an hour ahead was seen, the exception has seconds left; and the program itself knows.
    let until = ahead(3600)?;
    let text = format!("{WEST}exceptions:\n{}", policy::exception("campus", &format!("until: \"{until}\"")));
    policy::put(&policy, &text)?;
    clock.set(0)?;
    let gate = Gate::start_by(&lab, &gate::configuration(&lab, &policy), &clock)?;
    let generation = gate.metrics()?[GENERATION];
    let step = until.as_second() - Timestamp::now().as_second() - 4;
    clock.set(step)?;
    gate.wait_series(GENERATION, generation + 1.0)?;
    ensure!(smtp::mail(&lab.alice, to, LIMIT).is_delivered());
    gate.kill();
    let ends = until - SignedDuration::from_secs(step);
    on_time("until, after a step, controller killed", ends, turn(&lab, to, false)?)
}
