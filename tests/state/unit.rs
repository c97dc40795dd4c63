//! The services' units, as systemd reads them.

use anyhow::{Context as _, Result, ensure};
use gate25_tests::workspace;
use std::{fs, path::Path, process::Command};

const UNITS: [&str; 2] = ["gate25.service", "gate25-notice.service"];

fn analyze(arguments: &[&str], unit: &Path) -> Result<String> {
    let ended =
        Command::new("systemd-analyze").args(arguments).arg(unit).output().context("systemd-analyze")?;
    let said = [ended.stdout, ended.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    ensure!(ended.status.success(), "{arguments:?}: {said}");
    Ok(said)
}

#[test]
fn the_units_are_sound_and_the_first_comes_before_the_network() -> Result<()> {
    let folder = tempfile::tempdir()?;
    // Of this build, as systemd looks whether it is there.
    let program = gate25_tests::gate25();
    for name in UNITS {
        let unit = fs::read_to_string(workspace().join("deploy/systemd").join(name))?;
        let built = unit.replace("/usr/bin/gate25 ", &format!("{} ", program.display()));
        fs::write(folder.path().join(name), built)?;
    }
    for name in UNITS {
        let said = analyze(&["verify", "--man=no"], &folder.path().join(name))?;
        ensure!(said.is_empty(), "{said}");
    }
    let unit = fs::read_to_string(workspace().join("deploy/systemd/gate25.service"))?;
    for line in [
        "Type=notify",
        "Wants=network-pre.target",
        "Before=network-pre.target shutdown.target",
        "StateDirectory=gate25",
        "RuntimeDirectory=gate25",
        "LogsDirectory=gate25",
        "ExecReload=/usr/bin/gate25 reload --config /etc/gate25/gate25.yaml",
        "WatchdogSec=60s",
        "CapabilityBoundingSet=CAP_BPF CAP_NET_ADMIN CAP_PERFMON CAP_CHOWN",
        // Or nothing could be pinned.
        "ReadWritePaths=-/sys/fs/bpf",
    ] {
        ensure!(unit.lines().any(|found| found == line), "no {line}");
    }
    ensure!(
        !unit.lines().any(|line| line.starts_with("ProtectKernelTunables=")),
        "it makes the bpffs read-only"
    );
    Ok(())
}

/// As `systemd-analyze security` sees them: at most 3.0 and 1.5.
#[test]
fn the_units_are_hardened() -> Result<()> {
    for (name, most) in UNITS.into_iter().zip(["30", "15"]) {
        let unit = workspace().join("deploy/systemd").join(name);
        let said = analyze(&["security", "--offline=true", "--threshold", most], &unit)?;
        println!("{}", said.lines().last().unwrap_or_default());
    }
    Ok(())
}
