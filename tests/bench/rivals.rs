//! The alternatives, each with the same policy as far as it can express it.

pub(crate) mod netfilter;
pub(crate) mod xdp_filter;

use anyhow::{Result, bail};
use gate25_tests::{lab::Lab, process::Process, wait};
use std::{
    fs::{self, File},
    process::{Command, Stdio},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// Starts what says `ready` and then stays, in the lab's edge.
fn ready(lab: &Lab, name: &str, mut command: Command) -> Result<Process> {
    let log = lab.folder().join(format!("{name}.log"));
    let output = File::create(&log)?;
    command.stdin(Stdio::piped()).stdout(output.try_clone()?).stderr(output);
    let mut process = lab.edge.spawn(command)?;
    let text = || fs::read_to_string(&log).unwrap_or_default();
    let state = wait::until(PATIENCE, || {
        if text().lines().any(|line| line == "ready") {
            return Some(true);
        }
        process.ended().map(|_| false)
    });
    if state != Some(true) {
        bail!("cannot be started: {}", text().trim().replace('\n', "; "));
    }
    Ok(process)
}
