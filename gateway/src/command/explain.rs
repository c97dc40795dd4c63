//! `gate25 explain`: what happens to a connection, why, and when that next changes; decided by the very code that runs
//! in the kernel.

use crate::policy::compile::{Clock, TooLarge, compile, next_change};
use crate::policy::{Policy, Scope};
use crate::tables::{Rule, View};
use gate25_common::address::Address;
use gate25_common::decide::decide;
use gate25_common::parse::{NO_PPPOE, OPEN, Parsed, SMTP, Segment};
use gate25_common::verdict::{Action, Direction, Reason, Verdict};
use ipnetwork::IpNetwork;
use jiff::Timestamp;
use serde::Serialize;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The answer; its JSON is contract section 3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    from: IpAddr,
    to: IpAddr,
    at: Timestamp,
    direction: &'static str,
    zone: Option<String>,
    verdict: &'static str,
    action: &'static str,
    enforced: bool,
    reason: &'static str,
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

/// Explains what becomes of packets of a connection between a subscriber and port 25 of a remote address.
pub fn explain(policy: &Policy, path: Path, at: Timestamp) -> Result<Explanation, TooLarge> {
    let (verdict, zone, rule) = judge(policy, path, at)?;
    let redirects = matches!(verdict.action, Action::Notice | Action::Relay);
    let redirecting = policy.zones.iter().find(|known| redirects && zone.as_ref() == Some(&known.id));
    Ok(Explanation {
        from: path.subscriber,
        to: path.remote,
        at,
        direction: path.direction.label(),
        target: redirecting.and_then(|zone| zone.redirects_to().of(path.remote.is_ipv6())),
        zone,
        verdict: verdict.decision.label(),
        action: verdict.action.label(),
        enforced: verdict.enforced,
        reason: verdict.reason.label(),
        until: rule.as_ref().and_then(|rule| rule.until),
        rule: rule.map(|rule| rule.id),
        next_change: changes(policy, path, at)?,
    })
}

/// The first instant after `at` at which verdict, reason or rule are others.
fn changes(policy: &Policy, path: Path, at: Timestamp) -> Result<Option<Timestamp>, TooLarge> {
    let policy = &about(policy, path);
    let now = judge(policy, path, at)?;
    let mut instant = at;
    while let Some(next) = next_change(policy, Clock::standing_at(instant)) {
        if judge(policy, path, next)? != now {
            return Ok(Some(next));
        }
        instant = next;
    }
    Ok(None)
}

fn judge(
    policy: &Policy,
    path: Path,
    at: Timestamp,
) -> Result<(Verdict, Option<String>, Option<Rule>), TooLarge> {
    let tables = compile(policy, Clock::standing_at(at), true, |zone| zone as u32 + 1)?;
    let verdict =
        decide(&connection(path), path.direction, &View { tables: &tables, now: 0, block_unmanaged: false });
    Ok((verdict, tables.zones.get(&verdict.zone).cloned(), tables.rules.get(&verdict.rule).cloned()))
}

fn connection(path: Path) -> Parsed {
    Parsed::Smtp(Segment {
        subscriber: Address::from(path.subscriber),
        remote: Address::from(path.remote),
        subscriber_port: 0,
        remote_port: SMTP,
        pppoe: NO_PPPOE,
        network: 0,
        transport: 0,
        end: OPEN,
        fragment: false,
    })
}

/// The policy without what cannot bear on the two addresses: small, and decides the same for them.
fn about(policy: &Policy, Path { subscriber: from, remote: to, .. }: Path) -> Policy {
    let has = |prefix: &IpNetwork, address| prefix.contains(address);
    let bears = |scope: &Scope<IpNetwork>, address| match scope {
        Scope::Every => true,
        Scope::Only(prefixes) => prefixes.iter().any(|prefix| has(prefix, address)),
    };
    let mut small = policy.clone();
    small.zones.iter_mut().for_each(|zone| zone.subscribers.retain(|prefix| has(prefix, from)));
    small.relays.retain(|relay| relay.addresses.iter().any(|prefix| has(prefix, to)));
    small.exceptions.retain(|rule| bears(&rule.subscribers, from) && bears(&rule.destinations, to));
    small.blocks.retain(|rule| bears(&rule.subscribers, from) && bears(&rule.destinations, to));
    small
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = || "-".to_owned();
        let or_none = |instant: Option<Timestamp>| instant.map_or_else(none, |instant| instant.to_string());
        let is_return = self.direction == Direction::Return.label();
        let carried_out = match (self.verdict, self.enforced) {
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
            ("direction", self.direction.to_owned()),
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
