//! What the responder counts. No label holds an address.

use prometheus::{Encoder, Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};
use std::time::Duration;

/// What became of a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connected {
    /// It was greeted.
    Greeted,
    /// It was reset: there are too many in total.
    RefusedTotal,
    /// It was reset: there are too many from its address.
    RefusedPerAddress,
    /// The greeting could not be written.
    Failed,
}

/// What a client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// QUIT.
    Quit,
    /// Anything else.
    Other,
    /// More octets than a command may have.
    TooLong,
}

/// Why a dialogue ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The client said QUIT.
    Quit,
    /// The client closed.
    Client,
    /// It had its time.
    Time,
    /// It had its commands.
    Commands,
    /// It sent a line that is too long.
    Line,
    /// The connection broke.
    Error,
}

/// What came of asking the controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// A reason and a reference.
    Found,
    /// It knows no such connection.
    Unknown,
    /// Nothing, in time.
    NoAnswer,
}

impl Connected {
    const ALL: [Self; 4] = [Self::Greeted, Self::RefusedTotal, Self::RefusedPerAddress, Self::Failed];

    fn label(self) -> &'static str {
        match self {
            Self::Greeted => "greeted",
            Self::RefusedTotal => "refused_total",
            Self::RefusedPerAddress => "refused_per_address",
            Self::Failed => "failed",
        }
    }
}

impl Command {
    const ALL: [Self; 3] = [Self::Quit, Self::Other, Self::TooLong];

    fn label(self) -> &'static str {
        match self {
            Self::Quit => "quit",
            Self::Other => "other",
            Self::TooLong => "too_long",
        }
    }
}

impl Closed {
    const ALL: [Self; 6] = [Self::Quit, Self::Client, Self::Time, Self::Commands, Self::Line, Self::Error];

    fn label(self) -> &'static str {
        match self {
            Self::Quit => "quit",
            Self::Client => "client",
            Self::Time => "time",
            Self::Commands => "commands",
            Self::Line => "line",
            Self::Error => "error",
        }
    }
}

impl Looked {
    const ALL: [Self; 3] = [Self::Found, Self::Unknown, Self::NoAnswer];

    fn label(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Unknown => "unknown",
            Self::NoAnswer => "no_answer",
        }
    }
}

/// The metrics of a responder.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    connections: IntCounterVec,
    commands: IntCounterVec,
    closed: IntCounterVec,
    lookups: IntCounterVec,
    reloads: IntCounterVec,
    open: IntGauge,
    greeting: Histogram,
}

impl Metrics {
    /// All series, at zero.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, label: &str, values: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), &[label])?;
            values.iter().for_each(|value| drop(counter.with_label_values(&[value])));
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let connections = counter(
            "gate25_notice_connections_total",
            "New connections, by what became of them.",
            "result",
            &Connected::ALL.map(Connected::label),
        )?;
        let commands = counter(
            "gate25_notice_commands_total",
            "Commands that clients sent.",
            "command",
            &Command::ALL.map(Command::label),
        )?;
        let closed = counter(
            "gate25_notice_closed_total",
            "Greeted connections that ended, by why.",
            "why",
            &Closed::ALL.map(Closed::label),
        )?;
        let lookups = counter(
            "gate25_notice_lookups_total",
            "Questions to the controller, by what came of them.",
            "result",
            &Looked::ALL.map(Looked::label),
        )?;
        let reloads = counter(
            "gate25_notice_policy_reloads_total",
            "Reloads of the policy, by result.",
            "result",
            &["ok", "refused"],
        )?;
        let open = IntGauge::new("gate25_notice_open_connections", "Connections that are open.")?;
        registry.register(Box::new(open.clone()))?;
        let greeting = Histogram::with_opts(
            HistogramOpts::new(
                "gate25_notice_greeting_seconds",
                "From the connection until its greeting was written.",
            )
            .buckets(vec![0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0]),
        )?;
        registry.register(Box::new(greeting.clone()))?;
        Ok(Self { registry, connections, commands, closed, lookups, reloads, open, greeting })
    }

    /// Counts a new connection.
    pub fn connected(&self, result: Connected) {
        self.connections.with_label_values(&[result.label()]).inc();
    }

    /// Counts what a client sent.
    pub fn heard(&self, command: Command) {
        self.commands.with_label_values(&[command.label()]).inc();
    }

    /// Counts the end of a dialogue.
    pub fn closed(&self, why: Closed) {
        self.closed.with_label_values(&[why.label()]).inc();
    }

    /// Counts a question to the controller.
    pub fn looked(&self, result: Looked) {
        self.lookups.with_label_values(&[result.label()]).inc();
    }

    /// Counts a policy that was taken or refused.
    pub fn reloaded(&self, is_ok: bool) {
        self.reloads.with_label_values(&[if is_ok { "ok" } else { "refused" }]).inc();
    }

    /// Takes down how long a greeting took.
    pub fn greeted_after(&self, time: Duration) {
        self.greeting.observe(time.as_secs_f64());
    }

    /// Everything, with so many connections open.
    pub fn render(&self, open: usize) -> prometheus::Result<String> {
        self.open.set(i64::try_from(open).unwrap_or(i64::MAX));
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        String::from_utf8(text).map_err(|error| prometheus::Error::Msg(error.to_string()))
    }
}
