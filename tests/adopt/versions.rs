//! Another version of the layouts: new tables, the same counters, one switch.

use crate::stream;
use crate::{enforced, not_backwards, refuses, sinks};
use anyhow::{Context as _, Result, ensure};
use aya::maps::{HashMap, MapData};
use aya::programs::{ProgramInfo, SchedClassifier, TcAttachType};
use gate25::datapath::adopt::COUNTERS_SINCE;
use gate25_common::abi::ABI_VERSION;
use gate25_tests::{
    gate::{self, Gate},
    lab::{INTERFACE, Lab},
    metrics::{Samples, sum},
    policy::{self, WEST},
    wait, xdp, xdp_pass,
};
use std::{fs, path::PathBuf, sync::atomic::Ordering, time::Duration};

const ATTEMPTS: &str = "gate25_attempts_total";

fn tree(lab: &Lab, version: u32) -> PathBuf {
    lab.pin().join(format!("abi{version}"))
}

/// As if what was left were of that version.
fn age(lab: &Lab, version: u32) -> Result<()> {
    Ok(fs::rename(tree(lab, ABI_VERSION), tree(lab, version))?)
}

/// Nobody is reset in the middle, nothing is lost or counted twice: neither before the switch, nor after it, nor while no
/// controller ran.
#[test]
fn an_older_version_hands_over_its_counters_under_a_stream() -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = sinks(&lab)?;
    let file = policy::write(
        lab.folder(),
        &WEST.replace("action: reset", "action: reset\n    return_path: enforce"),
    )?;
    let gate = Gate::start(&lab, &file)?;
    let first = gate.metrics()?;
    let (before, made) = stream::during(&lab, |made| {
        let flow = |more: u64| {
            let seen = made.allowed.load(Ordering::Relaxed);
            wait::until(Duration::from_secs(20), || {
                (made.allowed.load(Ordering::Relaxed) >= seen + more).then_some(())
            })
            .context("the stream stands still")
        };
        flow(50)?;
        gate.reload();
        gate.wait_series("gate25_policy_reloads_total{result=\"ok\"}", 1.0)?;
        let before = gate.metrics()?;
        gate.kill();
        age(&lab, COUNTERS_SINCE)?;
        flow(50)?;
        let old = xdp::on(&lab.edge, INTERFACE)?.context("nothing attached")?;
        let gate = Gate::start(&lab, &file)?;
        let new = xdp::on(&lab.edge, INTERFACE)?.context("nothing attached")?;
        ensure!(old != new, "the old program is still there");
        ensure!(!tree(&lab, COUNTERS_SINCE).exists(), "the old tables are still there");
        not_backwards(&before, &gate.metrics()?)?;
        flow(50)?;
        gate.stop()?;
        Ok(before)
    })?;
    let gate = Gate::start(&lab, &file)?;
    let last = gate.metrics()?;
    not_backwards(&before, &last)?;
    let slow = made.slow.load(Ordering::Relaxed);
    for (reason, made) in [("relay", &made.allowed), ("default", &made.blocked)] {
        let total = |samples: &Samples| {
            sum(samples, ATTEMPTS, &[("reason", reason), ("zone", "west"), ("direction", "egress")])
        };
        let (found, made) = (total(&last) - total(&first), made.load(Ordering::Relaxed));
        println!("{reason}: {made} connections, {found} attempts, {slow} slow");
        ensure!(
            (made as f64..=(made + slow) as f64).contains(&found),
            "{reason}: {found} attempts instead of {made}"
        );
    }
    let rule = |samples: &Samples| sum(samples, "gate25_rule_attempts_total", &[("rule", "outbound")]);
    ensure!(
        rule(&last) == sum(&last, ATTEMPTS, &[("reason", "relay"), ("direction", "egress")]),
        "{}",
        rule(&last)
    );
    ensure!(last["gate25_policy_reloads_total{result=\"ok\"}"] == 1.0, "the controller's own totals");
    // One generation when the tables were made anew, one by the restart.
    ensure!(last["gate25_policy_generation"] == 2.0, "{}", last["gate25_policy_generation"]);
    enforced(&lab, &lab.alice)
}

/// What cannot be carried over begins anew and says so; the rest goes on.
#[test]
fn what_has_another_layout_begins_anew() -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = sinks(&lab)?;
    let file = policy::write(lab.folder(), WEST)?;
    let gate = Gate::start(&lab, &file)?;
    enforced(&lab, &lab.alice)?;
    ensure!(gate.stop()?.success());
    age(&lab, COUNTERS_SINCE)?;
    let rules = tree(&lab, COUNTERS_SINCE).join("tables/RULES");
    fs::remove_file(&rules)?;
    HashMap::<MapData, u64, u64>::create(8, 0)?.pin(&rules)?;
    // The program that runs has the right one; this is one for whom none runs.
    xdp::force_off(&lab.pin().join("links").join(INTERFACE))?;
    fs::remove_file(lab.pin().join("links").join(INTERFACE))?;
    let gate = Gate::start(&lab, &file)?;
    let log = gate.log();
    ensure!(log.contains("RULES: has another layout: what it counted begins anew"), "{log}");
    let samples = gate.metrics()?;
    let found = |metric| sum(&samples, metric, &[]);
    ensure!(found("gate25_rule_attempts_total") == 0.0 && found(ATTEMPTS) == 4.0, "{samples:#?}");
    enforced(&lab, &lab.alice)?;
    ensure!(sum(&gate.metrics()?, "gate25_rule_attempts_total", &[("rule", "outbound")]) == 2.0);
    Ok(())
}

