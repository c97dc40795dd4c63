//! The command line.

mod asked;
mod export;
mod node;
mod notice;
mod told;

use crate::policy::problem::Why;
use crate::policy::validate::instant;
use crate::reference;
use clap::{Args, Parser, Subcommand, ValueEnum};
use gate25_common::verdict;
use jiff::Timestamp;
use std::net::IpAddr;
use std::path::PathBuf;

pub use asked::Asked;
pub use export::Export;
pub use node::{Detach, Node, Run};
pub use notice::Notice;
pub use told::{Events as EventsAsked, Top};

/// Port-25 egress enforcement: stops outbound TCP/25 that is not headed to approved relays.
#[derive(Debug, Parser)]
#[command(name = "gate25", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Load, attach, enforce and serve /metrics and /healthz
    #[command(after_help = "Examples:
  gate25 run --config /etc/gate25/gate25.yaml
  gate25 run --policy /etc/gate25/policies --interface eth1

The policy is followed on disk; SIGHUP loads it at once. A policy with a problem is refused whole, and the
last good one stays. SIGTERM ends the controller and leaves enforcement in place; `gate25 detach` ends that.")]
    Run(Run),
    /// Stop enforcing: detach the program and remove what is pinned
    #[command(after_help = "Example:
  gate25 detach --config /etc/gate25/gate25.yaml")]
    Detach(Detach),
    /// Check a policy: every problem with file, line, column and remedy
    #[command(after_help = "Examples:
  gate25 check /etc/gate25/policies
  gate25 check --offline policies/example.yaml
  gate25 check --offline --at 2030-07-01T00:00:00Z policies
  gate25 check --offline --format sarif policies > gate25.sarif

