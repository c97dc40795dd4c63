//! What the service manager is told (`Type=notify` of systemd): that the gate enforces, so that what is ordered behind it
//! (the network) begins only then; in a line, what it does; and, for its watchdog, that the controller goes on.

use crate::heart::Heart;
use crate::status::{Shared, Status};
use gate25_common::verdict::RuleKind;
use sd_notify::NotifyState;
use std::time::Duration;
use tracing::warn;

/// How often it is looked whether there is something new to say.
const LOOK: Duration = Duration::from_secs(1);

/// Tells that it is ready, if somebody wants to know.
pub fn ready(status: &Shared) {
    tell(&[NotifyState::Ready, NotifyState::Status(&line(&status.lock()))]);
}

/// Tells that it ends.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Tells what is new, and that all is well; but not unless this task and that heart's thread both go on. To be spawned on
/// the runtime that answers people.
pub async fn follow(status: Shared, heart: Heart) {
    // Half of what it waits for, as its manual wants.
    let period = sd_notify::watchdog_enabled().map(|limit| limit / 2);
    let pause = period.map_or(LOOK, |period| period.min(LOOK));
    let (mut told, mut since) = (String::new(), Duration::ZERO);
    loop {
        let now = line(&status.lock());
        if now != told {
            tell(&[NotifyState::Status(&now)]);
            told = now;
        }
        tokio::time::sleep(pause).await;
        since += pause;
        if let Some(period) = period.filter(|period| since >= *period) {
            since = Duration::ZERO;
            if heart.beats(period) {
                tell(&[NotifyState::Watchdog]);
            }
        }
    }
}

fn tell(what: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(what) {
        warn!("NOTIFY_SOCKET: {error}: the service manager does not know");
    }
}

/// `enforcing on eth1: 3 zones, 12 exceptions; the policy at its path is refused: …`
fn line(status: &Status) -> String {
    let names: Vec<&str> = status.interfaces.iter().map(|interface| interface.name.as_str()).collect();
    let does = if status.node.enforce { "enforcing" } else { "monitoring" };
    let mut line = match status.interfaces.iter().find_map(|interface| interface.why.as_ref()) {
        Some(why) => format!("not {does}: {why}"),
        None => format!("{does} on {}", names.join(", ")),
    };
    if let Some(installed) = &status.installed {
        let exceptions = installed.rules.values().filter(|rule| rule.kind == RuleKind::Exception).count();
        line += &format!(": {}, {}", count(installed.zones.len(), "zone"), count(exceptions, "exception"));
    }
    if let Some(since) = status.kept_since {
        line += &format!("; of {since}, for the policy at its path cannot be read");
    }
    if let Some(refusal) = status.refusal.as_ref().filter(|_| status.is_refused) {
        line += "; the policy at its path is refused";
        if let Some(problem) = refusal.problems.first() {
            line += &format!(": {problem}");
        }
    }
    // A datagram has lines.
    line.replace(char::is_control, " ")
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datapath::attach::XdpMode;
    use crate::status::{Interface, Node, Refusal};

    #[test]
    fn a_line_says_what_it_does() {
        let mode = XdpMode::Native;
        let on = |name: &str| Interface { name: name.into(), mode, attached: true, why: None };
        let mut status = Status {
            node: Node { enforce: true, ..Node::default() },
            interfaces: vec![on("eth1"), on("eth2")],
            installed: Some(std::sync::Arc::default()),
            ..Status::default()
        };
        assert_eq!(line(&status), "enforcing on eth1, eth2: 0 zones, 0 exceptions");
        let problems = vec!["a.yaml:1:1: it\nis bad".to_owned(), "more".to_owned()];
        status.refusal = Some(Refusal { time: jiff::Timestamp::UNIX_EPOCH, problems });
        assert_eq!(line(&status), "enforcing on eth1, eth2: 0 zones, 0 exceptions", "mended since");
        status.is_refused = true;
        status.node.enforce = false;
        status.interfaces[1].why = Some("interface: eth2: is gone (wait)".into());
        let wanted = "not monitoring: interface: eth2: is gone (wait): 0 zones, 0 exceptions; the policy at its path is \
                      refused: a.yaml:1:1: it is bad";
        assert_eq!(line(&status), wanted);
    }
}
