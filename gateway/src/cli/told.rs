//! `top` and `events`.

use super::Asked;
use crate::suspects::top::Sort;
use clap::{Args, ValueEnum};
use gate25_common::verdict::EventKind;

/// `top`.
#[derive(Debug, Args)]
pub struct Top {
    /// Whom to ask
    #[command(flatten)]
    pub controller: Asked,
    /// Show it once
    #[arg(long)]
    pub once: bool,
    /// Which subscribers come first
    #[arg(long, value_enum, default_value_t)]
    pub sort: Sort,
    /// Only of this zone
    #[arg(long, value_name = "ID")]
    pub zone: Option<String>,
    /// So many subscribers, 10000 at most [default: 20, or what the terminal has room for]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: Option<u32>,
    /// One JSON object; without --once, one every two seconds
    #[arg(long)]
    pub json: bool,
}

/// `events`.
#[derive(Debug, Args)]
pub struct Events {
    /// Whom to ask
    #[command(flatten)]
    pub controller: Asked,
    /// Events from now on, until Ctrl-C; without, the newest 1,000
    #[arg(long)]
    pub follow: bool,
    /// Only of this kind
    #[arg(long, value_enum)]
    pub kind: Option<Kind>,
    /// Only of this zone
    #[arg(long, value_name = "ID")]
    pub zone: Option<String>,
    /// A JSON object an event
    #[arg(long)]
    pub json: bool,
}

/// A kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A connection was blocked, or would have been
    Blocked,
    /// A subscriber is over the thresholds of attempts and remotes
    Suspect,
    /// The policy, or what it is made of, changed
    Policy,
}

impl From<Kind> for EventKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Blocked => Self::Blocked,
            Kind::Suspect => Self::Suspect,
            Kind::Policy => Self::Policy,
        }
    }
}
