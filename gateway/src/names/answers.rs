//! What is known of names, and for how long.
//!
//! A good answer is the truth: what it does not have any more goes at once. Anything else (no such name, no address, an
//! error, silence) is a failure, after which the last good answer holds for as long as a rule keeps it, counted from when
//! it was last confirmed. The two families of a host are answers of their own.

use crate::policy::compile::Clock;
use crate::policy::names::{Key, MAX_ADDRESSES, Name, Names, Resolved};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// The most exchangers of a domain that are asked for.
const MAX_EXCHANGERS: usize = 32;

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The addresses of a host, IPv4 and IPv6. A family may be empty where the other is not.
    Host([Result<Found<IpAddr>, String>; 2]),
    /// The exchangers of a domain; none where it takes no mail.
    Exchangers(Result<Found<String>, String>),
}

/// A good answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<T> {
    /// What it says.
    pub values: BTreeSet<T>,
    /// For how long it holds.
    pub ttl: Duration,
    /// What else it said, and is not taken.
    pub refused: Option<String>,
}

impl Reply {
    /// The shortest time that a part of it holds.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        let ttl = match self {
            Self::Host(families) => families.iter().flatten().map(|found| found.ttl).min(),
            Self::Exchangers(found) => found.as_ref().ok().map(|found| found.ttl),
        };
        ttl.unwrap_or(Duration::MAX)
    }
}

/// The last good answer to one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept<T> {
    pub(super) values: BTreeSet<T>,
    /// By the wall clock: for people, and for the next controller.
    pub(super) confirmed: Timestamp,
    /// By the boot clock, in nanoseconds, which nobody sets.
    pub(super) age_from: i128,
    /// Nothing failed since.
    pub(super) is_current: bool,
}

impl<T> Kept<T> {
    fn holds(&self, keep: Duration, boot: u64) -> bool {
        self.is_current || i128::from(boot) - self.age_from < keep.as_nanos().cast_signed()
    }
}

/// What is known of a host or domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known<T, const PARTS: usize> {
    pub(super) parts: [Option<Kept<T>>; PARTS],
    /// Somebody asked since the controller started.
    is_asked: bool,
    failure: Option<String>,
}

impl<T, const PARTS: usize> Default for Known<T, PARTS> {
    fn default() -> Self {
        Self { parts: [const { None }; PARTS], is_asked: false, failure: None }
    }
}

impl<T: Ord, const PARTS: usize> Known<T, PARTS> {
    /// What an earlier controller knew.
    pub(super) fn before(parts: [Option<Kept<T>>; PARTS]) -> Self {
        Self { parts, is_asked: false, failure: None }
    }

    fn take(&mut self, replies: [Result<Found<T>, String>; PARTS], now: Clock) {
        self.is_asked = true;
        self.failure = None;
        for (part, reply) in self.parts.iter_mut().zip(replies) {
            match reply {
                Ok(Found { values, refused, .. }) => {
                    self.failure = self.failure.take().or(refused);
                    let (confirmed, age_from) = (now.wall, now.boot.into());
                    *part = Some(Kept { values, confirmed, age_from, is_current: true });
                }
                Err(failure) => {
                    if let Some(kept) = part {
                        kept.is_current = false;
                    }
                    self.failure.get_or_insert(failure);
                }
            }
        }
    }

    fn values(&self, keep: Duration, boot: u64) -> impl Iterator<Item = &T> {
        let holding = self.parts.iter().flatten().filter(move |kept| kept.holds(keep, boot));
        holding.flat_map(|kept| &kept.values)
    }

    fn is_known(&self, keep: Duration, boot: u64) -> bool {
        self.is_asked || self.parts.iter().flatten().any(|kept| kept.holds(keep, boot))
    }
}

/// What is known of all names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// IPv4 and IPv6.
    pub(super) hosts: BTreeMap<String, Known<IpAddr, 2>>,
    pub(super) domains: BTreeMap<String, Known<String, 1>>,
}

impl Answers {
    /// Takes what came of a question; whether all of it was good.
    pub fn take(&mut self, name: &Name, reply: Reply, now: Clock) -> bool {
        match reply {
            Reply::Host(families) => {
                let failure = families.iter().find_map(|reply| reply.as_ref().err().cloned());
                let is_empty =
                    |reply: &Result<Found<_>, _>| reply.as_ref().is_ok_and(|found| found.values.is_empty());
                // A family may be empty beside one that is not; beside a failure, or both, it is no good answer.
                let families = if failure.is_some() || families.iter().all(is_empty) {
                    let failure = failure.unwrap_or_else(|| "no address".to_owned());
                    families.map(|reply| if is_empty(&reply) { Err(failure.clone()) } else { reply })
                } else {
                    families
                };
                let known = self.hosts.entry(name.text.clone()).or_default();
                known.take(families, now);
                known.failure.is_none()
            }
            Reply::Exchangers(reply) => {
                let reply = reply.map(|mut found| {
                    while found.values.len() > MAX_EXCHANGERS {
                        found.values.pop_last();
                    }
                    found
                });
                let known = self.domains.entry(name.text.clone()).or_default();
                known.take([reply], now);
                known.failure.is_none()
            }
        }
    }

