//! What somebody did to the pins: said clearly, mended where that is safe, and never a reason to enforce less.

use crate::versions::entries;
use crate::{PATIENCE, enforced, not_backwards, refuses, sinks};
use anyhow::{Context as _, Result, ensure};
use aya::maps::{HashMap, MapData};
use gate25_common::abi::ABI_VERSION;
use gate25_tests::{
    gate::{self, Gate},
    lab::{INTERFACE, Lab},
    policy::{self, WEST},
    wait, xdp,
};
use std::{fs, path::PathBuf};

fn tables(lab: &Lab) -> PathBuf {
    lab.pin().join(format!("abi{ABI_VERSION}/tables"))
}

fn counters(lab: &Lab) -> PathBuf {
    lab.pin().join(format!("abi{ABI_VERSION}/interface:{INTERFACE}"))
}

/// Somebody removed pins, the link's among them, from under a controller that runs.
#[test]
fn a_running_controller_pins_again() -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = sinks(&lab)?;
    let file = policy::write(lab.folder(), WEST)?;
    let gate = Gate::start(&lab, &file)?;
    enforced(&lab, &lab.alice)?;
    let (before, attached) = (gate.metrics()?, xdp::on(&lab.edge, INTERFACE)?);
    let gone =
        [tables(&lab).join("RULES"), counters(&lab).join("COUNTS"), lab.pin().join("links").join(INTERFACE)];
    gone.iter().try_for_each(fs::remove_file)?;
    wait::until(PATIENCE, || gone.iter().all(|path| path.exists()).then_some(()))
        .with_context(|| format!("not pinned again: {}", gate.log()))?;
    for path in &gone {
        gate.wait_log(&[&format!("{}: was gone", path.display())])?;
    }
    ensure!(gate.health()?.0 == 200);
    gate.kill();
    ensure!(xdp::on(&lab.edge, INTERFACE)? == attached, "the link ended with the controller");
    enforced(&lab, &lab.alice)?;
    let gate = Gate::start(&lab, &file)?;
    not_backwards(&before, &gate.metrics()?)
}

/// Not one pin is left: until they are made again, `/healthz` says that enforcement would end with the controller.
#[test]
fn a_running_controller_pins_everything_again() -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = sinks(&lab)?;
    let looking = WEST.replace("action: reset", "action: reset\n    return_path: enforce");
    let file = policy::write(lab.folder(), &looking)?;
    let gate = Gate::start(&lab, &file)?;
    gate.reload();
    gate.wait_series("gate25_policy_reloads_total{result=\"ok\"}", 1.0)?;
    enforced(&lab, &lab.alice)?;
    let (before, pins) = (gate.metrics()?, entries(&lab.pin()));
    fs::remove_dir_all(lab.pin())?;
    let body =
        wait::until(PATIENCE, || gate.health().ok().filter(|(code, _)| *code == 503)).context("healthy")?.1;
    ensure!(body.contains("was removed: enforcement ends with this controller"), "{body}");
    enforced(&lab, &lab.alice)?;
    wait::until(PATIENCE, || (entries(&lab.pin()) == pins).then_some(()))
        .with_context(|| format!("{:?}\n{}", entries(&lab.pin()), gate.log()))?;
    wait::until(PATIENCE, || (gate.health().ok()?.0 == 200).then_some(())).context("still sick")?;
    gate.kill();
    enforced(&lab, &lab.alice)?;
    let gate = Gate::start(&lab, &file)?;
    not_backwards(&before, &gate.metrics()?)
}

/// Nobody was there to pin again: the program that runs still has its maps, and the next start takes them from it.
#[test]
fn a_start_finds_removed_maps_in_the_program_that_runs() -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = sinks(&lab)?;
    let file = policy::write(lab.folder(), WEST)?;
    let gate = Gate::start(&lab, &file)?;
    enforced(&lab, &lab.alice)?;
    let (before, generation) = (gate.metrics()?, "gate25_policy_generation");
    ensure!(gate.stop()?.success());
    let gone = ["ACTIVE", "TABLES", "TARGETS", "RULES"].map(|name| tables(&lab).join(name));
    let gone: Vec<_> =
        gone.into_iter().chain(["COUNTS", "PASSED"].map(|name| counters(&lab).join(name))).collect();
    gone.iter().try_for_each(fs::remove_file)?;
    enforced(&lab, &lab.alice)?;
    let gate = Gate::start(&lab, &file)?;
    for path in &gone {
        ensure!(
            gate.log().contains(&format!("{}: was gone; the running program's own", path.display())),
            "{}",
            gate.log()
        );
    }
    let after = gate.metrics()?;
    not_backwards(&before, &after)?;
    ensure!(after[generation] == before[generation] + 1.0, "{}", after[generation]);
    enforced(&lab, &lab.alice)
}

