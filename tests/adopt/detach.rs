//! `gate25 detach` says what it removed, and what it left.

use crate::{PATIENCE, REFUSED, enforced, gate25, sinks};
use anyhow::{Context as _, Result, ensure};
use aya::maps::{Array, MapData};
use gate25_common::abi::ABI_VERSION;
use gate25_tests::{
    gate::{self, Gate},
    lab::{INTERFACE, Lab},
    policy::{self, WEST},
    smtp, wait, xdp,
};
use std::fs;

fn looking() -> String {
    WEST.replace("action: reset", "action: reset\n    return_path: monitor")
}

#[test]
fn it_tells_all_that_it_removed() -> Result<()> {
    let lab = Lab::new()?;
    let second = lab.second_interface()?;
    let file = policy::write(lab.folder(), &looking())?;
    let gate = Gate::start_with(&lab, &(gate::configuration(&lab, &file) + "  - name: eth2\n"))?;
    let (config, pin) = (gate.config().to_owned(), lab.pin());
    // Dead, an interface gone, and tables of two other versions there.
    gate.kill();
    lab.edge.ip("link delete eth2\n")?;
    drop(second);
    for version in [ABI_VERSION - 1, ABI_VERSION + 1] {
        let tables = pin.join(format!("abi{version}/tables"));
        fs::create_dir_all(&tables)?;
        Array::<MapData, u64>::create(1, 0)?.pin(tables.join("ACTIVE"))?;
    }
    let ended = gate25(&lab, "detach", &config)?;
    println!("{}", ended.stdout);
    let tree = |version| format!("{}/abi{version}: removed, with its tables and counters", pin.display());
    let wanted = [
        format!("{INTERFACE}: detached, no longer enforced"),
        "eth2: was not attached any more".to_owned(),
        format!("{INTERFACE}: return path detached"),
        "eth2: return path detached".to_owned(),
        tree(ABI_VERSION - 1),
        tree(ABI_VERSION),
        tree(ABI_VERSION + 1),
        format!("{}: removed", pin.display()),
    ];
    ensure!(ended.code == Some(0) && ended.stdout.lines().eq(wanted.iter().map(String::as_str)), "{ended:?}");
    ensure!(!pin.exists() && xdp::on(&lab.edge, INTERFACE)?.is_none());
    let ended = gate25(&lab, "detach", &config)?;
    ensure!(
        ended.code == Some(0) && ended.stdout == format!("{}: nothing was attached\n", pin.display()),
        "{ended:?}"
    );
    Ok(())
}

/// Whatever lies about is named and stays; ours goes, and a controller that runs does not bring it back.
#[test]
fn what_is_not_ours_is_left() -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = sinks(&lab)?;
    let file = policy::write(lab.folder(), WEST)?;
    let gate = Gate::start(&lab, &file)?;
    let (config, pin) = (gate.config().to_owned(), lab.pin());
    enforced(&lab, &lab.alice)?;
    let tables = pin.join(format!("abi{ABI_VERSION}/tables"));
    // A program where links are, a map of another layout under a name of ours, maps and folders under others.
    let foreign = [
        tables.join("RULES"),
        tables.join("precious"),
        pin.join("links/precious"),
        pin.join("precious"),
        pin.join("return-filters/eth1"),
    ];
    fs::remove_file(&foreign[0])?;
    Array::<MapData, u64>::create(1, 0)?.pin(&foreign[0])?;
    Array::<MapData, u64>::create(1, 0)?.pin(&foreign[1])?;
    fs::rename(pin.join("programs").join(INTERFACE), &foreign[2])?;
    fs::create_dir(&foreign[3])?;
    Array::<MapData, u64>::create(1, 0)?.pin(&foreign[4])?;
    let ended = gate25(&lab, "detach", &config)?;
    println!("{}", ended.stdout);
    ensure!(ended.code == Some(0) && ended.stdout.contains(&format!("{INTERFACE}: detached")), "{ended:?}");
    for path in &foreign {
        let said = format!("{}: left, for it is not gate25's\n", path.display());
        ensure!(path.exists() && ended.stdout.contains(&said), "{said}: {ended:?}");
    }
    ensure!(ended.stdout.matches(": left").count() == foreign.len(), "{ended:?}");
    let files =
        crate::versions::entries(&pin).into_iter().filter(|path| !std::path::Path::new(path).is_dir());
    ensure!(files.count() == foreign.len() - 1, "{:?}", crate::versions::entries(&pin));
    wait::until(PATIENCE, || (gate.health().ok()?.0 == 503).then_some(())).context("still healthy")?;
    // Several looks at it later.
    gate.reload();
    gate.wait_metrics("a reload", |now| now.get("gate25_policy_reloads_total{result=\"ok\"}") == Some(&1.0))?;
    ensure!(xdp::on(&lab.edge, INTERFACE)?.is_none() && gate.health()?.0 == 503, "attached again");
    ensure!(smtp::knock(&lab.alice, &lab.stranger, crate::LIMIT) != REFUSED);
    Ok(())
}

/// Killed half-way, it is begun again where it was; until then no start takes the interface for its own.
#[test]
fn one_that_did_not_end_is_ended_by_the_next() -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = sinks(&lab)?;
    let file = policy::write(lab.folder(), WEST)?;
    let gate = Gate::start(&lab, &file)?;
    let (config, pin) = (gate.config().to_owned(), lab.pin());
    ensure!(gate.stop()?.success());
    fs::rename(pin.join("links"), pin.join("detached"))?;
    let place = format!("pinned at {}", pin.join("detached").join(INTERFACE).display());
    crate::refuses(&lab, &config, &["another gate25", &place, "`gate25 detach`"])?;
    enforced(&lab, &lab.alice)?;
    let ended = gate25(&lab, "detach", &config)?;
    ensure!(ended.code == Some(0) && ended.stdout.contains(&format!("{INTERFACE}: detached")), "{ended:?}");
    ensure!(!pin.exists() && xdp::on(&lab.edge, INTERFACE)?.is_none(), "{ended:?}");
    Ok(())
}
