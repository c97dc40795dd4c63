//! When the program of the way back is on an interface, and when it is not.

use anyhow::{Context as _, Result, ensure};
use aya::programs::{ProgramInfo, SchedClassifier, TcAttachType};
use gate25::datapath::pins::Pins;
use gate25::datapath::return_path::{self, Hook, ReturnPath};
use gate25_tests::gate::Gate;
use gate25_tests::lab::{INTERFACE, Lab};
use gate25_tests::policy::{self, WEST};
use gate25_tests::{gate25, wait};
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

/// Ids of the TC programs on tcx.
fn on_tcx(lab: &Lab) -> Result<Vec<u32>> {
    let found = lab.edge.run(|| SchedClassifier::query_tcx(INTERFACE, TcAttachType::Egress))?;
    Ok(found.1.iter().map(ProgramInfo::id).collect())
}

fn looking() -> String {
    WEST.replace("action: reset", "action: reset\n    return_path: monitor")
}

#[test]
fn nothing_is_attached_that_no_policy_needs() -> Result<()> {
    let lab = Lab::new()?;
    let file = policy::write(lab.folder(), WEST)?;
    let gate = Gate::start(&lab, &file)?;
    ensure!(on_tcx(&lab)?.is_empty(), "neither a redirect nor a return path is asked for");
    for _ in 0..2 {
        policy::put(&file, &looking())?;
        wait::until(LIMIT, || on_tcx(&lab).ok().filter(|found| found.len() == 1)).context("not attached")?;
        policy::put(&file, WEST)?;
        wait::until(LIMIT, || on_tcx(&lab).ok().filter(Vec::is_empty)).context("still attached")?;
    }
    ensure!(gate.health()?.0 == 200);
    Ok(())
}

#[test]
fn it_outlives_the_controller_and_ends_with_detach() -> Result<()> {
    let lab = Lab::new()?;
    let file = policy::write(lab.folder(), &looking())?;
    let gate = Gate::start(&lab, &file)?;
    let config = gate.config().to_owned();
    let first = on_tcx(&lab)?;
    ensure!(first.len() == 1);
    gate.kill();
    ensure!(on_tcx(&lab)? == first, "gone with the controller");
    let gate = Gate::start(&lab, &file)?;
    let second = on_tcx(&lab)?;
    ensure!(second.len() == 1 && second != first, "not replaced: {first:?}, {second:?}");
    let mut detach = Command::new(gate25());
    detach.arg("detach").arg("--config").arg(config);
    lab.edge.output(detach)?;
    ensure!(on_tcx(&lab)?.is_empty() && !lab.pin().exists(), "left behind");
    wait::until(LIMIT, || (gate.health().ok()?.0 == 503).then_some(())).context("still healthy")?;
    // And it does not come back with the next policy.
    gate.reload();
    policy::put(&file, &looking().replace("monitor", "enforce"))?;
    gate.wait_metrics("a reload", |now| {
        gate25_tests::metrics::sum(now, "gate25_policy_reloads_total", &[]) >= 1.0
    })?;
    ensure!(on_tcx(&lab)?.is_empty() && !lab.pin().exists(), "attached again");
    Ok(())
}

#[test]
fn who_takes_it_off_is_noticed_and_it_is_attached_again() -> Result<()> {
    let lab = Lab::new()?;
    let file = policy::write(lab.folder(), &looking())?;
    let gate = Gate::start(&lab, &file)?;
    let pins = Pins::below(&lab.pin())?;
    let before = on_tcx(&lab)?;
    return_path::detach_all(&pins)?;
    wait::until(LIMIT, || (on_tcx(&lab).ok()? == before).then_some(())).context("still off")?;
    let said = format!("{INTERFACE}: the return path is attached again");
    gate.wait_log(&[&said])?;
    ensure!(gate.health()?.0 == 200 && pins.return_link(INTERFACE).exists());
    Ok(())
}

/// Linux before 6.6 has no tcx; the older hook is on every kernel.
#[test]
fn clsact_takes_it_too() -> Result<()> {
    let lab = Lab::new()?;
    let pins = Pins::below(&lab.pin())?;
    let filters = || -> Result<String> {
        let mut command = Command::new("tc");
        command.args(["filter", "show", "dev", INTERFACE, "egress"]);
        Ok(String::from_utf8(lab.edge.output(command)?.stdout)?)
    };
    let id = |text: &str| text.split_whitespace().skip_while(|word| *word != "id").nth(1).map(str::to_owned);
    let attach = || lab.edge.run(|| ReturnPath::attach_to(INTERFACE, &pins, Hook::Clsact));
    // Two of them, as two controllers one after the other would make them.
    let mut seen = Vec::new();
    let detached = || -> Result<bool> {
        lab.edge.run(|| return_path::detach_all(&pins))?;
        Ok(filters()?.is_empty() && !pins.return_filter(INTERFACE).exists())
    };
    for _ in 0..2 {
        let path = attach().map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
        let text = filters()?;
        ensure!(text.matches("direct-action").count() == 1 && text.contains("gate25_return"), "{text}");
        ensure!(lab.edge.run(|| path.fault()).is_none());
        seen.push(id(&text).context("no id")?);
    }
    ensure!(seen[0] != seen[1], "not replaced");
    ensure!(detached()?, "left behind");
    // Somebody takes it off, or the interface goes: both are seen, mended by attaching again, and no reason not to detach.
    let path = attach().map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
    let lost =
        ["tc filter del dev eth1 egress", "ip link del eth1", "ip link add eth1 type veth peer name other"];
    for (number, words) in lost.iter().enumerate() {
        let mut words = words.split(' ');
        let mut command = Command::new(words.next().context("a command")?);
        command.args(words);
        lab.edge.output(command)?;
        ensure!(lab.edge.run(|| path.fault()).is_some(), "not noticed: {}", lost[number]);
        if number != 1 {
            attach().map_err(|refused| anyhow::anyhow!("{}: {refused:?}", lost[number]))?;
            ensure!(filters()?.contains("gate25_return"), "not attached again: {}", lost[number]);
            ensure!((number == 2) == lab.edge.run(|| path.fault()).is_some());
        }
    }
    lab.edge.ip("link del eth1\n")?;
    lab.edge.run(|| return_path::detach_all(&pins))?;
    ensure!(!pins.return_filter(INTERFACE).exists());
    Ok(())
}
