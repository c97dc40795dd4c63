//! The units as a real systemd runs them.

use crate::site::{SOON, change, is_open, policies, process, running, sinks};
use crate::stream;
use anyhow::{Context as _, Result, ensure};
use gate25_tests::{lab::Lab, machine::Machine, smtp, wait};
use std::{fs, net::SocketAddr};

/// Capabilities by their numbers in `linux/capability.h`.
const CAPABILITIES: [(&str, u64); 4] = [("chown", 0), ("net_admin", 12), ("perfmon", 38), ("bpf", 39)];

/// A line of /proc/ID/status, as a number.
fn status(machine: &Machine<'_>, process: u32, key: &str) -> Result<u64> {
    let line = machine.ok(&format!("grep '^{key}:' /proc/{process}/status"))?;
    let word = line.split_whitespace().nth(1).context("no value")?;
    Ok(u64::from_str_radix(word, 16)?)
}

/// A controller that is killed, that stands still, or that is told of a mistake: enforcement goes on, and so does it.
#[test]
fn the_controller_comes_back_and_nothing_is_let_through() -> Result<()> {
    let lab = Lab::new()?;
    let root = Machine::install(&lab)?;
    let _sinks = sinks(&lab)?;
    let machine = running(&lab, &root, "gate25")?;
    ensure!(!is_open(&lab)?, "not enforced: {}", machine.journal("gate25")?);
    let next = |last: u32| {
        let other = || process(&machine, "gate25").ok().filter(|id| *id != last);
        let id = wait::until(SOON, other).with_context(|| machine.journal("gate25").unwrap_or_default())?;
        let active =
            || (machine.run("systemctl is-active gate25").ok()?.stdout.trim() == "active").then_some(());
        wait::until(SOON, active).with_context(|| machine.journal("gate25").unwrap_or_default())?;
        anyhow::Ok(id)
    };
    // As patient as the tests are not.
    let folder = root.join("etc/systemd/system/gate25.service.d");
    fs::create_dir(&folder)?;
    fs::write(folder.join("watchdog.conf"), "[Service]\nWatchdogSec=5s\n")?;
    machine.ok("systemctl daemon-reload")?;
    let first = process(&machine, "gate25")?;
    stream::during(&lab, |_| {
        machine.ok("systemctl kill --signal=KILL gate25")?;
        let second = next(first)?;
        // Only the watchdog sees this one.
        machine.ok("systemctl kill --signal=STOP gate25")?;
        next(second)?;
        let journal = machine.journal("gate25")?;
        ensure!(journal.contains("Watchdog timeout"), "{journal}");
        Ok(())
    })?;

    change(&policies(&root), "mode: enforce ", "mode: enforced")?;
    let refused = machine.run("systemctl reload gate25")?;
    ensure!(refused.code == Some(1), "{refused:?}");
    ensure!(
        machine.journal("gate25")?.contains("enforced: is not a known word"),
        "{}",
        machine.journal("gate25")?
    );
    ensure!(!is_open(&lab)?, "a refused policy opens");
    change(&policies(&root), "mode: enforced", "mode: monitor ")?;
    machine.ok("systemctl reload gate25")?;
    ensure!(is_open(&lab)?, "the policy does not hold after a reload");
    Ok(())
}

/// The controller has what it needs and no more, people of its group may ask it, and the responder has nothing at all.
#[test]
fn privileges_are_few() -> Result<()> {
    let lab = Lab::new()?;
    let root = Machine::install(&lab)?;
    let _sinks = sinks(&lab)?;
    let machine = running(&lab, &root, "gate25 gate25-notice")?;
    let addresses = "[\"192.0.2.1:2525\", \"[2001:db8:25::1]:2525\"]";
    let notice = format!(
        "action: notice\n    notice: {{address: {addresses}, url: \"https://example.net/port25\"}} #"
    );
    change(&policies(&root), "action: reset ", &notice)?;
    let heard = || {
        let servers = lab.stranger.addresses().map(|address| SocketAddr::new(address, 25));
        let hosts = lab.alice.addresses();
        let greeted = servers.into_iter().zip(hosts).all(|(server, host)| {
            let heard = lab.alice.namespace.run(|| smtp::hear(host, server, SOON));
            heard.to_string().contains("https://example.net/port25")
        });
        greeted.then_some(())
    };
    wait::until(SOON, heard).with_context(|| {
        format!("no notice: {:?} {:?}", machine.journal("gate25"), machine.journal("gate25-notice"))
    })?;

    let controller = process(&machine, "gate25")?;
    let few: u64 = CAPABILITIES.iter().map(|(_, number)| 1 << number).sum();
    for set in ["CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"] {
        let has = status(&machine, controller, set)?;
        ensure!(has & !few == 0, "{set}: {has:x}");
    }
    let responder = process(&machine, "gate25-notice")?;
    for set in ["CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"] {
        let has = status(&machine, responder, set)?;
        ensure!(has == 0, "{set} of the responder: {has:x}");
    }
    ensure!(status(&machine, responder, "Uid")? != 0, "the responder is root");
    for process in [controller, responder] {
        ensure!(status(&machine, process, "NoNewPrivs")? == 1 && status(&machine, process, "Seccomp")? == 2);
    }
    machine.ok("systemctl reload gate25-notice")?;
    ensure!(process(&machine, "gate25-notice")? == responder, "a reload is a restart");

    machine.ok("useradd --system desk && useradd --system --groups gate25 noc")?;
    let ask = |who: &str| {
        machine.run(&format!("setpriv --reuid={who} --init-groups --regid=nogroup gate25 top --once --config /etc/gate25/gate25.yaml"))
    };
    let (desk, noc) = (ask("desk")?, ask("noc")?);
    ensure!(desk.code == Some(1) && noc.code == Some(0), "{desk:?}\n{noc:?}");
    let events = fs::read_to_string(root.join("var/log/gate25/events.jsonl"))?;
    ensure!(events.contains("\"kind\":\"policy\""), "{events}");
    Ok(())
}
