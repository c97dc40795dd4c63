//! `gate25 explain`: what happens to a connection, why, and when that next changes; decided by the very code that runs
//! in the kernel.

use crate::policy::compile::{Clock, TooLarge, compile, next_change};
use crate::policy::{Policy, Scope};
use crate::tables::{Rule, View, connection};
use gate25_common::decide::decide;
use gate25_common::verdict::{Action, Direction, Reason, Verdict};
use ipnetwork::IpNetwork;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// One of a closed list.
type Word = Cow<'static, str>;

/// The answer; its JSON is contract section 3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    from: IpAddr,
    to: IpAddr,
    at: Timestamp,
    direction: Word,
    zone: Option<String>,
    verdict: Word,
    action: Word,
    enforced: bool,
    reason: Word,
    rule: Option<String>,
    until: Option<Timestamp>,
    next_change: Option<Timestamp>,
    /// For people alone: where it is redirected.
    #[serde(skip)]
    target: Option<SocketAddr>,
}

/// Between whom packets go, and which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    /// The subscriber's address.
    pub subscriber: IpAddr,
    /// The remote address, of the same family; port 25 is on this side.
    pub remote: IpAddr,
    /// Which way.
    pub direction: Direction,
}

/// The answer of a running controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    explanation: Explanation,
    target: Option<SocketAddr>,
}

impl From<Explanation> for Answered {
    fn from(explanation: Explanation) -> Self {
        Self { target: explanation.target, explanation }
    }
}

impl From<Answered> for Explanation {
    fn from(Answered { explanation, target }: Answered) -> Self {
        Self { target, ..explanation }
    }
}

/// Where a policy is in force, as far as that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// `enforce` of the node.
    pub enforce: bool,
    /// `unmanaged: block` of the interface.
    pub block_unmanaged: bool,
}

impl Node {
    /// One of which nothing is known but the policy.
    pub const PLAIN: Self = Self { enforce: true, block_unmanaged: false };
}

/// Explains what becomes of packets of a connection between a subscriber and port 25 of a remote address, at `at.wall`.
pub fn explain(policy: &Policy, path: Path, at: Clock, node: Node) -> Result<Explanation, TooLarge> {
    let policy = &about(policy, path);
    let (verdict, zone, rule) = judge(policy, path, at, node)?;
    let redirects = matches!(verdict.action, Action::Notice | Action::Relay);
    let redirecting = policy.zones.iter().find(|known| redirects && zone.as_ref() == Some(&known.id));
    Ok(Explanation {
        from: path.subscriber,
        to: path.remote,
        at: at.wall,
        direction: path.direction.label().into(),
        target: redirecting.and_then(|zone| zone.redirects_to().of(path.remote.is_ipv6())),
        zone,
        verdict: verdict.decision.label().into(),
        action: verdict.action.label().into(),
        enforced: verdict.enforced,
        reason: verdict.reason.label().into(),
        until: rule.as_ref().and_then(|rule| rule.until),
        rule: rule.map(|rule| rule.id),
        next_change: changes(policy, path, at, node)?,
    })
}

/// The first instant after that at which verdict, reason or rule are others.
fn changes(policy: &Policy, path: Path, at: Clock, node: Node) -> Result<Option<Timestamp>, TooLarge> {
    let now = judge(policy, path, at, node)?;
    let mut clock = at;
    while let Some(next) = next_change(policy, clock) {
        clock = Clock::standing_at(next).having_seen(at.newest);
        if judge(policy, path, clock, node)? != now {
            return Ok(Some(next));
        }
    }
    Ok(None)
}

fn judge(
    policy: &Policy,
    path: Path,
    at: Clock,
    Node { enforce, block_unmanaged }: Node,
) -> Result<(Verdict, Option<String>, Option<Rule>), TooLarge> {
    let tables = compile(policy, Clock { boot: 0, ..at }, enforce, |zone| zone as u32 + 1)?;
    let view = View { tables: &tables, now: 0, block_unmanaged };
    let mut verdict = decide(&connection(path.subscriber.into(), path.remote.into()), path.direction, &view);
    verdict.enforced &= enforce;
    Ok((verdict, tables.zones.get(&verdict.zone).cloned(), tables.rules.get(&verdict.rule).cloned()))
}

/// The policy without what cannot bear on the two addresses: small, and decides the same for them.
fn about(policy: &Policy, Path { subscriber: from, remote: to, .. }: Path) -> Policy {
    let has = |prefix: &IpNetwork, address| prefix.contains(address);
    // Whether a rule bears on the address, and what it lists besides goes.
    let bears = |scope: &mut Scope<IpNetwork>, address| match scope {
        Scope::Every => true,
        Scope::Only(prefixes) => {
            let near: Vec<_> = prefixes.iter().filter(|prefix| has(prefix, address)).copied().collect();
            *prefixes = near.into();
            !prefixes.is_empty()
        }
    };
    let mut small = policy.clone();
    small.zones.iter_mut().for_each(|zone| zone.subscribers.retain(|prefix| has(prefix, from)));
    small.relays.retain_mut(|relay| {
        relay.addresses.retain(|prefix| has(prefix, to));
        !relay.addresses.is_empty()
    });
    small
        .exceptions
        .retain_mut(|rule| bears(&mut rule.subscribers, from) && bears(&mut rule.destinations, to));
    small.blocks.retain_mut(|rule| bears(&mut rule.subscribers, from) && bears(&mut rule.destinations, to));
    small
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = || "-".to_owned();
        let or_none = |instant: Option<Timestamp>| instant.map_or_else(none, |instant| instant.to_string());
        let is_return = self.direction == Direction::Return.label();
        let carried_out = match (&*self.verdict, self.enforced) {
            ("block", true) => ", carried out",
            ("block", false) if is_return => ", not carried out (the zone's return path monitors)",
            ("block", false) => ", not carried out (the zone monitors)",
            _ => "",
        };
        let ends = if is_return {
            [("from", format!("port 25 of {}", self.to)), ("toward", self.from.to_string())]
        } else {
            [("from", self.from.to_string()), ("to", format!("{} port 25", self.to))]
        };
        let unseen = if is_return && self.reason == Reason::Unmanaged.label() {
            ", in no zone that looks at the way back"
        } else {
            ""
        };
        let target = self.target.map_or_else(String::new, |target| format!(", to {target}"));
        let rows = [
            ("at", self.at.to_string()),
            ("direction", self.direction.clone().into_owned()),
            ("zone", self.zone.clone().unwrap_or_else(none)),
            ("verdict", format!("{}{carried_out}", self.verdict)),
            ("action", format!("{}{target}", self.action)),
            ("reason", format!("{}{unseen}", self.reason)),
            ("rule", self.rule.clone().unwrap_or_else(none)),
            ("until", or_none(self.until)),
            ("next change", or_none(self.next_change)),
        ];
        ends.iter().chain(&rows).try_for_each(|(name, value)| writeln!(f, "{name:<12} {value}"))
    }
}
