//! The policy lane: YAML → [`document`] → [`validate`] → [`Policy`] → [`compile`] → [`crate::tables::Tables`].
//!
//! A [`Policy`] is valid by construction: only [`load`] makes one, from a whole file or directory (or [`load_kept`], from
//! what those were), or it gives back every [`Problem`]. Nothing here knows the kernel, a socket or a clock.

pub mod compile;
pub mod document;
pub mod files;
pub mod kept;
pub mod names;
pub mod problem;
pub mod schema;
pub mod validate;
mod words;
pub mod yaml;

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use files::{Loaded, Refused, load, load_advised, load_kept, load_seeing};
pub use gate25_common::verdict::{Action, Mode, ReturnPath};
pub use kept::Kept;
pub use names::Names;
pub use problem::Problem;

/// Everything an operator wants enforced, checked and with all lists read. The order of entries has no meaning.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Parts of the network; ids are unique among zones.
    pub zones: Vec<Zone>,
    /// Approved relays; ids are unique among relays, exceptions and blocks together.
    pub relays: Vec<Relay>,
    /// Dated or permanent permissions.
    pub exceptions: Vec<Exception>,
    /// What is never allowed.
    pub blocks: Vec<Block>,
    /// When a subscriber is reported.
    pub suspects: Suspects,
    /// SHA-256 of the merged policy (files in name order, each list behind the file that names it), in lower-case hex.
    pub digest: String,
    /// The same without comments and empty lines: what has been seen of the clock is of a policy that says this.
    pub sense: String,
    /// Every file that was read, the policy's own first; and the directory, when the policy is one.
    pub sources: Vec<PathBuf>,
}

/// Either no restriction, or exactly what is listed (an empty list matches nothing).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope<T> {
    /// The key was left out (or is `any`): everything.
    Every,
    /// Only these. Shared, for a list may be long, and of many rules.
    Only(Arc<Vec<T>>),
}

impl<T: PartialEq> Scope<T> {
    /// Whether the value is everything's, or listed.
    #[must_use]
    pub fn has(&self, value: &T) -> bool {
        match self {
            Self::Every => true,
            Self::Only(listed) => listed.contains(value),
        }
    }
}

/// A part of the network that shares relays and one default (contract section 1, `zones`).
#[derive(Debug, Clone)]
pub struct Zone {
    /// Name in counters and answers.
    pub id: String,
    /// Source prefixes; the most specific one of all zones decides. No host bits set; never the same in two zones.
    pub subscribers: Vec<IpNetwork>,
    /// Whether blocks are carried out.
    pub mode: Mode,
    /// What a blocked connection gets.
    pub action: Action,
    /// Whether the way back is looked at.
    pub return_path: ReturnPath,
    /// With [`Action::Relay`], where connections go; a family without an endpoint gets a reset.
    pub relay_to: Endpoints,
    /// With [`Action::Notice`], where connections go and what is said there.
    pub notice: Option<Notice>,
    /// What counts as one subscriber in IPv6, in bits: 1 to 128.
    pub subscriber_prefix_v6: u8,
    /// New connections a minute of each subscriber to relays.
    pub relay_limit: Option<u32>,
}

impl Zone {
    /// Where blocked connections go; none where the action redirects nothing.
    #[must_use]
    pub fn redirects_to(&self) -> Endpoints {
        match self.action {
            Action::Notice => self.notice.as_ref().map(|notice| notice.address).unwrap_or_default(),
            Action::Relay => self.relay_to,
            _ => Endpoints::default(),
        }
    }
}

/// At most one endpoint a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Endpoints {
    /// For IPv4.
    pub ipv4: Option<SocketAddrV4>,
    /// For IPv6.
    pub ipv6: Option<SocketAddrV6>,
}

impl Endpoints {
    /// That of a family.
    #[must_use]
    pub fn of(&self, ipv6: bool) -> Option<SocketAddr> {
        if ipv6 { self.ipv6.map(SocketAddr::V6) } else { self.ipv4.map(SocketAddr::V4) }
    }
}

/// `notice` of a zone (contract section 1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notice {
    /// Where the responder listens; a family without an endpoint gets a reset.
    pub address: Endpoints,
    /// What to use instead, as people say it: printable ASCII, one line.
    pub submission: Option<String>,
    /// Where to read more: printable ASCII, one word.
    pub url: Option<String>,
}

/// An approved relay: every subscriber of its zones may connect.
#[derive(Debug, Clone)]
pub struct Relay {
    /// Name in counters and answers.
    pub id: String,
    /// Indices into [`Policy::zones`].
    pub zones: Scope<usize>,
    /// Destination prefixes, no host bits set; not empty, unless it has names.
    pub addresses: Vec<IpNetwork>,
    /// Hosts whose addresses are meant too.
    pub names: Names,
}

/// What an exception is for; carried for people, without effect on the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// A campus.
    University,
    /// A business subscriber or partner.
    Business,
    /// Anything else.
    #[default]
    Other,
}

/// A permission with an end, or a permanent one.
#[derive(Debug, Clone)]
pub struct Exception {
    /// Name in counters and answers.
    pub id: String,
    /// What it is for.
    pub kind: Kind,
    /// Indices into [`Policy::zones`].
    pub zones: Scope<usize>,
    /// Who may.
    pub subscribers: Scope<IpNetwork>,
    /// To where; `Every` is `destinations: any`, `Only` is never empty, unless it has names.
    pub destinations: Scope<IpNetwork>,
    /// Hosts, and domains whose mail exchangers are meant too; none with `Every`.
    pub names: Names,
    /// Holds from this instant on; `None` is from ever.
    pub from: Option<Timestamp>,
    /// Half-open: at this instant it no longer holds. `None` is `permanent: true`.
    pub until: Option<Timestamp>,
    /// New connections a minute of each subscriber.
    pub limit: Option<u32>,
}

/// `suspects` (contract section 1): a subscriber is reported that is over both thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspects {
    /// So many blocked attempts,
    pub attempts: u32,
    /// to so many remotes,
    pub remotes: u32,
    /// within this time.
    pub within: Duration,
}

impl Default for Suspects {
    fn default() -> Self {
        Self { attempts: 30, remotes: 10, within: Duration::from_mins(10) }
    }
}

/// What is never allowed, whatever else allows it.
#[derive(Debug, Clone)]
pub struct Block {
    /// Name in counters and answers.
    pub id: String,
    /// Indices into [`Policy::zones`].
    pub zones: Scope<usize>,
    /// Who may not; not `Every` together with `zones` and `destinations`.
    pub subscribers: Scope<IpNetwork>,
    /// To where.
    pub destinations: Scope<IpNetwork>,
    /// Holds from this instant on; `None` is from ever.
    pub from: Option<Timestamp>,
    /// Half-open end; `None` is for ever.
    pub until: Option<Timestamp>,
}