Each problem is a line of standard error, FILE:LINE:COL: where: value: cause (remedy), below the line of the file
that it is about. A policy that is valid may draw warnings: exceptions that have ended, end within 14 days or want
a review, entries that are listed twice or do nothing, prefixes that are hardly meant.
Names are resolved, for 5 seconds at most; one that does not resolve is a warning.
Exit status, in every format: 0 valid (warnings may be shown), 1 not valid.")]
    Check {
        /// A policy file, or a directory of *.yaml and *.yml files
        policy: PathBuf,
        /// Ask no name server: names are not resolved
        #[arg(long)]
        offline: bool,
        /// The instant by which dates are judged, in RFC 3339 with an offset [default: now]
        #[arg(long, value_name = "TIME", value_parser = instant)]
        at: Option<Timestamp>,
        /// What to write to standard output
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Say what happens to a connection, why, and when that changes
    #[command(after_help = "Examples:
  gate25 explain --policy policies/west-2004.yaml --from 203.0.113.9 --to 198.51.100.25
  gate25 explain --policy policies/west-2004.yaml --from 203.0.113.9 --to 198.51.100.25 --at 2004-07-28T00:00:00-07:00 --json
  gate25 explain --policy policies/notice.yaml --from 203.0.113.200 --to 198.51.100.25 --direction return
  gate25 explain --from 203.0.113.9 --to 198.51.100.25
  gate25 explain --ref 7K3QX2MB

Without --policy the running controller answers, by the policy in force and what its node says of `enforce` and
`unmanaged`. With --policy that policy alone is known. Limits and connections that were redirected are never looked
at. With --ref the controller says what a notice's reference stands for.")]
    Explain(Explain),
    /// Say who gains or loses access under another policy
    #[command(after_help = "Examples:
  gate25 diff /etc/gate25/policies /tmp/policies.new
  gate25 diff --at 2004-07-28T00:00:00-07:00 old.yaml new.yaml
  gate25 diff --json old.yaml new.yaml

Both policies are looked at as they are at one instant. Who begins or ceases to be enforced comes first. A line
of change lose or gain is about access as `explain` gives it (a zone that monitors lets blocked packets pass all
the same); one of change why has the same verdict for another reason. Addresses of no zone pass, as they do where
no interface says `unmanaged: block`.

Exit status: 0 compared, whether or not something is other; 1 a policy is not valid.")]
    Diff {
        /// The policy before: a file or directory
        old: PathBuf,
        /// The policy after
        new: PathBuf,
        /// Ask no name server: of `names` and `mx` only the texts are compared
        #[arg(long)]
        offline: bool,
        /// The instant, in RFC 3339 with an offset [default: now]
        #[arg(long, value_name = "TIME", value_parser = instant)]
        at: Option<Timestamp>,
        /// One JSON object, with all lines
        #[arg(long)]
        json: bool,
    },
    /// Write the policy down for other tools: nftables, other routers, a DNS list
    #[command(after_help = "Examples:
  gate25 export --policy /etc/gate25/policies --format nftables --interface eth1 > port25.nft && nft -f port25.nft
  gate25 export --policy policies/west-2004.yaml --format prefixes --at 2004-07-01T00:00:00-07:00
  gate25 export --policy /etc/gate25/policies --format rbldnsd --offline > direct-mail.zone

nftables: a table of its own that decides the same, IPv4 and IPv6, with counters by zone and reason; loading it again
replaces it in one step. Without --at its exceptions end by themselves; with --at it stays as it is at that instant.
prefixes: lines with tabs between, `list NAME PREFIX`, then
  `rule FAMILY ZONE permit|deny|monitor SUBSCRIBERS DESTINATIONS REASON ACTION UNTIL`:
the first rule decides whose lists have both addresses (any: all destinations), what no rule has is permitted.
rbldnsd: a `combined` dataset of the subscribers of enforcing zones, less those that may send everywhere.

What a format cannot say is a warning, and stands in the head of the file, with version, digest and instant. The
same policy and --at give the same octets; without --at only the line `# at` is other, unless a date has passed.")]
    Export(Export),
    /// Greet redirected connections, say why they were blocked, take nothing
    #[command(after_help = "Examples:
  gate25 notice --config /etc/gate25/gate25.yaml
  gate25 notice --policy /etc/gate25/policies --address 192.0.2.26:2525 --hostname notice.example.net

Needs no privilege: run it as a user of its own, in the group gate25. Without a controller it greets all the
same, but cannot give a reason and a reference.")]
    Notice(Notice),
    /// Say what the running controller does: attachment, policy, zones, rates, the next date, the last refusal
    #[command(after_help = "Examples:
  gate25 status
  gate25 status --config /etc/gate25/gate25.yaml --json

Rates are new connections to port 25 a minute, over the last minute; blocked ones are counted whether or not the
zone enforces. For root and the group gate25.

Exit status: 0 a controller answered, whatever it said; 1 none did.")]
    Status {
        /// Whom to ask
        #[command(flatten)]
        controller: Asked,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Have the running controller load its policy again, and say what came of it
    #[command(after_help = "Examples:
  gate25 reload
  gate25 reload --config /etc/gate25/gate25.yaml --trust-clock

For root. Waits until the policy is in force (0), or refused with every problem (1): then the last good one stays.
After the clock was set back, exceptions that had ended stay ended; --trust-clock says that it is right now.")]
    Reload {
        /// Whom to ask
        #[command(flatten)]
        controller: Asked,
        /// Dates go by the wall clock as it is now, whatever it was before
        #[arg(long)]
        trust_clock: bool,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Show who tries most: subscribers by blocked attempts
    #[command(after_help = "Examples:
  gate25 top
  gate25 top --once --sort remotes --zone west
  gate25 top --config /etc/gate25/gate25.yaml --once --json --limit 1000

A subscriber is an IPv4 address, or an IPv6 prefix of the zone's subscriber_prefix_v6. REMOTES are the distinct
destinations of its newest window (`suspects.within` of the policy), from 16 on estimated (~). Without --once the
table is drawn every two seconds, until q or Ctrl-C.")]
    Top(Top),
    /// Show what happened: connections blocked, suspects, changes of the policy
    #[command(after_help = "Examples:
  gate25 events
  gate25 events --follow --kind suspect
  gate25 events --follow --json --config /etc/gate25/gate25.yaml

Exit status of --follow: 0 after Ctrl-C, 1 when the controller ends.")]
    Events(EventsAsked),
    /// Look whether kernel, interfaces and privileges are as `run` needs them; nothing is changed
    #[command(after_help = "Examples:
  gate25 preflight --config /etc/gate25/gate25.yaml
  gate25 preflight --policy /etc/gate25/policies --interface eth1

Each line says what was looked at, what was found, what is needed and, where that is not the same, what to do.
Run it as the user that `run` has: what only root can see is else left open.

Exit status: 0 nothing fails (there may be warnings), 1 something does, and `run` would not start or not enforce
as it should.")]
    Preflight {
        /// The node
        #[command(flatten)]
        node: Node,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Run the real program over a capture; nothing is attached
    #[command(after_help = "Examples:
  gate25 replay --policy /etc/gate25/policies traffic.pcap
  gate25 replay --policy policies/example.yaml --at 2026-01-01T00:00:00Z --json traffic.pcapng

Needs root: the packets run through the kernel.")]
    Replay {
        /// A policy file or directory
        #[arg(long)]
        policy: PathBuf,
        /// The instant, in RFC 3339 with an offset [default: now]
        #[arg(long, value_name = "TIME", value_parser = instant)]
        at: Option<Timestamp>,
        /// Which way the packets cross the interface
        #[arg(long, value_enum, default_value_t = Direction::Egress)]
        direction: Direction,
        /// Ask no name server: names match nothing
        #[arg(long)]
        offline: bool,
        /// A JSON object a packet
        #[arg(long)]
        json: bool,
        /// A pcap or pcapng file of Ethernet frames
        capture: PathBuf,
    },
    /// How a policy is written: examples to copy, and every key
    #[command(long_about = reference::text::render(), help_template = "{about-with-newline}")]
    Policy,
    /// Print the JSON Schema of a policy, by which editors complete and check
    #[command(after_help = "Example:
  gate25 schema > /etc/gate25/policy-schema.json

With this as the first line of a policy, VS Code (with the YAML extension of Red Hat) and every editor that runs
yaml-language-server complete its keys, explain them and underline mistakes:

  # yaml-language-server: $schema=/etc/gate25/policy-schema.json

`gate25 check` sees more: host bits, zones that are not there, prefixes of two zones.")]
    Schema {
        /// What to print
        #[arg(long, value_enum, default_value_t = SchemaFormat::Json)]
        format: SchemaFormat,
    },
    /// Write man pages and shell completions into a folder, for a package
    #[command(hide = true)]
    Pages {
        /// Where `man` and `completions` are made
        folder: PathBuf,
    },
}

/// How `check` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One line that sums up
    Text,
    /// Workflow commands, which GitHub shows beside the lines of a change
    Github,
    /// SARIF 2.1.0, and nothing else, for code scanning services and editors
    Sarif,
}

/// How `schema` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaFormat {
    /// JSON Schema, draft 7
    Json,
    /// The policy reference, for people
    Markdown,
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Direction {
    /// From subscribers to port 25
    Egress,
    /// From port 25 toward subscribers
    Return,
}

impl From<Direction> for verdict::Direction {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Egress => Self::Egress,
            Direction::Return => Self::Return,
        }
    }
}

/// `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// A policy file or directory
    #[arg(long)]
    pub policy: Option<PathBuf>,
    /// The subscriber's address
    #[arg(long, value_name = "S", required_unless_present = "reference")]
    pub from: Option<IpAddr>,
    /// The remote address
    #[arg(long, value_name = "R", required_unless_present = "reference")]
    pub to: Option<IpAddr>,
    /// The instant, in RFC 3339 with an offset [default: now]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub at: Option<Timestamp>,
    /// Ask no name server: names match nothing
    #[arg(long, conflicts_with = "reference")]
    pub offline: bool,
    /// Which way the packets go; --from is the subscriber all the same
    #[arg(long, value_enum, default_value_t = Direction::Egress)]
    pub direction: Direction,
    /// The reference of a notice, as a subscriber read it
    #[arg(long = "ref", value_name = "REF", conflicts_with_all = ["policy", "from", "to", "at", "direction"])]
    pub reference: Option<String>,
    /// Whom to ask, without --policy
    #[command(flatten)]
    pub controller: Asked,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// An instant as policies write it.
fn instant(text: &str) -> Result<Timestamp, String> {
    instant::parse(text).map_err(|Why { cause, remedy, .. }| format!("{cause} ({remedy})"))
}

fn replace<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}
