//! The control socket: how other processes of this host ask the running controller. One JSON object a line each way,
//! answers in the order of the requests.

pub mod client;
pub mod handler;
pub mod places;
pub mod references;
pub mod report;
pub mod server;
mod stream;

use crate::command::explain::Answered;
use crate::events::Record as Event;
use crate::suspects::top::{Question, Top};
use gate25_common::verdict::Direction;
use jiff::Timestamp;
use report::Report;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::net::IpAddr;

/// Octets that a request may have, its newline not counted.
pub const MAX_REQUEST: usize = 4096;

/// The error for a connection that is not redirected, or not any more.
pub const UNKNOWN_CONNECTION: &str = "unknown connection";
/// The error for a reference that was not given, or was forgotten.
pub const UNKNOWN_REFERENCE: &str = "unknown reference";
/// The error for who may ask, but change nothing.
pub const FORBIDDEN: &str = "only root and the controller's own user may ask for that";

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Request {
    /// Why a subscriber's connection was redirected to the notice; makes a reference. The answer is a [`Notice`].
    Notice {
        /// The subscriber's address.
        subscriber: IpAddr,
        /// The subscriber's port.
        port: u16,
    },
    /// What a reference stands for. The answer is a [`Record`].
    Reference(String),
    /// What the controller does. The answer is a [`Report`].
    Status,
    /// What happens to a connection by the policy in force. The answer is an [`Answered`].
    Explain {
        /// The subscriber's address.
        subscriber: IpAddr,
        /// The other side's, of the same family.
        remote: IpAddr,
        /// Left out: now.
        at: Option<Timestamp>,
        /// Which way.
        direction: Way,
    },
    /// To load the policy again. The answer, a [`Reload`], comes when the outcome is known.
    Reload {
        /// The wall clock is right, whatever it was before.
        trust_clock: bool,
    },
    /// Subscribers by what was blocked. The answer is a [`Top`].
    Top(Question),
    /// The newest events. The answer is [`Newest`].
    Events(Filter),
    /// Events from now on, a line each: first [`FOLLOWING`], and where some were missed `{"missed":N}`.
    Follow(Filter),
}

/// The first line to who follows events.
pub const FOLLOWING: &str = r#"{"following":true}"#;

/// Which events.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Filter {
    /// Only of that kind.
    pub kind: Option<Cow<'static, str>>,
    /// Only of the zone of that id.
    pub zone: Option<String>,
}

impl Filter {
    /// Whether it lets that one through.
    #[must_use]
    pub fn admits(&self, event: &Event) -> bool {
        self.kind.as_ref().is_none_or(|kind| *kind == event.kind)
            && self.zone.as_ref().is_none_or(|zone| event.zone.as_ref() == Some(zone))
    }
}

/// Events that were told before somebody asked, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newest {
    /// The events.
    pub events: Vec<Event>,
}

/// A [`Direction`], on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// From subscribers.
    Egress,
    /// Toward them.
    Return,
}

impl From<Direction> for Way {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Egress => Self::Egress,
            Direction::Return => Self::Return,
        }
    }
}

impl From<Way> for Direction {
    fn from(way: Way) -> Self {
        match way {
            Way::Egress => Self::Egress,
            Way::Return => Self::Return,
        }
    }
}

impl Request {
    /// Whether it changes what is enforced, which is for root and for the controller's own user.
    #[must_use]
    pub fn is_change(&self) -> bool {
        matches!(self, Self::Reload { .. })
    }
}

/// Why a connection was redirected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The zone's id.
    pub zone: Option<String>,
    /// A word of the closed list.
    pub reason: Cow<'static, str>,
    /// The id of the rule named.
    pub rule: Option<String>,
    /// Whom the subscriber wanted to talk to.
    pub remote: IpAddr,
    /// What to look it up by.
    pub reference: String,
}

/// What is kept of a notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What it is looked up by.
    pub reference: String,
    /// When it was given.
    pub time: Timestamp,
    /// The subscriber's address.
    pub subscriber: IpAddr,
    /// The subscriber's port.
    pub subscriber_port: u16,
    /// Whom the subscriber wanted to talk to, at port 25.
    pub remote: IpAddr,
    /// The zone's id.
    pub zone: Option<String>,
    /// A word of the closed list.
    pub reason: Cow<'static, str>,
    /// The id of the rule named.
    pub rule: Option<String>,
    /// What the connection got.
    pub action: Cow<'static, str>,
}

