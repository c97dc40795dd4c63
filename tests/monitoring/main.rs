//! What `deploy/` has for people who watch: alerts, their runbook and a dashboard, before promtool and before a real Prometheus that
//! scrapes a real gate.

mod alerts;
mod dashboard;
mod draw;
mod picture;

use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    command,
    dns::{self, NameServer},
    gate::{self, Gate},
    lab::Lab,
    policy,
    process::Process,
    smtp::{self, Sink},
    wait,
};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    process::Command,
    time::Duration,
};

/// For each step of a mail that arrives or is refused, on a busy machine.
const LIMIT: Duration = Duration::from_secs(15);
/// For what is to happen by itself, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// The lab's name server, on the edge.
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// An end in so many hours.
fn until(hours: i64) -> String {
    format!("until: \"{:.0}\"", jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours))
}

/// A policy that has what is watched: a zone for alice that redirects to a responder on the edge and one for bob, a name
/// that nobody knows, an exception that ends in three days.
fn policy() -> String {
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
struct Scene<'lab> {
    lab: &'lab Lab,
    gate: Gate<'lab>,
    file: std::path::PathBuf,
    _sinks: Vec<Sink>,
    _names: NameServer,
}

impl<'lab> Scene<'lab> {
    fn new(lab: &'lab Lab) -> Result<Self> {
        Self::with(lab, &policy())
    }

    fn with(lab: &'lab Lab, policy: &str) -> Result<Self> {
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
        Ok(Self { lab, gate, file, _sinks: sinks, _names: names })
    }

    /// Mail that passes and mail that is blocked, from both zones.
    fn traffic(&self) -> Result<()> {
        for from in [&self.lab.alice, &self.lab.bob] {
            for (to, is_delivered) in
                [(&self.lab.relay, true), (&self.lab.university, true), (&self.lab.stranger, false)]
            {
                let outcomes = smtp::knock(from, to, LIMIT);
                let is_right = outcomes.iter().all(|outcome| outcome.is_delivered() == is_delivered);
                ensure!(is_right, "{} to {}: {outcomes:?}\n{}", from.name, to.name, self.gate.log());
            }
        }
        Ok(())
    }

    /// `gate25 notice` on the edge, once the gate knows that it answers.
    fn responder(&self) -> Result<Process> {
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

    /// The names of all metrics of the gate and of the responder.
    fn metrics(&self) -> Result<BTreeSet<String>> {
        let notice = "127.0.0.1:9126".parse()?;
        let page = || self.lab.edge.run(|| gate25_tests::http::get(notice, "/metrics")).ok();
        let (_, notice) = wait::until(PATIENCE, page).context("no metrics of gate25 notice")?;
        let text = self.gate.scrape()? + &notice;
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        Ok(types.filter_map(|line| Some(line.split_once(' ')?.0.to_owned())).collect())
    }
}

/// Every `gate25_…` in a text that could be a metric, but for what Prometheus adds to the name of a histogram.
fn named(text: &str) -> BTreeSet<&str> {
    text.split(|sign: char| !sign.is_ascii_alphanumeric() && sign != '_')
        .filter(|word| word.starts_with("gate25_"))
        .map(|word| {
            ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word)
        })
        .collect()
}

/// A file that is shipped.
fn shipped(path: impl AsRef<Path>) -> Result<String> {
    let path = gate25_tests::workspace().join(path);
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}
