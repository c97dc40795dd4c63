//! Whether a node is as `run` needs it: kernel, privileges, interfaces, files, clock. Looks, and changes nothing.

mod ethtool;
mod files;
mod interfaces;
mod kernel;
mod xdp_features;

use crate::config::Config;
use crate::datapath::fault::Fault;
use crate::datapath::pins::Pins;
use serde::Serialize;
use std::fmt;

/// How it stands with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As needed.
    Ok,
    /// It could not be seen, and may be as needed.
    Unknown,
    /// Enforcement works, but something will be missed.
    Warn,
    /// `run` will not start, or not enforce as it should.
    Fail,
}

impl Status {
    /// Its word.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// How it stands.
    pub status: Status,
    /// What it is.
    pub what: String,
    /// What there is.
    pub found: String,
    /// What there should be.
    pub needed: String,
    /// What to do, where that is not the same.
    pub remedy: Option<String>,
}

impl Line {
    fn ok(what: impl fmt::Display, found: impl fmt::Display, needed: impl fmt::Display) -> Self {
        let (what, found, needed) = (what.to_string(), found.to_string(), needed.to_string());
        Self { status: Status::Ok, what, found, needed, remedy: None }
    }

    /// What could not be seen.
    fn unknown(what: impl fmt::Display, needed: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self::ok(what, "could not be seen", needed).but(Status::Unknown, remedy)
    }

    /// The same, but not as needed.
    fn but(self, status: Status, remedy: impl fmt::Display) -> Self {
        Self { status, remedy: Some(remedy.to_string()), ..self }
    }

    fn fault(what: impl fmt::Display, fault: &Fault, needed: impl fmt::Display) -> Self {
        Self::ok(what, fault.cause(), needed).but(Status::Fail, fault.remedy())
    }
}

impl fmt::Display for Line {
    /// As a line of a log: `what: found: needed NEEDED (remedy)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: needed: {}", self.what, self.found, self.needed)?;
        self.remedy.as_ref().map_or(Ok(()), |remedy| write!(f, " ({remedy})"))
    }
}

/// All that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The worst of all.
    pub status: Status,
    /// In the order in which a start needs it.
    pub lines: Vec<Line>,
}

impl Report {
    /// Whether `run` will not start, or not enforce as it should.
    #[must_use]
    pub fn fails(&self) -> bool {
        self.status == Status::Fail
    }
}

/// Looks at everything.
#[must_use]
pub fn look(config: &Config) -> Report {
    let pins = Pins::below(&config.pin);
    let (policy, needs_return) = files::policy(config);
    let mut lines = kernel::lines(needs_return);
    lines.push(policy);
    lines.extend(files::pin(config, &pins));
    lines.extend(interfaces::lines(config, pins.as_ref().ok()));
    lines.extend(files::lines(config));
    Report { status: lines.iter().map(|line| line.status).max().unwrap_or(Status::Ok), lines }
}

/// What a controller that has started says of its node: what is not as needed, but kept nothing from starting.
pub fn concerns(config: &Config) -> impl Iterator<Item = Line> {
    let pins = Pins::below(&config.pin).ok();
    let lines = kernel::lines(false).into_iter().chain(interfaces::lines(config, pins.as_ref()));
    lines.filter(|line| line.status >= Status::Warn)
}