/// Nobody knows what a later version counts; nor one before those that are known. Nor does anybody touch it before the start
/// is over.
#[test]
fn other_versions_are_removed_behind_a_start_that_succeeds() -> Result<()> {
    for version in [ABI_VERSION + 1, COUNTERS_SINCE - 1] {
        let lab = Lab::new()?;
        let _sinks = sinks(&lab)?;
        let _second = lab.second_interface()?;
        let file = policy::write(lab.folder(), WEST)?;
        let gate = Gate::start(&lab, &file)?;
        enforced(&lab, &lab.alice)?;
        ensure!(gate.stop()?.success());
        age(&lab, version)?;
        let pins = entries(&lab.pin());
        let attached = xdp::on(&lab.edge, INTERFACE)?;

        let occupied = lab.edge.run(|| xdp_pass::attach("eth2"))?;
        let both = gate::write(&lab, &(gate::configuration(&lab, &file) + "  - name: eth2\n"))?;
        refuses(&lab, &both, &["lab_pass"])?;
        drop(occupied);
        ensure!(entries(&lab.pin()) == pins, "{:?}", entries(&lab.pin()));
        ensure!(xdp::on(&lab.edge, INTERFACE)? == attached);
        enforced(&lab, &lab.alice)?;

        let gate = Gate::start(&lab, &file)?;
        let said = format!("abi{version}: is of ABI version {version}: its counters are not carried over");
        ensure!(gate.log().contains(&said), "{}", gate.log());
        ensure!(!tree(&lab, version).exists() && sum(&gate.metrics()?, ATTEMPTS, &[]) == 0.0);
        enforced(&lab, &lab.alice)?;
    }
    Ok(())
}

/// An interface that is not in the configuration any more goes on with its program, and that with its tables; once it is
/// there again, it has counters of before.
#[test]
fn tables_that_a_program_still_reads_stay() -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = sinks(&lab)?;
    let second = lab.second_interface()?;
    let south = "zones:\n  - {id: south, subscribers: [100.64.2.0/24, '2001:db8:102::/48'], mode: enforce, action: reset}\n";
    let file = policy::write(lab.folder(), &WEST.replace("zones:\n", south))?;
    let both = gate::configuration(&lab, &file) + "  - name: eth2\n";
    let gate = Gate::start_with(&lab, &both)?;
    enforced(&lab, &second.host)?;
    ensure!(gate.stop()?.success());
    age(&lab, COUNTERS_SINCE)?;
    let gate = Gate::start(&lab, &file)?;
    let said = format!("abi{COUNTERS_SINCE}: stays, for eth2 runs a program of that version");
    ensure!(gate.log().contains(&said) && tree(&lab, COUNTERS_SINCE).exists(), "{}", gate.log());
    enforced(&lab, &second.host)?;
    ensure!(gate.stop()?.success());
    let gate = Gate::start_with(&lab, &both)?;
    ensure!(!tree(&lab, COUNTERS_SINCE).exists(), "{}", gate.log());
    ensure!(sum(&gate.metrics()?, ATTEMPTS, &[("interface", "eth2"), ("zone", "south")]) == 8.0);
    enforced(&lab, &second.host)
}

/// A start that fails late, when a new program is in the place of an old one already, puts that back.
#[test]
fn a_start_that_fails_late_puts_the_old_program_back() -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = sinks(&lab)?;
    let _second = lab.second_interface()?;
    let file = policy::write(
        lab.folder(),
        &WEST.replace("action: reset", "action: reset\n    return_path: enforce"),
    )?;
    let both = gate::configuration(&lab, &file) + "  - name: eth2\n";
    let gate = Gate::start_with(&lab, &both)?;
    enforced(&lab, &lab.alice)?;
    let (config, before) = (gate.config().to_owned(), gate.metrics()?);
    ensure!(gate.stop()?.success());
    age(&lab, COUNTERS_SINCE)?;
    // The first interface has its new program when this is found on the second.
    let way = lab.pin().join("return-links/eth2");
    fs::rename(&way, lab.pin().join("kept"))?;
    fs::rename(lab.pin().join("programs/eth2"), &way)?;
    let on = || -> Result<_> {
        let back = lab.edge.run(|| SchedClassifier::query_tcx(INTERFACE, TcAttachType::Egress))?.1;
        Ok((xdp::on(&lab.edge, INTERFACE)?, back.iter().map(ProgramInfo::id).collect::<Vec<_>>()))
    };
    let (pins, attached) = (entries(&lab.pin()), on()?);
    refuses(&lab, &config, &["return-links/eth2", "is not the link of a return path"])?;
    ensure!(entries(&lab.pin()) == pins, "{:?}", entries(&lab.pin()));
    ensure!(on()? == attached, "{attached:?}, then {:?}", on()?);
    enforced(&lab, &lab.alice)?;
    fs::rename(&way, lab.pin().join("programs/eth2"))?;
    fs::rename(lab.pin().join("kept"), &way)?;
    let gate = Gate::start_with(&lab, &both)?;
    not_backwards(&before, &gate.metrics()?)
}

/// Everything below.
pub(crate) fn entries(folder: &std::path::Path) -> Vec<String> {
    let mut all: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .flat_map(|entry| {
            let path = entry.path();
            std::iter::once(path.display().to_string()).chain(entries(&path))
        })
        .collect();
    all.sort();
    all
}
