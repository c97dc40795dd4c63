//! What the responder counts. No label holds an address.

use prometheus::{Encoder, Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};
use std::time::Duration;

/// Declares values of a label: the variants, `ALL` and `label()`.
macro_rules! labels {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $label:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$doc])* $variant),+ }

        impl $name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn label(self) -> &'static str {
                match self { $(Self::$variant => $label),+ }
            }
        }
    };
}

labels! {
    /// What became of a new connection.
    Connected {
        /// It was greeted.
        Greeted = "greeted",
        /// It was reset: there are too many in total.
        RefusedTotal = "refused_total",
        /// It was reset: there are too many from its address.
        RefusedPerAddress = "refused_per_address",
        /// The greeting could not be written.
        Failed = "failed",
    }
}

labels! {
    /// What a client sent.
    Command {
        /// QUIT.
        Quit = "quit",
        /// Anything else.
        Other = "other",
        /// More octets than a command may have.
        TooLong = "too_long",
    }
}

labels! {
    /// Why a dialogue ended.
    Closed {
        /// The client said QUIT.
        Quit = "quit",
        /// The client closed.
        Client = "client",
        /// It had its time.
        Time = "time",
        /// It had its commands.
        Commands = "commands",
        /// It sent a line that is too long.
        Line = "line",
        /// The connection broke.
        Error = "error",
    }
}

labels! {
    /// What came of asking the controller.
    Looked {
        /// A reason and a reference.
        Found = "found",
        /// It knows no such connection.
        Unknown = "unknown",
        /// Nothing, in time.
        NoAnswer = "no_answer",
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
        let counter = |name: &str, help: &str, label: &str, values: Vec<&str>| {
            let counter = IntCounterVec::new(Opts::new(name, help), &[label])?;
            for value in values {
                drop(counter.with_label_values(&[value]));
            }
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let connections = counter(
            "gate25_notice_connections_total",
            "New connections, by what became of them.",
            "result",
            Connected::ALL.iter().map(|value| value.label()).collect(),
        )?;
        let commands = counter(
            "gate25_notice_commands_total",
            "Commands that clients sent.",
            "command",
            Command::ALL.iter().map(|value| value.label()).collect(),
        )?;
        let closed = counter(
            "gate25_notice_closed_total",
            "Greeted connections that ended, by why.",
            "why",
            Closed::ALL.iter().map(|value| value.label()).collect(),
        )?;
        let lookups = counter(
            "gate25_notice_lookups_total",
            "Questions to the controller, by what came of them.",
            "result",
            Looked::ALL.iter().map(|value| value.label()).collect(),
        )?;
        let reloads = counter(
            "gate25_notice_policy_reloads_total",
            "Reloads of the policy, by result.",
            "result",
            vec!["ok", "refused"],
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