/// Without the map that says whose they are, counters of zones begin anew: rather none than another zone's.
#[test]
fn without_zones_their_counters_begin_anew() -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = sinks(&lab)?;
    let file = policy::write(lab.folder(), WEST)?;
    let gate = Gate::start(&lab, &file)?;
    enforced(&lab, &lab.alice)?;
    ensure!(gate.stop()?.success());
    fs::remove_file(tables(&lab).join("ZONES"))?;
    policy::put(&file, &WEST.replace("id: west", "id: other"))?;
    let gate = Gate::start(&lab, &file)?;
    let found = gate25_tests::metrics::sum(&gate.metrics()?, "gate25_attempts_total", &[("zone", "other")]);
    ensure!(found == 0.0, "zone other has {found} attempts of zone west");
    enforced(&lab, &lab.alice)
}

/// Under names of ours lies something else: each is named, stays, and what runs goes on; without it all is well again.
#[test]
fn something_else_under_our_names_is_refused_and_stays() -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = sinks(&lab)?;
    let _second = lab.second_interface()?;
    let file = policy::write(lab.folder(), WEST)?;
    let config = gate::configuration(&lab, &file) + "  - name: eth2\n";
    let gate = Gate::start_with(&lab, &config)?;
    enforced(&lab, &lab.alice)?;
    let (path, before) = (gate.config().to_owned(), gate.metrics()?);
    ensure!(gate.stop()?.success());
    let aside = lab.pin().join("aside");
    fs::create_dir(&aside)?;
    let attached = xdp::on(&lab.edge, INTERFACE)?;
    let links = lab.pin().join("links");
    let program = || lab.pin().join("programs").join(INTERFACE);
    let other = || links.join("eth2");
    // What is pinned there is put aside; and something else, if not a map of the test's own, in its place.
    let cases: [(PathBuf, Option<PathBuf>, &str); 6] = [
        (tables(&lab).join("RULES"), None, "is not the map that gate25 keeps there"),
        (tables(&lab).join("ZONES"), None, "is not the map that gate25 keeps there"),
        (counters(&lab).join("COUNTS"), None, "is not the map that gate25 keeps there"),
        (tables(&lab).join("ACTIVE"), Some(program()), "is not the map that gate25 keeps there"),
        (links.join(INTERFACE), Some(program()), "is not the link of an XDP program"),
        (links.join(INTERFACE), Some(other()), "is the link of eth2, not of eth1"),
    ];
    for (place, instead, cause) in cases {
        let kept = aside.join("kept");
        fs::rename(&place, &kept)?;
        match &instead {
            Some(other) => fs::rename(other, &place)?,
            None => HashMap::<MapData, u32, u32>::create(16, 0)?.pin(&place)?,
        }
        let pins = entries(&lab.pin());
        refuses(&lab, &path, &[&format!("pin: {}: {cause}", place.display())])?;
        ensure!(entries(&lab.pin()) == pins, "{}: {:?}", place.display(), entries(&lab.pin()));
        ensure!(xdp::on(&lab.edge, INTERFACE)? == attached, "{}: another program", place.display());
        enforced(&lab, &lab.alice)?;
        match &instead {
            Some(other) => fs::rename(&place, other)?,
            None => fs::remove_file(&place)?,
        }
        fs::rename(&kept, &place)?;
    }
    // A program that is somebody else's keeps nobody from enforcing.
    let theirs = program();
    fs::remove_file(&theirs)?;
    HashMap::<MapData, u32, u32>::create(16, 0)?.pin(&theirs)?;
    let gate = Gate::start_with(&lab, &config)?;
    not_backwards(&before, &gate.metrics()?)?;
    ensure!(aside.exists() && MapData::from_pin(&theirs).is_ok(), "removed");
    ensure!(gate.log().contains(&format!("{}: is not gate25's", theirs.display())), "{}", gate.log());
    enforced(&lab, &lab.alice)
}
