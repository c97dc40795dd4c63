//! The lab itself, without a gate: it carries mail, and it goes without a trace, however it ends.

use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    lab::{Host, Lab, Traces},
    smtp::{self, Outcome, Sink},
};
use std::{
    env,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    panic::catch_unwind,
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(20);

fn nothing_left(traces: &Traces) {
    assert_eq!(traces.remaining(LIMIT), Vec::<String>::new());
}

#[test]
fn mail_reaches_every_server_over_both_families() -> Result<()> {
    let lab = Lab::new()?;
    for server in [&lab.relay, &lab.university, &lab.stranger] {
        let sink = Sink::start(&server.namespace, server.name, &[25, 587])?;
        for subscriber in [&lab.alice, &lab.bob] {
            mail(subscriber, server)?;
        }
        assert_eq!((sink.connections(), sink.mails()), (8, 8), "{}", server.name);
    }
    Ok(())
}

fn mail(from: &Host, to: &Host) -> Result<()> {
    for address in to.addresses() {
        for port in [25, 587] {
            let report = from.namespace.run(|| smtp::send(SocketAddr::new(address, port), LIMIT));
            let banner = Outcome::Delivered(format!("220 {} ESMTP", to.name));
            ensure!(report.outcome == banner, "{} to {address}: {:?}", from.name, report.outcome);
        }
    }
    Ok(())
}

/// Each way it can end for a client, beside the mail that arrives above.
#[test]
fn the_client_tells_silence_from_refusal() -> Result<()> {
    let lab = Lab::new()?;
    let short = Duration::from_millis(300);
    let within = |limit, address: &str| {
        let address = address.parse::<SocketAddr>()?;
        anyhow::Ok(lab.alice.namespace.run(|| smtp::send(address, limit)))
    };
    let send = |address| within(LIMIT, address);
    assert_eq!(send("192.0.2.25:25")?.outcome, Outcome::Refused, "nobody listens there");
    let silent = within(short, "192.0.2.99:25")?;
    assert_eq!(silent.outcome, Outcome::TimedOut, "nobody is there");
    assert!(silent.took >= short);
    assert_eq!(send("203.0.113.1:25")?.outcome, Outcome::Refused);
    assert_eq!(send("100.64.0.1:25")?.outcome, Outcome::Unreachable, "the edge has no route");
    Ok(())
}

#[test]
fn two_labs_stand_side_by_side() -> Result<()> {
    let (one, other) = (Lab::new()?, Lab::new()?);
    let _sink = Sink::start(&one.relay.namespace, "one", &[25])?;
    let send =
        |lab: &Lab| lab.alice.namespace.run(|| smtp::send(SocketAddr::from(([192, 0, 2, 25], 25)), LIMIT));
    assert_eq!(send(&one).outcome, Outcome::Delivered("220 one ESMTP".into()));
    assert_eq!(send(&other).outcome, Outcome::Refused);
    Ok(())
}

#[test]
fn nothing_is_left_after_a_drop() -> Result<()> {
    let lab = Lab::new()?;
    let traces = lab.traces();
    let child = lab.edge.spawn(sleep())?;
    assert!(traces.remaining(Duration::ZERO).len() >= 11, "8 namespaces, a mount, a folder, a process");
    // Not even a child whose guard is forgotten.
    std::mem::forget(child);
    drop(lab);
    nothing_left(&traces);
    Ok(())
}

#[test]
fn nothing_is_left_after_a_panic() -> Result<()> {
    let lab = Lab::new()?;
    let traces = lab.traces();
    let result = catch_unwind(move || {
        let _child = lab.edge.spawn(sleep());
        panic!("on purpose");
    });
    assert!(result.is_err());
    nothing_left(&traces);
    Ok(())
}

#[test]
fn nothing_is_left_after_a_signal() -> Result<()> {
    let _alone = alone();
    for signal in ["INT", "TERM", "KILL"] {
        let (mut holder, traces) = hold()?;
        assert!(traces.remaining(Duration::ZERO).len() >= 11);
        let sent = Command::new("kill").args(["-s", signal, &holder.id().to_string()]).status()?;
        assert!(sent.success());
        holder.wait()?;
        nothing_left(&traces);
    }
    Ok(())
}

/// A process that was killed together with its reaper leaves a lab to the next one.
#[test]
fn the_next_process_sweeps_what_a_dead_one_left() -> Result<()> {
    let _alone = alone();
    // This process' own sweep is over.
    drop(Lab::new()?);
    let mut dead = Command::new("true").spawn()?;
    dead.wait()?;
    let stale: Traces = format!("g25-{}-0", dead.id()).parse()?;
    let added = Command::new("ip").args(["netns", "add", &format!("{stale}-edge")]).status()?;
    assert!(added.success());
    std::fs::create_dir_all(env::temp_dir().join(stale.to_string()).join("bpf"))?;
    assert_eq!(stale.remaining(Duration::ZERO).len(), 2);
    let (mut holder, traces) = hold()?;
    nothing_left(&stale);
    holder.kill()?;
    holder.wait()?;
    nothing_left(&traces);
    Ok(())
}

fn sleep() -> Command {
    let mut command = Command::new("sleep");
    command.arg("1000");
    command
}

/// Alone with other processes: each of them sweeps.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Another process with a lab.
fn hold() -> Result<(Child, Traces)> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hold-a-lab")).stdout(Stdio::piped()).spawn()?;
    let output = BufReader::new(child.stdout.take().context("no stdout")?);
    let traces =
        output.lines().map_while(Result::ok).find_map(|line| line.strip_prefix("lab: ")?.parse().ok());
    Ok((child, traces.context("the other process made no lab")?))
}