/// What came of a reload, and what is in force now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reload {
    /// Whether the policy was taken. If not, everything is as it was.
    pub is_in_force: bool,
    /// SHA-256 of the policy in force.
    pub digest: String,
    /// Its generation.
    pub generation: u32,
    /// Its zones.
    pub zones: usize,
    /// Its relays, exceptions and blocks.
    pub rules: usize,
    /// Its prefixes in tables: those of subscribers, and those of destinations.
    pub prefixes: usize,
    /// What did not stop the policy, a line each.
    pub warnings: Vec<String>,
    /// What it was refused for, a line each.
    pub problems: Vec<String>,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To [`Request::Notice`].
    Notice(Notice),
    /// To [`Request::Reference`].
    Record(Record),
    /// To [`Request::Status`].
    Status(Box<Report>),
    /// To [`Request::Explain`].
    Explanation(Box<Answered>),
    /// To [`Request::Reload`].
    Reload(Reload),
    /// To [`Request::Top`].
    Top(Top),
    /// To [`Request::Events`].
    Newest(Newest),
    /// To what cannot be answered.
    Error {
        /// Why.
        error: Cow<'static, str>,
    },
}

impl Answer {
    fn error(error: impl Into<Cow<'static, str>>) -> Self {
        Self::Error { error: error.into() }
    }
}

/// An answer's line as the type that goes with the request, or else the error in it.
pub fn read<T: DeserializeOwned>(line: &str) -> Result<T, String> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Line<T> {
        Error { error: String },
        Answer(T),
    }
    match serde_json::from_str(line) {
        Ok(Line::Answer(answer)) => Ok(answer),
        Ok(Line::Error { error }) => Err(error),
        Err(error) => Err(format!("cannot read the answer: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suspects::top::Sort;

    /// What other programs write and read.
    #[test]
    fn the_words_on_the_wire() {
        let request = Request::Notice { subscriber: "203.0.113.9".parse().unwrap(), port: 40001 };
        let text = r#"{"notice":{"subscriber":"203.0.113.9","port":40001}}"#;
        assert_eq!(serde_json::to_string(&request).unwrap(), text);
        assert_eq!(serde_json::from_str::<Request>(text).unwrap(), request);
        let text = r#"{"reference":"7K3QX2MB"}"#;
        assert_eq!(serde_json::from_str::<Request>(text).unwrap(), Request::Reference("7K3QX2MB".into()));
        let question = Question { sort: Sort::Remotes, zone: Some("west".into()), limit: 20 };
        let text = r#"{"top":{"sort":"remotes","zone":"west","limit":20}}"#;
        assert_eq!(serde_json::to_string(&Request::Top(question.clone())).unwrap(), text);
        assert_eq!(serde_json::from_str::<Request>(text).unwrap(), Request::Top(question));
        let text = r#"{"follow":{"kind":"suspect"}}"#;
        let filter = Filter { kind: Some("suspect".into()), zone: None };
        assert_eq!(serde_json::from_str::<Request>(text).unwrap(), Request::Follow(filter));
        let text = r#"{"reload":{"trust_clock":true}}"#;
        assert_eq!(serde_json::from_str::<Request>(text).unwrap(), Request::Reload { trust_clock: true });
    }

    #[test]
    fn an_answer_or_its_error() {
        let text =
            r#"{"zone":"west","reason":"default","rule":null,"remote":"192.0.2.200","reference":"7K3QX2MB"}"#;
        let notice: Notice = read(text).unwrap();
        assert_eq!(serde_json::to_string(&Answer::Notice(notice)).unwrap(), text);
        assert_eq!(read::<Notice>(r#"{"error":"unknown connection"}"#), Err(UNKNOWN_CONNECTION.into()));
        assert!(read::<Notice>("{}").is_err());
        assert!(read::<Notice>("").is_err());
    }
}
