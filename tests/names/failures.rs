//! Name servers fail: what was allowed stays allowed, for as long as the policy says, also across restarts.

use crate::{allowed, becomes, exception, servers, start};
use anyhow::{Result, ensure};
use gate25_tests::{dns::Answer, lab::Lab, metrics::sum, wait};
use std::{
    fs,
    time::{Duration, Instant},
};

const CAMPUS: &str = "mail.campus.example";

/// Each kind of failure, one after the other, with addresses that must stay.
#[test]
fn no_failure_shrinks_what_was_allowed() -> Result<()> {
    let lab = Lab::new()?;
    let (_sinks, dns) = servers(&lab)?;
    let failures = [Answer::Failure, Answer::Missing, Answer::host([]), Answer::Silence];
    let names: Vec<String> = (0..failures.len()).map(|index| format!("h{index}.example")).collect();
    for name in &names {
        dns.set(name, Answer::host(lab.university.addresses()));
    }
    dns.set("campus.example", Answer::domain(["mx.campus.example"]));
    dns.set("mx.campus.example", Answer::host(lab.stranger.addresses()));
    let gate = start(&lab, &exception(&format!("names: [{}], mx: [campus.example]", names.join(", "))))?;
    allowed(&lab, &lab.university, true)?;
    let before = gate.metrics()?["gate25_policy_generation"];
    for (name, failure) in names.iter().zip(failures) {
        dns.set(name, failure);
    }
    dns.set("campus.example", Answer::Missing);
    let all = (names.len() + 1) as f64;
    gate.wait_metrics("all fail", |now| (sum(now, "gate25_name_failing", &[]) - all).abs() < 0.5)?;
    for words in ["the name server failed", "no such name", "no address", "no answer in time"] {
        gate.wait_log(&["WARN", "names: ", words, "the last good answer is kept"])?;
    }
    allowed(&lab, &lab.university, true)?;
    allowed(&lab, &lab.stranger, true)?;
    let now = gate.metrics()?;
    for name in &names {
        ensure!((sum(&now, "gate25_name_addresses", &[("name", name)]) - 2.0).abs() < 0.5, "{name} shrank");
    }
    ensure!((now["gate25_policy_generation"] - before).abs() < 0.5, "installed for nothing");
    ensure!(gate.health()?.0 == 200);

    // One family fails: its addresses stay, those of the other are the new ones.
    for name in &names {
        dns.set(name, Answer::host(lab.university.addresses()));
    }
    gate.wait_metrics("mended", |now| (sum(now, "gate25_name_failing", &[]) - 1.0).abs() < 0.5)?;
    gate.wait_log(&["resolved again"])?;
    Ok(())
}

#[test]
fn what_is_kept_ends_when_the_policy_says_so() -> Result<()> {
    let lab = Lab::new()?;
    let (_sinks, dns) = servers(&lab)?;
    dns.set(CAMPUS, Answer::host(lab.university.addresses()));
    let gate = start(&lab, &exception(&format!("names: [{CAMPUS}], keep_old_for: 12s")))?;
    allowed(&lab, &lab.university, true)?;
    let begin = Instant::now();
    dns.set(CAMPUS, Answer::Failure);
    gate.wait_metrics("it fails", |now| sum(now, "gate25_name_failing", &[]) > 0.5)?;
    allowed(&lab, &lab.university, true)?;
    becomes(&lab, &gate, &lab.university, false)?;
    let took = begin.elapsed();
    println!("an answer kept for 12 s was dropped {took:?} after name servers began to fail");
    // It was confirmed at most a TTL before they did.
    ensure!(took > Duration::from_secs(6), "{took:?}");
    gate.wait_log(&["WARN", CAMPUS, "too old and dropped"])?;
    gate.wait_log(&["mail.campus.example no longer has 198.51.100.25, 2001:db8:51::25"])?;
    dns.set(CAMPUS, Answer::host(lab.university.addresses()));
    becomes(&lab, &gate, &lab.university, true).map(drop)
}

/// SIGTERM, SIGKILL; and each time name servers that are not there.
#[test]
fn a_restart_without_name_servers_shrinks_nothing_and_waits_for_nobody() -> Result<()> {
    let lab = Lab::new()?;
    let (_sinks, dns) = servers(&lab)?;
    dns.set(CAMPUS, Answer::host(lab.university.addresses()));
    dns.set("campus.example", Answer::domain(["mx.campus.example"]));
    dns.set("mx.campus.example", Answer::host(lab.stranger.addresses()));
    let policy = exception(&format!("names: [{CAMPUS}], mx: [campus.example]"));
    let mut gate = start(&lab, &policy)?;
    let file = lab.folder().join("state/names.json");
    for end in ["SIGTERM", "SIGKILL"] {
        allowed(&lab, &lab.university, true)?;
        dns.silence(true);
        if end == "SIGTERM" {
            ensure!(gate.stop()?.success());
        } else {
            gate.kill();
        }
        allowed(&lab, &lab.university, true)?;
        let begin = Instant::now();
        gate = start(&lab, &policy)?;
        let took = begin.elapsed();
        println!("{end}: a start with kept answers took {took:?}");
        ensure!(took < Duration::from_secs(4), "{end}: {took:?}");
        allowed(&lab, &lab.university, true)?;
        allowed(&lab, &lab.stranger, true)?;
        gate.wait_metrics("they fail", |now| (sum(now, "gate25_name_failing", &[]) - 2.0).abs() < 0.5)?;
        allowed(&lab, &lab.university, true)?;
        allowed(&lab, &lab.stranger, true)?;
    }

    // A file that is not what it was is as none: nothing that was not answered is allowed, and enforcement goes on.
    gate.kill();
    fs::write(&file, &fs::read(&file)?[..40])?;
    let gate = start(&lab, &policy)?;
    gate.wait_log(&["WARN", "names.json", "is not as gate25 wrote it"])?;
    allowed(&lab, &lab.university, false)?;
    dns.silence(false);
    becomes(&lab, &gate, &lab.university, true)?;
    let written = || fs::read_to_string(&file).is_ok_and(|text| text.contains("198.51.100.25")).then_some(());
    ensure!(wait::until(crate::PATIENCE, written).is_some(), "not written again");
    Ok(())
}

/// Where nothing can be written, a clear line, and names work all the same.
#[test]
fn a_state_that_cannot_be_written() -> Result<()> {
    let lab = Lab::new()?;
    let (_sinks, dns) = servers(&lab)?;
    dns.set(CAMPUS, Answer::host(lab.university.addresses()));
    fs::write(lab.folder().join("state"), "a file, not a folder")?;
    let gate = start(&lab, &exception(&format!("names: [{CAMPUS}]")))?;
    gate.wait_log(&["WARN", "names.json", "after a restart names have to be resolved anew"])?;
    allowed(&lab, &lab.university, true)?;
    dns.set(CAMPUS, Answer::host(lab.stranger.addresses()));
    becomes(&lab, &gate, &lab.stranger, true).map(drop)
}
