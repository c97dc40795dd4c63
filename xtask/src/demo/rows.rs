//! The connections of the demo: what is promised, what is seen.

use crate::table::table;
use anyhow::{Context as _, Result, ensure};
use comfy_table::Table;
use gate25_tests::{
    gate25,
    lab::{Host, Lab},
    smtp::{self, Outcome, Report},
};
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

/// How long a client waits in vain: a second SYN is sent after one second, and is dropped too.
const SILENCE: Duration = Duration::from_millis(1500);
/// How long each step of one that is answered may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a policy promises for one connection, over both families.
pub(crate) struct Row {
    from: &'static str,
    to: &'static str,
    port: u16,
    expected: &'static str,
    reason: &'static str,
}

const fn row(from: &'static str, to: &'static str, expected: &'static str, reason: &'static str) -> Row {
    Row { from, to, port: 25, expected, reason }
}

impl Row {
    /// What policies/demo.yaml promises.
    pub(crate) fn before() -> Vec<Self> {
        Self::with_submission([
            row("alice", "relay", "delivered", "relay"),
            row("alice", "university", "delivered", "exception"),
            row("alice", "stranger", "refused", "default"),
            row("bob", "relay", "delivered", "relay"),
            row("bob", "university", "timed out", "default"),
            row("bob", "stranger", "timed out", "default"),
        ])
    }

    /// What policies/demo-reloaded.yaml promises.
    pub(crate) fn after() -> Vec<Self> {
        Self::with_submission([
            row("alice", "relay", "delivered", "relay"),
            row("alice", "university", "refused", "default"),
            row("alice", "stranger", "delivered", "exception"),
            row("bob", "relay", "delivered", "relay"),
            row("bob", "university", "delivered", "exception"),
            row("bob", "stranger", "timed out", "block-rule"),
        ])
    }

    /// Mail submission (RFC 6409) is nobody's business here, under any policy.
    fn with_submission(rows: [Self; 6]) -> Vec<Self> {
        let submission = |from| Self { port: 587, ..row(from, "stranger", "delivered", "not-smtp") };
        rows.into_iter().chain(["alice", "bob"].map(submission)).collect()
    }
}

/// What one connection came to.
pub(crate) struct Seen {
    policy: &'static str,
    from: &'static str,
    to: &'static str,
    server: SocketAddr,
    expected: [&'static str; 2],
    report: Report,
    /// As `gate25 explain` gives it.
    reason: String,
}

impl Seen {
    /// Whether both the outcome and the reason are.
    pub(crate) fn as_expected(&self) -> bool {
        self.expected == [&self.report.outcome.to_string(), &self.reason] && self.right_server()
    }

    /// A banner is that of the server meant.
    fn right_server(&self) -> bool {
        !matches!(&self.report.outcome, Outcome::Delivered(banner) if !banner.contains(self.to))
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { policy, from, to, server, expected: [outcome, reason], report, .. } = self;
        write!(f, "policy {policy}: {from} to {to} ({server}): ")?;
        write!(f, "{:?}, {} instead of {outcome}, {reason}", report.outcome, self.reason)
    }
}

/// Makes all those connections at once, over both families.
pub(crate) fn see(lab: &Lab, policy: &Path, name: &'static str, rows: &[Row]) -> Result<Vec<Seen>> {
    thread::scope(|scope| {
        let connections = rows.iter().flat_map(|row| [0, 1].map(|family| (row, family)));
        let connections: Vec<_> = connections
            .map(|(row, family)| scope.spawn(move || connect(lab, policy, name, row, family)))
            .collect();
        connections
            .into_iter()
            .map(|connection| connection.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

fn connect(lab: &Lab, policy: &Path, name: &'static str, row: &Row, family: usize) -> Result<Seen> {
    let host = |name| {
        let hosts = [&lab.alice, &lab.bob, &lab.relay, &lab.university, &lab.stranger];
        hosts.into_iter().find(|host| host.name == name).with_context(|| format!("{name}: not in the lab"))
    };
    let (from, to): (&Host, &Host) = (host(row.from)?, host(row.to)?);
    let (source, address) = (from.addresses()[family], to.addresses()[family]);
    let server = SocketAddr::new(address, row.port);
    let limit = if row.expected == "timed out" { SILENCE } else { PATIENCE };
    let report = from.namespace.run(|| smtp::send(server, limit));
    // `explain` is about port 25 only; on any other there is one reason.
    let reason = if row.port == 25 { explain(policy, source, address)? } else { "not-smtp".into() };
    let expected = [row.expected, row.reason];
    Ok(Seen { policy: name, from: row.from, to: row.to, server, expected, report, reason })
}

/// The reason `gate25 explain` gives for that connection.
fn explain(policy: &Path, from: IpAddr, to: IpAddr) -> Result<String> {
    let mut command = Command::new(gate25());
    command.arg("explain").arg("--policy").arg(policy);
    command.args(["--from", &from.to_string(), "--to", &to.to_string(), "--json"]);
    let output = command.output().context("cannot start gate25 explain")?;
    let wrote = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "gate25 explain: {}: {}", output.status, wrote.trim_end());
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).context("gate25 explain")?;
    Ok(answer["reason"]
        .as_str()
        .with_context(|| format!("gate25 explain: no reason in {answer}"))?
        .to_owned())
}

/// The connections as a table.
pub(crate) fn report(all: &[Seen]) -> Table {
    let mut report = table(&["policy", "from", "to", "server", "expected", "happened", "reason", "ms", ""]);
    for seen in all {
        report.add_row([
            seen.policy,
            seen.from,
            seen.to,
            &seen.server.to_string(),
            seen.expected[0],
            &seen.report.outcome.to_string(),
            &seen.reason,
            &format!("{:.1}", seen.report.took.as_secs_f64() * 1000.0),
            if seen.as_expected() { "ok" } else { "WRONG" },
        ]);
    }
    report
}
