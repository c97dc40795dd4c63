//! A running `gate25 run` at the edge of a lab.

use crate::{
    clock::Clock,
    http,
    lab::{INTERFACE, Lab},
    metrics::{self, Samples},
    process::{Process, Signal},
    wait,
};
use anyhow::{Context as _, Result, bail};
use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::{Duration, Instant},
};

/// Where the gate listens, in the edge's namespace.
pub const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9125);

/// How long the gate may take to start, to stop, and for one change to show.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running gate; killed when dropped, what it attached stays until the lab goes.
#[derive(Debug)]
pub struct Gate<'lab> {
    lab: &'lab Lab,
    process: Process,
    config: PathBuf,
    log: PathBuf,
}

impl<'lab> Gate<'lab> {
    /// Starts `gate25 run` with that policy and awaits that it enforces. In a lab where one ran before, it finds
    /// what that one left.
    pub fn start(lab: &'lab Lab, policy: &Path) -> Result<Self> {
        Self::start_with(lab, &configuration(lab, policy))
    }

    /// Starts `gate25 run` with a node configuration that [`configuration`] may have been the beginning of.
    pub fn start_with(lab: &'lab Lab, configuration: &str) -> Result<Self> {
        let config = write(lab, configuration)?;
        let mut command = Command::new(crate::gate25());
        command.arg("run").arg("--config").arg(config);
        Self::run(lab, command, PATIENCE)
    }

    /// The same, going by that clock.
    pub fn start_by(lab: &'lab Lab, configuration: &str, clock: &Clock) -> Result<Self> {
        let mut command = Command::new(crate::gate25());
        command.arg("run").arg("--config").arg(write(lab, configuration)?);
        clock.wind(&mut command);
        Self::run(lab, command, PATIENCE)
    }

    /// Starts any command that is to serve at [`LISTEN`], and awaits that it enforces.
    pub fn run(lab: &'lab Lab, mut command: Command, patience: Duration) -> Result<Self> {
        let log = lab.folder().join("gate.log");
        let output = File::options().create(true).append(true).open(&log)?;
        command.stdout(output.try_clone()?).stderr(output);
        let mut gate = Self { lab, process: lab.edge.spawn(command)?, config: file(lab), log };
        match wait::until(patience, || gate.started()) {
            Some(true) => Ok(gate),
            Some(false) => bail!("gate25 run ended; it wrote:\n{}", gate.log()),
            None => bail!("gate25 run: no 200 from /healthz in {patience:?}; it wrote:\n{}", gate.log()),
        }
    }

    /// Whether it enforces, or has ended; `None` before either.
    fn started(&mut self) -> Option<bool> {
        if self.process.ended().is_some() {
            return Some(false);
        }
        self.health().is_ok_and(|(status, _)| status == 200).then_some(true)
    }

    /// The node configuration it runs with, for other commands.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it wrote so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Awaits a line in its log in which all those parts are: it writes what it did behind the deed.
    pub fn wait_log(&self, parts: &[&str]) -> Result<String> {
        let is_it = |line: &&str| parts.iter().all(|part| line.contains(part));
        wait::until(PATIENCE, || self.log().lines().find(is_it).map(str::to_owned))
            .with_context(|| format!("no line with {parts:?} in:\n{}", self.log()))
    }

    /// Status and body of `/healthz`.
    pub fn health(&self) -> Result<(u16, String)> {
        self.get("/healthz")
    }

    /// The text of `/metrics`.
    pub fn scrape(&self) -> Result<String> {
        let (status, body) = self.get("/metrics")?;
        anyhow::ensure!(status == 200, "/metrics: {status}: {body}");
        Ok(body)
    }

    /// A scrape, read.
    pub fn metrics(&self) -> Result<Samples> {
        metrics::parse(&self.scrape()?)
    }

    /// Scrapes until a scrape is as wanted, and gives that; an error, with the gate's log, if none is in time.
    pub fn wait_metrics(&self, what: &str, wanted: impl Fn(&Samples) -> bool) -> Result<Samples> {
        wait::until(PATIENCE, || self.metrics().ok().filter(&wanted))
            .with_context(|| format!("metrics: {what}: not in {PATIENCE:?}; the gate wrote:\n{}", self.log()))
    }

    /// SIGHUP: reload.
    pub fn reload(&self) {
        self.process.signal(Signal::SIGHUP);
    }

    /// SIGTERM: the controller ends, enforcement stays.
    pub fn stop(mut self) -> Result<ExitStatus> {
        self.process.signal(Signal::SIGTERM);
        self.process.wait(PATIENCE).with_context(|| {
            format!("gate25 run: still there {PATIENCE:?} after SIGTERM; it wrote:\n{}", self.log())
        })
    }

    /// SIGKILL: the controller is dead, enforcement stays.
    pub fn kill(self) {
        drop(self);
    }

    /// Scrapes until that series has that value; the time it took. An error if it has not in time.
    pub fn wait_series(&self, series: &str, value: f64) -> Result<Duration> {
        let start = Instant::now();
        let wanted = |now: &Samples| now.get(series).is_some_and(|now| (now - value).abs() < 0.5);
        self.wait_metrics(&format!("{series} {value}"), wanted)?;
        Ok(start.elapsed())
    }

    fn get(&self, path: &str) -> Result<(u16, String)> {
        Ok(self.lab.edge.run(|| http::get(LISTEN, path))?)
    }
}

/// The node configuration for a gate in that lab, for additions behind it: its last key is `interfaces`, with one entry.
#[must_use]
pub fn configuration(lab: &Lab, policy: &Path) -> String {
    let (folder, pin) = (lab.folder().display(), lab.pin());
    let (policy, pin) = (policy.display(), pin.display());
    format!(
        "policy: {policy}
listen: {LISTEN}
control: {folder}/control.sock
pin: {pin}
state: {folder}/state
interfaces:
  - name: {INTERFACE}
"
    )
}

/// Where the node configuration of that lab's gate is.
fn file(lab: &Lab) -> PathBuf {
    lab.folder().join("gate25.yaml")
}

/// Writes the node configuration of that lab's gate, and says where it is.
pub fn write(lab: &Lab, configuration: &str) -> Result<PathBuf> {
    let config = file(lab);
    fs::write(&config, configuration).with_context(|| config.display().to_string())?;
    Ok(config)
}
