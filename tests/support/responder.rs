//! A running `gate25 notice` on a host of a lab.

use crate::{
    gate::Gate,
    lab::{Host, Lab},
    process::Process,
};
use anyhow::Result;
use std::{fs::File, process::Command};

/// Starts `gate25 notice` with the gate's configuration; killed when the result is dropped. It listens once the gate's
/// `gate25_redirect_up` says so.
pub fn start(lab: &Lab, gate: &Gate, host: &Host) -> Result<Process> {
    let mut command = Command::new(crate::gate25());
    command.args(["notice", "--hostname", "notice.example.net", "--config"]).arg(gate.config());
    let log = File::options().create(true).append(true).open(lab.folder().join("notice.log"))?;
    command.stdout(log.try_clone()?).stderr(log);
    host.namespace.spawn(command)
}
