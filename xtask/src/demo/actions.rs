//! A connection for each action: what the client sees, in its own words.

use crate::table::table;
use anyhow::{Context as _, Result, ensure};
use comfy_table::Table;
use gate25_tests::{
    gate::Gate,
    gate25,
    lab::Lab,
    metrics::sum,
    process::Process,
    smtp::{Heard, hear},
};
use std::{
    fmt,
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    process::Command,
    thread,
    time::Duration,
};

/// How long a client waits in vain.
const SILENCE: Duration = Duration::from_millis(2500);
/// How long it waits for an answer, on a busy machine. Where an ICMP message comes while the client is still sending, Linux
/// heeds the next one only, a second later.
const PATIENCE: Duration = Duration::from_secs(15);

/// The responder's name in the lab.
const HOSTNAME: &str = "notice.example.net";

/// An action, the last part of alice's address in its zone, and whether what she heard is right.
struct Promise(&'static str, u8, fn(&Heard, IpAddr) -> bool);

const PROMISES: [Promise; 5] = [
    Promise("drop", 0x11, |heard, _| heard.error() == Some(ErrorKind::TimedOut)),
    Promise("reset", 0x12, |heard, _| heard.error() == Some(ErrorKind::ConnectionRefused)),
    Promise("icmp", 0x13, |heard, server| {
        let error = if server.is_ipv4() { ErrorKind::HostUnreachable } else { ErrorKind::PermissionDenied };
        heard.error() == Some(error)
    }),
    Promise("notice", 0x14, |heard, server| {
        let text = heard.to_string();
        text.starts_with(&format!("554-{HOSTNAME}"))
            && [&server.to_string(), "default", "https://example.net/port25"]
                .iter()
                .all(|word| text.contains(*word))
    }),
    Promise("relay", 0x15, |heard, _| heard.to_string().starts_with("220 relay")),
];

/// What a client of one zone saw.
pub(crate) struct Seen {
    action: &'static str,
    server: SocketAddr,
    heard: Heard,
    as_promised: bool,
}

impl Seen {
    pub(crate) fn as_expected(&self) -> bool {
        self.as_promised
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "action {} ({}): the client saw {:?}", self.action, self.server, self.heard.to_string())
    }
}

/// Starts the responder, gives alice an address in each zone and lets her connect to the stranger from each. The policy is
/// in force already.
pub(crate) fn see(lab: &Lab, gate: &Gate) -> Result<Vec<Seen>> {
    let _responder = responder(lab, gate)?;
    for Promise(_, last, _) in PROMISES {
        let [a, b, c, _] = lab.alice.v4.octets();
        // As in the policy: the same two digits in both families.
        let v4 = format!("{a}.{b}.{c}.{last:x}");
        lab.alice
            .namespace
            .ip(&format!("addr add {v4}/24 dev eth0\naddr add 2001:db8:100::{last:x}/64 dev eth0 nodad\n"))?;
    }
    gate.wait_metrics("the responder and the relay answer", |now| {
        sum(now, "gate25_redirect_up", &[]) >= 4.0
    })?;
    thread::scope(|scope| {
        let clients: Vec<_> = PROMISES
            .iter()
            .flat_map(|promise| [0, 1].map(|family| (promise, family)))
            .map(|(promise, family)| scope.spawn(move || connect(lab, promise, family)))
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// `gate25 notice` on the relay's host; like any user it may reach the control socket, which is a file.
fn responder(lab: &Lab, gate: &Gate) -> Result<Process> {
    let mut command = Command::new(gate25());
    command.arg("notice").arg("--config").arg(gate.config()).args(["--hostname", HOSTNAME]);
    command.stderr(std::fs::File::create(lab.folder().join("notice.log"))?);
    lab.relay.namespace.spawn(command)
}

fn connect(lab: &Lab, Promise(action, last, is_right): &Promise, family: usize) -> Result<Seen> {
    let from: IpAddr = if family == 0 {
        format!("203.0.113.{last:x}").parse()?
    } else {
        format!("2001:db8:100::{last:x}").parse()?
    };
    let server = lab.stranger.addresses()[family];
    let limit = if *action == "drop" { SILENCE } else { PATIENCE };
    let heard = lab.alice.namespace.run(|| hear(from, SocketAddr::new(server, 25), limit));
    let as_promised = is_right(&heard, server);
    Ok(Seen { action, server: SocketAddr::new(server, 25), heard, as_promised })
}

/// What `gate25 explain --ref` says of the reference in a notice.
pub(crate) fn reference(gate: &Gate, all: &[Seen]) -> Result<String> {
    let text = all.iter().map(|seen| seen.heard.to_string()).find(|text| text.starts_with("554"));
    let text = text.context("nobody got a notice")?;
    let is_reference = |word: &&str| {
        word.len() == 8 && word.bytes().all(|octet| octet.is_ascii_digit() || octet.is_ascii_uppercase())
    };
    let reference = text
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .find(is_reference)
        .with_context(|| format!("no reference in {text}"))?;
    let mut command = Command::new(gate25());
    command.args(["explain", "--ref", reference, "--config"]).arg(gate.config());
    let output = command.output().context("cannot start gate25 explain")?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    Ok(format!("$ gate25 explain --ref {reference}\n{}", String::from_utf8_lossy(&output.stdout).trim_end()))
}

/// The clients' words as a table.
pub(crate) fn report(all: &[Seen]) -> Table {
    let mut report = table(&["action", "server asked for", "what the client saw", "ms", ""]);
    for seen in all {
        report.add_row([
            seen.action,
            &seen.server.to_string(),
            &seen.heard.to_string(),
            &format!("{:.1}", seen.heard.took.as_secs_f64() * 1000.0),
            if seen.as_expected() { "ok" } else { "WRONG" },
        ]);
    }
    report
}
