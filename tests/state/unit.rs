//! The service's unit, as systemd reads it.

use anyhow::{Context as _, Result, ensure};
use gate25_tests::workspace;
use std::{fs, process::Command};

#[test]
fn the_unit_is_sound_and_comes_before_the_network() -> Result<()> {
    let unit = fs::read_to_string(workspace().join("deploy/systemd/gate25.service"))?;
    // Of this build, as systemd looks whether it is there.
    let program = gate25_tests::gate25();
    let built = unit.replace("/usr/bin/gate25 ", &format!("{} ", program.display()));
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("gate25.service");
    fs::write(&file, built)?;
    let mut analyze = Command::new("systemd-analyze");
    let verified = analyze.args(["verify", "--man=no"]).arg(&file).output().context("systemd-analyze")?;
    let said = String::from_utf8_lossy(&verified.stderr);
    ensure!(verified.status.success() && said.is_empty(), "{said}");
    let has = |line: &str| unit.lines().any(|found| found == line);
    for line in [
        "Type=notify",
        "Wants=network-pre.target",
        "Before=network-pre.target shutdown.target",
        "StateDirectory=gate25",
        "RuntimeDirectory=gate25",
        "LogsDirectory=gate25",
        "ExecReload=/usr/bin/gate25 reload --config /etc/gate25/gate25.yaml",
    ] {
        ensure!(has(line), "no {line}");
    }
    // A mount namespace of its own would take the pins along.
    let private =
        ["Protect", "Private", "ReadWritePaths", "ReadOnlyPaths", "DynamicUser", "TemporaryFileSystem"];
    ensure!(!unit.lines().any(|line| private.iter().any(|word| line.starts_with(word))));
    Ok(())
}
