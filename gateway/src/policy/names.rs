//! Names in a policy: hosts, and domains whose mail exchangers are meant. The policy says which; [`crate::names`] finds out
//! what addresses they have, which then are among the destinations of their rule.

use super::problem::{Code, Fault, Position, Problem, Severity, Why};
use super::{Policy, Scope};
use ipnetwork::IpNetwork;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The most names of a policy, both keys together.
pub const MAX_NAMES: usize = 1_000;

/// The most addresses of one name that are used, those of all exchangers of a domain together.
pub const MAX_ADDRESSES: usize = 64;

/// How long the last good answer is kept where a rule does not say so.
pub const KEEP_OLD_FOR: Duration = Duration::from_hours(48);

/// Under which key a name stands, which is what is meant by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// `names`: the host of that name.
    Names,
    /// `mx`: the mail exchangers of that domain.
    Mx,
}

impl Key {
    /// The key's word.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Names => "names",
            Self::Mx => "mx",
        }
    }
}

/// A host or a domain: lower case, without the last dot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// What is meant.
    pub key: Key,
    /// Its labels, with dots between.
    pub text: String,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = if self.key == Key::Mx { "mail exchangers of " } else { "" };
        write!(f, "{of}{}", self.text)
    }
}

/// A name of a rule, and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The name.
    pub name: Name,
    /// The file.
    pub file: PathBuf,
    /// Where in it.
    pub at: Position,
    /// What it is in the policy: `relays[0].names[1]`.
    pub place: String,
}

impl Named {
    /// A warning about it.
    #[must_use]
    pub fn warning(&self, why: Why) -> Problem {
        let why = why.coded(Code::Unresolved);
        let fault = Fault { at: self.at, place: self.place.clone(), value: self.name.text.clone(), why };
        Problem::new(Severity::Warning, Path::new(&self.file), fault)
    }
}

/// What a rule names besides its prefixes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// In the order written, none twice.
    pub list: Vec<Named>,
    /// How long the last good answer is kept once there is none.
    pub keep_old_for: Duration,
}

impl Default for Names {
    fn default() -> Self {
        Self { list: Vec::new(), keep_old_for: KEEP_OLD_FOR }
    }
}

/// What a name of a rule stands for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The rule's id.
    pub rule: String,
    /// The name.
    pub name: Name,
    /// At most [`MAX_ADDRESSES`].
    pub addresses: BTreeSet<IpAddr>,
    /// A domain whose last good answer is that it takes no mail (RFC 7505).
    pub takes_no_mail: bool,
    /// Why the last question has no good answer, in our words; `None` where it has, or was not asked yet.
    pub failure: Option<String>,
}

impl Policy {
    /// The rules that name something.
    pub fn named(&self) -> impl Iterator<Item = (&str, &Names)> {
        let relays = self.relays.iter().map(|relay| (relay.id.as_str(), &relay.names));
        let exceptions = self.exceptions.iter().map(|exception| (exception.id.as_str(), &exception.names));
        relays.chain(exceptions).filter(|(_, names)| !names.list.is_empty())
    }

    /// The policy with the addresses of names among the destinations of their rules. Without it, a name matches nothing.
    #[must_use]
    pub fn with_addresses(self: &Arc<Self>, resolved: &[Resolved]) -> Arc<Self> {
        let mut hosts = HashMap::<&str, Vec<IpNetwork>>::new();
        for Resolved { rule, addresses, .. } in resolved {
            hosts.entry(rule).or_default().extend(addresses.iter().copied().map(IpNetwork::from));
        }
        hosts.retain(|_, hosts| !hosts.is_empty());
        if hosts.is_empty() {
            return Arc::clone(self);
        }
        let mut policy = Self::clone(self);
        for relay in &mut policy.relays {
            relay.addresses.extend(hosts.get(relay.id.as_str()).into_iter().flatten());
        }
        for exception in &mut policy.exceptions {
            if let (Scope::Only(destinations), Some(hosts)) =
                (&mut exception.destinations, hosts.get(exception.id.as_str()))
            {
                Arc::make_mut(destinations).extend(hosts);
            }
        }
        Arc::new(policy)
    }
}