    /// What the names of a rule stand for.
    pub(super) fn resolved(&self, rule: &str, names: &Names, boot: u64) -> Vec<Resolved> {
        let resolved = names.list.iter().map(|named| {
            let mut addresses = BTreeSet::new();
            let failure = match named.name.key {
                Key::Names => self.host(&named.name.text, names.keep_old_for, boot, &mut addresses),
                Key::Mx => self.exchangers(&named.name.text, names.keep_old_for, boot, &mut addresses),
            };
            while addresses.len() > MAX_ADDRESSES {
                addresses.pop_last();
            }
            let takes_no_mail =
                named.name.key == Key::Mx && self.takes_no_mail(&named.name.text, names.keep_old_for, boot);
            Resolved { rule: rule.to_owned(), name: named.name.clone(), addresses, takes_no_mail, failure }
        });
        resolved.collect()
    }

    fn takes_no_mail(&self, domain: &str, keep: Duration, boot: u64) -> bool {
        let answer = self.domains.get(domain).and_then(|known| known.parts[0].as_ref());
        answer.is_some_and(|kept| kept.values.is_empty() && kept.holds(keep, boot))
    }

    fn host(&self, host: &str, keep: Duration, boot: u64, into: &mut BTreeSet<IpAddr>) -> Option<String> {
        let known = self.hosts.get(host)?;
        into.extend(known.values(keep, boot));
        known.failure.clone()
    }

    fn exchangers(
        &self,
        domain: &str,
        keep: Duration,
        boot: u64,
        into: &mut BTreeSet<IpAddr>,
    ) -> Option<String> {
        let known = self.domains.get(domain)?;
        let mut failure = known.failure.clone();
        for host in known.values(keep, boot) {
            let failed = self.host(host, keep, boot, into).map(|failed| format!("{host}: {failed}"));
            failure = failure.or(failed);
        }
        failure
    }

    /// The names, and the exchangers that are known of those that are domains.
    pub(super) fn with_exchangers(&self, wanted: &BTreeMap<Name, Duration>) -> BTreeMap<Name, Duration> {
        let mut all = wanted.clone();
        for (name, keep) in wanted.iter().filter(|(name, _)| name.key == Key::Mx) {
            // Also those of an answer that no longer holds: they are asked for until there is another.
            let parts =
                self.domains.get(&name.text).into_iter().flat_map(|known| known.parts.iter().flatten());
            for host in parts.flat_map(|kept| &kept.values) {
                let known = all.entry(Name { key: Key::Names, text: host.clone() }).or_insert(*keep);
                *known = (*keep).max(*known);
            }
        }
        all
    }

    /// Whether each name, and each exchanger of a domain, has an answer, or was asked for.
    pub(super) fn are_known(&self, wanted: &BTreeMap<Name, Duration>, boot: u64) -> bool {
        self.with_exchangers(wanted).iter().all(|(name, keep)| match name.key {
            Key::Names => self.hosts.get(&name.text).is_some_and(|known| known.is_known(*keep, boot)),
            Key::Mx => self.domains.get(&name.text).is_some_and(|known| known.is_known(*keep, boot)),
        })
    }

    /// Whether both have the same values, whenever they were confirmed.
    pub(super) fn say_the_same(&self, other: &Self) -> bool {
        fn values<T, const PARTS: usize>(known: &Known<T, PARTS>) -> [Option<&BTreeSet<T>>; PARTS] {
            known.parts.each_ref().map(|kept| kept.as_ref().map(|kept| &kept.values))
        }
        fn same<T: PartialEq, const PARTS: usize>(
            one: &BTreeMap<String, Known<T, PARTS>>,
            other: &BTreeMap<String, Known<T, PARTS>>,
        ) -> bool {
            let values = |(name, known): (_, _)| (name, values(known));
            one.iter().map(values).eq(other.iter().map(values))
        }
        same(&self.hosts, &other.hosts) && same(&self.domains, &other.domains)
    }

    /// Forgets what is not wanted.
    pub(super) fn prune(&mut self, wanted: &BTreeMap<Name, Duration>) {
        let wanted = self.with_exchangers(wanted);
        self.hosts.retain(|host, _| wanted.contains_key(&Name { key: Key::Names, text: host.clone() }));
        self.domains.retain(|domain, _| wanted.contains_key(&Name { key: Key::Mx, text: domain.clone() }));
    }
}

#[cfg(test)]
mod tests;
