//! A gate with everything that is watched, which tests and the picture look at.

use anyhow::{Context as _, Result};
use gate25_tests::{
    command,
    dns::{self, NameServer},
    gate::{self, Gate},
    lab::Lab,
    policy,
    process::Process,
    smtp::Sink,
};
use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
    process::Command,
    time::Duration,
};

/// The dashboard.
pub(crate) const DASHBOARD: &str = "deploy/grafana/gate25.json";
/// For each step of a mail that arrives or is refused, on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(15);
/// For what is to happen by itself, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// The lab's name server, on the edge.
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// An end in so many hours.
pub(crate) fn until(hours: i64) -> String {
    format!("until: \"{:.0}\"", jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours))
}

/// A policy that has what is watched: a zone for alice that redirects to a responder on the edge and one for bob, a name
/// that nobody knows, an exception that ends in three days.
pub(crate) fn policy() -> String {
    let campus = policy::exception("campus", &until(72));
    format!(
        r#"version: 1
zones:
  - id: west
    subscribers: ["203.0.113.0/25", "2001:db8:100::/48"]
    mode: enforce
    action: notice
    notice: {{address: ["192.0.2.1:2525", "[2001:db8:25::1]:2525"]}}
  - {{id: east, subscribers: ["203.0.113.128/25", "2001:db8:101::/48"], mode: enforce, action: reset}}
relays:
  - {{id: outbound, addresses: ["192.0.2.25", "2001:db8:25::/64"], names: [mx.example.net]}}
exceptions:
{campus}"#
    )
}

/// A gate with that policy, everything that happens to connections, and nobody who answers for the notice yet.
pub(crate) struct Scene<'lab> {
    pub(crate) lab: &'lab Lab,
    pub(crate) gate: Gate<'lab>,
    _sinks: Vec<Sink>,
    _names: NameServer,
}

impl<'lab> Scene<'lab> {
    pub(crate) fn start(lab: &'lab Lab, policy: &str) -> Result<Self> {
        let sinks = [&lab.relay, &lab.university, &lab.stranger]
            .into_iter()
            .map(|host| Sink::start(&host.namespace, host.name, &[25, 587]))
            .collect::<Result<_>>()?;
        let names = NameServer::start(&lab.edge, SERVER, 1)?;
        let file = policy::write(lab.folder(), policy)?;
        let config = gate::write(lab, &gate::configuration(lab, &file))?;
        let mut command = command::gate25(["run", "--config"]);
        command.arg(config);
        let gate =
            Gate::run(lab, dns::asking(&lab.folder().join("resolv.conf"), &[SERVER], &command)?, PATIENCE)?;
        Ok(Self { lab, gate, _sinks: sinks, _names: names })
    }

    /// `gate25 notice` on the edge, once the gate knows that it answers.
    pub(crate) fn responder(&self) -> Result<Process> {
        let mut command = Command::new(gate25_tests::gate25());
        command.args(["notice", "--hostname", "notice.example.net", "--config"]).arg(self.gate.config());
        command.stderr(std::fs::File::create(self.lab.folder().join("notice.log"))?);
        let process = self.lab.edge.spawn(command)?;
        for family in ["ipv4", "ipv6"] {
            let series = format!("gate25_redirect_up{{action=\"notice\",family=\"{family}\",zone=\"west\"}}");
            self.gate.wait_series(&series, 1.0)?;
        }
        Ok(process)
    }
}

/// A file that is shipped.
pub(crate) fn shipped(path: impl AsRef<Path>) -> Result<String> {
    let path = gate25_tests::workspace().join(path);
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}
