//! Others on the same machine: a second controller, another network namespace, somebody's folder, an idle crowd.

use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    command,
    gate::{self, Gate, LISTEN},
    lab::{INTERFACE, Lab},
    policy::{self, WEST},
    wait, xdp, xdp_pass,
};
use std::{fs, net::TcpStream, time::Duration};

const SOON: Duration = Duration::from_secs(30);

/// Two controllers would undo each other's work: the second does not start, and the first goes on.
#[test]
fn a_second_controller_is_refused() -> Result<()> {
    let lab = Lab::new()?;
    let policy = policy::write(lab.folder(), WEST)?;
    let gate = Gate::start(&lab, &policy)?;
    let before = xdp::on(&lab.edge, INTERFACE)?;
    let config = gate.config().display().to_string();
    let second = command::gate25(["run", "--config", &config, "--listen", "127.0.0.1:9126"]);
    let ended = command::finish(&lab.edge, second, SOON)?;
    ensure!(ended.code == Some(1), "{ended:?}");
    ensure!(ended.last_line().contains(": another controller works there: pid "), "{ended:?}");
    ensure!(xdp::on(&lab.edge, INTERFACE)? == before, "another program");
    ensure!(gate.health()?.0 == 200);
    ensure!(gate.metrics()?.get("gate25_policy_generation") == Some(&1.0));
    Ok(())
}

/// An interface of the same name and index in another network namespace is another interface.
#[test]
fn the_same_name_and_index_elsewhere_is_not_ours() -> Result<()> {
    let lab = Lab::new()?;
    let policy = policy::write(lab.folder(), WEST)?;
    let gate = Gate::start(&lab, &policy)?;
    let config = gate.config().display().to_string();
    ensure!(gate.stop()?.success());
    let before = xdp::on(&lab.edge, INTERFACE)?.context("nothing attached")?;

    let elsewhere = &lab.stranger.namespace;
    let index = lab.edge.run(|| nix::net::if_::if_nametoindex(INTERFACE))?;
    // Its own interface makes room for the index.
    elsewhere.ip("link delete eth0")?;
    elsewhere.ip(&format!("link add {INTERFACE} index {index} type veth peer name other"))?;
    // Bare, and with somebody's program on it: neither is the one that the link holds.
    for occupied in [false, true] {
        let _theirs = occupied.then(|| elsewhere.run(|| xdp_pass::attach(INTERFACE))).transpose()?;
        let there = xdp::on(elsewhere, INTERFACE)?;
        let ended = command::finish(elsewhere, command::gate25(["run", "--config", &config]), SOON)?;
        ensure!(ended.code == Some(1), "{ended:?}");
        ensure!(ended.last_line().contains("of another network namespace ("), "{ended:?}");
        ensure!(xdp::on(elsewhere, INTERFACE)? == there, "another program elsewhere");
        ensure!(xdp::on(&lab.edge, INTERFACE)?.as_ref() == Some(&before), "another program on the first");
    }
    Ok(())
}

/// `detach` takes away what gate25 made, and nothing else.
#[test]
fn detach_leaves_what_is_not_ours() -> Result<()> {
    let lab = Lab::new()?;
    let policy = policy::write(lab.folder(), WEST)?;
    let gate = Gate::start(&lab, &policy)?;
    let config = gate.config().display().to_string();
    ensure!(gate.stop()?.success());
    let foreign = lab.pin().join("precious");
    fs::create_dir(&foreign)?;
    let ended = command::finish(&lab.edge, command::gate25(["detach", "--config", &config]), SOON)?;
    ensure!(ended.code == Some(0), "{ended:?}");
    ensure!(xdp::on(&lab.edge, INTERFACE)?.is_none(), "still attached");
    let left: Vec<_> = fs::read_dir(lab.pin())?.flatten().map(|entry| entry.path()).collect();
    ensure!(left == [foreign.clone()], "{left:?}");
    fs::remove_dir(foreign)?;
    Ok(())
}

/// Whoever opens connections and says nothing takes no descriptors from the controller, and is shown out.
#[test]
fn an_idle_crowd_is_kept_outside() -> Result<()> {
    let lab = Lab::new()?;
    let gate = Gate::start(&lab, &policy::write(lab.folder(), WEST)?)?;
    let descriptors = || fs::read_dir(format!("/proc/{}/fd", gate.id())).map(Iterator::count);
    let most = descriptors()? + 60;
    // Those that do not get into the queue any more give up; there are enough.
    let patience = Duration::from_millis(200);
    let crowd: Vec<_> = lab
        .edge
        .run(|| (0..150).filter_map(|_| TcpStream::connect_timeout(&LISTEN, patience).ok()).collect());
    ensure!(crowd.len() > 100, "{} connections", crowd.len());
    let more = wait::until(Duration::from_secs(1), || descriptors().ok().filter(|count| *count > most));
    ensure!(more.is_none(), "{more:?} descriptors, and not at most {most}");
    drop(crowd);
    let healthy =
        wait::until(Duration::from_secs(20), || gate.health().ok().filter(|(code, _)| *code == 200));
    ensure!(healthy.is_some(), "{}", gate.log());
    Ok(())
}

/// The configuration file may leave to the flags what the flags say.
#[test]
fn flags_complete_a_file() -> Result<()> {
    let lab = Lab::new()?;
    let policy = policy::write(lab.folder(), WEST)?;
    let whole = gate::configuration(&lab, &policy);
    let without = whole.split_inclusive('\n').filter(|line| !line.starts_with("policy:")).collect::<String>();
    let config = gate::write(&lab, &without)?.display().to_string();
    let ended = command::finish(&lab.edge, command::gate25(["run", "--config", &config]), SOON)?;
    ensure!(ended.code == Some(1) && ended.last_line().contains(": config: policy: "), "{ended:?}");
    let complete = command::gate25(["run", "--config", &config, "--policy", &policy.display().to_string()]);
    let gate = Gate::run(&lab, complete, SOON)?;
    ensure!(gate.health()?.0 == 200);
    Ok(())
}
