//! A lab with a zone that enforces and one that monitors, and SYNs from anybody.

use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    command::{self, Ended},
    gate::{self, Gate},
    lab::{INTERFACE, Lab},
    packet::{Link, Tcp, packet},
    policy, wait,
    wire::{Wire, mac},
};
use serde_json::Value;
use std::{fs, net::IpAddr, path::PathBuf, time::Duration};

pub(crate) const SOON: Duration = Duration::from_mins(1);

/// Zone west (alice) enforces, zone east (bob) monitors.
pub(crate) const POLICY: &str = r#"version: 1
suspects: {attempts: 5, remotes: 3, within: 10m}
zones:
  - id: west
    subscribers: ["203.0.113.0/25", "2001:db8:100::/48"]
    mode: enforce
    action: drop
  - id: east
    subscribers: ["203.0.113.128/25", "2001:db8:101::/48"]
    subscriber_prefix_v6: 56
exceptions:
  - {id: campus, destinations: ["198.51.100.0/24"], until: "2004-07-28T00:00:00Z", owner: noc, reason: lab}
"#;

pub(crate) struct Site {
    pub(crate) lab: Lab,
    wire: Wire,
    edge: [u8; 6],
    pub(crate) policy: PathBuf,
}

impl Site {
    pub(crate) fn new() -> Result<Self> {
        let lab = Lab::new()?;
        let policy = policy::write(lab.folder(), POLICY)?;
        let wire = Wire::open(lab.access(), "edge")?;
        let edge = mac(&lab.edge, INTERFACE)?;
        lab.with_flow_control()?;
        Ok(Self { lab, wire, edge, policy })
    }

    /// A node's configuration that has `events:` as given.
    pub(crate) fn configuration(&self, events: &str) -> String {
        format!("events: {events}\n{}", gate::configuration(&self.lab, &self.policy))
    }

    /// A gate that writes events to [`Self::file`].
    pub(crate) fn gate(&self) -> Result<Gate<'_>> {
        Gate::start_with(&self.lab, &self.configuration(&format!("{{file: {}}}", self.file().display())))
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.lab.folder().join("log/events.jsonl")
    }

    pub(crate) fn frame(&self, from: IpAddr, to: &str, port: u16) -> Result<Vec<u8>> {
        let mut link = Link::new();
        link.destination = self.edge;
        Ok(link.carry(packet(from, to.parse()?, &Tcp::syn(port, 25))))
    }

    pub(crate) fn send(&self, frames: &[Vec<u8>]) -> Result<()> {
        self.wire.send(frames)
    }

    /// New connections from there to there, from ports 20000 on.
    pub(crate) fn tries(&self, from: &str, to: &str, times: u16) -> Result<()> {
        let from: IpAddr = from.parse()?;
        let frames =
            (0..times).map(|number| self.frame(from, to, 20_000 + number)).collect::<Result<Vec<_>>>()?;
        self.send(&frames)
    }

    /// Events in the file, once the last of them is of that subscriber.
    pub(crate) fn events_until(&self, subscriber: &str) -> Result<Vec<Value>> {
        let mut events = Vec::new();
        wait::until(SOON, || {
            events = lines(&fs::read_to_string(self.file()).unwrap_or_default()).ok()?;
            events.last().is_some_and(|event| event["subscriber"] == subscriber).then_some(())
        })
        .with_context(|| format!("nothing of {subscriber} in {events:#?}"))?;
        Ok(events)
    }

    /// Awaits that so many blocked connections are told of in the file.
    pub(crate) fn blocked(&self, count: usize) -> Result<()> {
        let told =
            || fs::read_to_string(self.file()).unwrap_or_default().matches(r#""kind":"blocked""#).count();
        wait::until(SOON, || (told() == count).then_some(()))
            .with_context(|| format!("{} events of blocked connections instead of {count}", told()))
    }

    /// The command, asking this lab's controller.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Result<Ended> {
        let control = self.lab.folder().join("control.sock");
        let mut command = command::gate25(arguments.iter().copied());
        command.arg("--control").arg(control);
        command::finish(&self.lab.edge, command, SOON)
    }

    /// The JSON that it prints.
    pub(crate) fn asked(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        let ended = self.ask(arguments)?;
        ensure!(ended.code == Some(0), "{ended:?}");
        lines(&ended.stdout)
    }
}

/// Lines of JSON.
pub(crate) fn lines(text: &str) -> Result<Vec<Value>> {
    text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}
