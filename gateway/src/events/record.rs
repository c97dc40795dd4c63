//! An event as people and programs read it (contract section 3).

use gate25_common::verdict::EventKind;
use jiff::{Timestamp, Unit};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

type Word = Cow<'static, str>;

/// One event. What is not known, or does not apply, is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When it happened, to the millisecond.
    pub time: Timestamp,
    /// An [`EventKind`].
    pub kind: Word,
    /// The subscriber interface.
    pub interface: Option<String>,
    /// Always egress, but for kind `policy`.
    pub direction: Option<Word>,
    /// The zone's id.
    pub zone: Option<String>,
    /// An address; of kind `suspect` the subscriber: an address, or a prefix in IPv6.
    pub subscriber: Option<String>,
    /// Whom the subscriber wanted to talk to, at port 25.
    pub remote: Option<IpAddr>,
    /// The connection's port.
    pub subscriber_port: Option<u16>,
    /// Why it was blocked, of the closed list.
    pub reason: Option<Word>,
    /// The id of the rule named.
    pub rule: Option<String>,
    /// What the policy asks for.
    pub action: Option<Word>,
    /// Whether that was carried out.
    pub enforced: Option<bool>,
    /// Of kind `blocked`: this attempt, and those of the subscriber since its last event; of kind `suspect`: those of the
    /// window.
    pub attempts: Option<u64>,
    /// Of kind `suspect`: distinct remotes of the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remotes: Option<u32>,
    /// Of kind `policy`: what happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Record {
    /// An event of which nothing else is known.
    #[must_use]
    pub fn new(time: Timestamp, kind: EventKind) -> Self {
        Self {
            time: time.round(Unit::Millisecond).unwrap_or(time),
            kind: kind.label().into(),
            interface: None,
            direction: None,
            zone: None,
            subscriber: None,
            remote: None,
            subscriber_port: None,
            reason: None,
            rule: None,
            action: None,
            enforced: None,
            attempts: None,
            remotes: None,
            message: None,
        }
    }
}

impl fmt::Display for Record {
    /// A line for people, without its newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} {:<7}", self.time, self.kind)?;
        if let Some(subscriber) = &self.subscriber {
            write!(f, " {subscriber}")?;
        }
        if let (Some(port), true) = (self.subscriber_port, self.kind != EventKind::Suspect.label()) {
            write!(f, " port {port}")?;
        }
        if let Some(remote) = self.remote {
            write!(f, " to {remote}")?;
        }
        let words = [
            ("zone", self.zone.as_deref()),
            ("reason", self.reason.as_deref()),
            ("rule", self.rule.as_deref()),
            ("action", self.action.as_deref()),
        ];
        for (name, word) in words {
            if let Some(word) = word {
                write!(f, " {name} {word}")?;
            }
        }
        match self.enforced {
            Some(true) => f.write_str(" enforced")?,
            Some(false) => f.write_str(" monitored")?,
            None => {}
        }
        if let Some(attempts) = self.attempts.filter(|attempts| *attempts != 1) {
            write!(f, " attempts {attempts}")?;
        }
        if let Some(remotes) = self.remotes {
            write!(f, " remotes {remotes}")?;
        }
        if let Some(interface) = &self.interface {
            write!(f, " on {interface}")?;
        }
        if let Some(message) = &self.message {
            write!(f, " {message}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_known_is_null() {
        let time = "2026-01-02T03:04:05.123456789Z".parse().unwrap();
        let record = Record {
            rule: Some("campus".into()),
            message: Some("ended".into()),
            ..Record::new(time, EventKind::Policy)
        };
        let wanted = json!({
            "time": "2026-01-02T03:04:05.123Z", "kind": "policy", "interface": null, "direction": null,
            "zone": null, "subscriber": null, "remote": null, "subscriber_port": null, "reason": null,
            "rule": "campus", "action": null, "enforced": null, "attempts": null, "message": "ended",
        });
        assert_eq!(serde_json::to_value(&record).unwrap(), wanted);
        assert_eq!(serde_json::from_value::<Record>(wanted).unwrap(), record);
        assert_eq!(record.to_string(), "2026-01-02T03:04:05.123Z policy  rule campus ended");
    }

    #[test]
    fn a_line_for_people() {
        let blocked = Record {
            subscriber: Some("203.0.113.9".into()),
            subscriber_port: Some(40001),
            remote: Some("198.51.100.7".parse().unwrap()),
            zone: Some("west".into()),
            reason: Some("default".into()),
            action: Some("reset".into()),
            enforced: Some(true),
            attempts: Some(3),
            interface: Some("eth1".into()),
            ..Record::new("2026-01-02T03:04:05Z".parse().unwrap(), EventKind::Blocked)
        };
        assert_eq!(
            blocked.to_string(),
            "2026-01-02T03:04:05.000Z blocked 203.0.113.9 port 40001 to 198.51.100.7 zone west reason default action \
             reset enforced attempts 3 on eth1"
        );
    }
}
