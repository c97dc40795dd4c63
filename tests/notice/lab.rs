//! The whole road: a blocked connection, redirected, greeted with its own reason, and looked up by its reference; and
//! what it gets while nobody answers.

use crate::support::{Client, HOST, SOON, URL};
use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    command,
    gate::Gate,
    lab::Lab,
    metrics::Samples,
    policy::{self, WEST},
    process::{Process, Signal},
    smtp::{self, Outcome},
    wait,
};
use serde_json::json;
use std::{
    fs::{self, File},
    net::{IpAddr, SocketAddr, TcpStream},
    process::Command,
};

/// On the edge itself, as small nodes have it.
const ADDRESSES: &str = r#"["192.0.2.1:2525", "[2001:db8:25::1]:2525"]"#;

fn responder(lab: &Lab, config: &str) -> Result<Process> {
    let log = lab.folder().join("notice.log");
    let mut command = Command::new("setpriv");
    // Nobody, in the group that the control socket has here.
    command.args(["--reuid=65534", "--regid=0", "--clear-groups", "--bounding-set=-all", "--no-new-privs"]);
    command.arg(lab.folder().join("gate25")).args(["notice", "--config", config, "--hostname", HOST]);
    command.stderr(File::create(&log)?);
    let mut process = lab.edge.spawn(command)?;
    let said = || fs::read_to_string(&log).unwrap_or_default();
    let listens = wait::until(SOON, || {
        (process.ended().is_some() || said().contains("notices at")).then(|| process.ended().is_none())
    });
    ensure!(listens == Some(true), "gate25 notice: {}", said());
    Ok(process)
}

fn up(family: &str) -> String {
    format!("gate25_redirect_up{{action=\"notice\",family=\"{family}\",zone=\"west\"}}")
}

fn are(value: f64) -> impl Fn(&Samples) -> bool {
    move |samples| {
        ["ipv4", "ipv6"]
            .iter()
            .all(|family| samples.get(&up(family)).is_some_and(|up| (up - value).abs() < 0.5))
    }
}

#[test]
fn a_blocked_connection_is_told_why_and_reset_while_nobody_answers() -> Result<()> {
    let lab = Lab::new()?;
    let notice = format!(
        "action: notice\n    notice: {{address: {ADDRESSES}, submission: smtp.example.net port 587, url: {URL}}}"
    );
    // The stranger's IPv6 address is blocked by a rule, its IPv4 address by nothing but the default.
    let blocks = format!("blocks: [{{id: spammers, destinations: ['{}'], reason: lab}}]\n", lab.stranger.v6);
    let text = WEST.replace("action: reset", &notice) + &blocks;
    let policy = policy::write(lab.folder(), &text)?;
    gate25_tests::command::copy_gate25(&lab.folder().join("gate25"), "")?;
    let gate = Gate::start(&lab, &policy)?;
    let config = gate.config().display().to_string();
    let control = lab.folder().join("control.sock").display().to_string();
    let refused = |what: &str| {
        for address in lab.stranger.addresses() {
            let outcome = smtp::mail(&lab.alice, address, SOON);
            ensure!(outcome == Outcome::Refused, "{what}: {outcome:?}; {}", gate.log());
        }
        anyhow::Ok(())
    };
    gate.wait_metrics("down at first", are(0.0))?;
    refused("nobody is there yet")?;
    let warning = "notice responder 192.0.2.1:2525 of zone west does not answer: blocked connections get a reset until it does";
    let warned = || gate.log().matches(warning).count();
    let is_warned =
        |times| wait::until(SOON, || (warned() == times).then_some(())).with_context(|| gate.log());
    is_warned(1)?;

    let mut process = responder(&lab, &config)?;
    gate.wait_metrics("up", are(1.0))?;
    for address in lab.stranger.addresses() {
        let mut client = Client::of(lab.alice.namespace.run(|| TcpStream::connect((address, 25)))?)?;
        let port = client.port()?;
        let (reason, rule) =
            if address.is_ipv4() { ("default", None) } else { ("block-rule", Some("spammers")) };
        let shown = format!("Reason: {reason} (");
        let greeting = client.reply().with_context(|| gate.log())?;
        for part in [&format!("554-{HOST} "), &format!(", not {address}\r\n"), &shown, "port 587", URL] {
            ensure!(greeting.contains(part), "{address}: no {part:?} in {greeting}");
        }
        let reference = greeting.trim_end().rsplit(' ').next().unwrap_or_default();
        client.write(b"QUIT\r\n")?;
        ensure!(client.rest()?.starts_with("221 "), "{address}");

        let lookup = command::gate25(["explain", "--ref", reference, "--control", &control, "--json"]);
        let ended = command::finish(&lab.edge, lookup, SOON)?;
        let record: serde_json::Value =
            serde_json::from_str(&ended.stdout).with_context(|| format!("{ended:?}"))?;
        let from: IpAddr = if address.is_ipv4() { lab.alice.v4.into() } else { lab.alice.v6.into() };
        let wanted = json!({
            "reference": reference, "time": record["time"], "subscriber": from, "subscriber_port": port,
            "remote": address, "zone": "west", "reason": reason, "rule": rule, "action": "notice",
        });
        ensure!(record == wanted, "{record} instead of {wanted}");
        let subscriber = SocketAddr::new(from, port);
        let line =
            gate.log().lines().any(|line| line.contains(reference) && line.contains(&subscriber.to_string()));
        ensure!(line, "not logged: {}", gate.log());
    }

    process.signal(Signal::SIGKILL);
    process.wait(SOON).context("still there")?;
    gate.wait_metrics("down", are(0.0))?;
    refused("it is dead")?;
    is_warned(2)?;
    let _process = responder(&lab, &config)?;
    gate.wait_metrics("up again", are(1.0))?;
    let mut client = Client::of(lab.alice.namespace.run(|| TcpStream::connect((lab.stranger.v4, 25)))?)?;
    ensure!(client.reply()?.contains(URL));
    ensure!(gate.health()?.0 == 200);
    Ok(())
}
