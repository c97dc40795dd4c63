//! A running Prometheus (Debian's, as `cargo xtask setup` leaves it) at the edge of a lab, which scrapes the gate there.

use crate::{http, lab::Lab, process::Process, program, wait, workspace};
use anyhow::{Context as _, Result, ensure};
use std::{
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    process::{Command, Stdio},
    time::Duration,
};

/// Where it listens, in the edge's namespace.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);
/// How long it may take to start.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running Prometheus; killed when dropped.
#[derive(Debug)]
pub struct Prometheus<'lab> {
    lab: &'lab Lab,
    _process: Process,
}

impl<'lab> Prometheus<'lab> {
    /// Starts one with the scrape configuration and the rules that Gate25 ships, but scraping and evaluating each second;
    /// awaits that it is ready.
    pub fn start(lab: &'lab Lab) -> Result<Self> {
        let shipped = workspace().join("deploy/prometheus");
        let scrape = fs::read_to_string(shipped.join("scrape.yaml"))?.replace("15s", "1s");
        let rules = shipped.join("rules.yaml");
        let configuration =
            format!("global: {{evaluation_interval: 1s}}\nrule_files: [{}]\n{scrape}", rules.display());
        let file = lab.folder().join("prometheus.yaml");
        fs::write(&file, configuration)?;
        let log = lab.folder().join("prometheus.log");
        let mut command = Command::new(program("prometheus")?);
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", lab.folder().join("prometheus").display()));
        command.arg(format!("--web.listen-address={LISTEN}"));
        let output = File::create(&log)?;
        command.stdout(output.try_clone()?).stderr(output);
        let prometheus = Self { lab, _process: lab.edge.spawn(command)? };
        let ready = || prometheus.get("/-/ready").is_ok_and(|(status, _)| status == 200).then_some(());
        wait::until(PATIENCE, ready).with_context(|| {
            format!("prometheus: not ready; it wrote:\n{}", fs::read_to_string(&log).unwrap_or_default())
        })?;
        Ok(prometheus)
    }

    /// The body of `/api/v1/{path}`, JSON.
    pub fn api(&self, path: &str) -> Result<String> {
        let (status, body) = self.get(&format!("/api/v1/{path}"))?;
        anyhow::ensure!(status == 200, "/api/v1/{path}: {status}: {body}");
        Ok(body)
    }

    /// The answer to a query, now, as JSON.
    pub fn query(&self, query: &str) -> Result<String> {
        self.api(&format!("query?query={}", encoded(query))).with_context(|| query.to_owned())
    }

    fn get(&self, path: &str) -> Result<(u16, String)> {
        Ok(self.lab.edge.run(|| http::get(LISTEN, path))?)
    }
}

/// As it may stand in a URL's query.
#[must_use]
pub fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, octet| {
        // Writing to a string cannot fail.
        let _ = write!(encoded, "%{octet:02x}");
        encoded
    })
}

/// `promtool check metrics` has nothing to say of a scrape.
pub fn is_silent(scrape: &str) -> Result<()> {
    let mut command = Command::new(program("promtool")?);
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    child.stdin.take().context("no stdin")?.write_all(scrape.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(output.status.success() && said.is_empty(), "promtool: {}", String::from_utf8_lossy(&said));
    Ok(())
}
