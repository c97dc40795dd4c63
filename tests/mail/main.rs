//! The real mail programs of Debian, before a gate: what people see of each action, over IPv4 and IPv6.

mod answers;
mod mtu;
mod notice;
mod operators;
mod relay;
mod web;

use anyhow::{Result, ensure};
use gate25_tests::{
    command::{self, Ended},
    gate::Gate,
    lab::{Host, Lab},
    mail::{Postfix, program},
    policy,
};
use std::{net::IpAddr, process::Command, time::Duration};

/// What the notice says, in part.
const SUBMISSION: &str = "smtp.west.example.net port 587";
const URL: &str = "https://example.net/port25";
/// With `action: notice`, where the responder is: the university, on another port than mail's.
const NOTICE: &str = r#"notice
    notice:
      address: ["198.51.100.25:2525", "[2001:db8:51::25]:2525"]
      submission: "smtp.west.example.net port 587"
      url: "https://example.net/port25""#;
/// With `action: relay`, to the approved relay.
const RELAY: &str = r#"relay
    relay_to: ["192.0.2.25:25", "[2001:db8:25::25]:25"]"#;
/// The domains that the senders route to addresses, by family: `v4.stranger.example` for one.
const FAMILIES: [&str; 2] = ["v4", "v6"];

const FROM: &str = "alice@alice.example";
const PATIENCE: Duration = Duration::from_mins(1);

/// A gate where alice's blocked connections get that, and strangers' answers to her nothing.
fn gate<'lab>(lab: &'lab Lab, action: &str) -> Result<Gate<'lab>> {
    let text = policy::WEST.replace("action: reset", &format!("return_path: enforce\n    action: {action}"));
    Gate::start(lab, &policy::write(lab.folder(), &text)?)
}

/// Awaits that what alice's connections are redirected to answers, or does not, in both families.
fn wait_redirect(gate: &Gate, action: &str, up: bool) -> Result<()> {
    for family in ["ipv4", "ipv6"] {
        let series = format!("gate25_redirect_up{{action=\"{action}\",family=\"{family}\",zone=\"west\"}}");
        gate.wait_series(&series, f64::from(u8::from(up)))?;
    }
    Ok(())
}

/// A Postfix on alice's host that sends to the lab's servers by address, and keeps nothing that cannot be sent.
fn sender(lab: &Lab) -> Result<Postfix<'_>> {
    let routes = [&lab.relay, &lab.stranger].map(|host| {
        let (name, v4, v6) = (host.name, host.v4, host.v6);
        format!("v4.{name}.example=smtp:[{v4}], v6.{name}.example=smtp:[ipv6:{v6}]")
    });
    // What could not be sent at the first try goes back, instead of after five days of tries.
    let settings = format!("transport_maps = inline:{{ {} }}\nmaximal_queue_lifetime = 0", routes.join(", "));
    Postfix::start(lab, &lab.alice, "alice.example", &settings)
}

/// A Postfix that takes all mail.
fn receiver<'lab>(lab: &Lab, host: &'lab Host) -> Result<Postfix<'lab>> {
    Postfix::start(lab, host, "static:all", "")
}

/// One mail of swaks' from a host; what it printed, and how it ended.
fn swaks(from: &Host, to: IpAddr, more: &[&str]) -> Result<Ended> {
    let mut command = Command::new(program("swaks")?);
    command.args(["--from", FROM, "--to", "bob@stranger.example", "--helo", "alice.example"]);
    command.args(["--server", &to.to_string(), "--port", "25", "--timeout", "10"]).args(more);
    if to.is_ipv6() {
        command.arg("-6");
    }
    command::finish(&from.namespace, command, PATIENCE)
}

/// The notice, as a mail program shows it.
fn is_notice(text: &str) -> Result<()> {
    for part in ["554", "notice.example.net", SUBMISSION, URL, "Reason: default"] {
        ensure!(text.contains(part), "no {part:?} in:\n{text}");
    }
    Ok(())
}
