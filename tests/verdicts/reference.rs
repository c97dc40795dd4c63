//! The contract's prose, word by word and as slowly as it reads: no tables, no classes.

use gate25::policy::{Block, Exception, Mode, Policy, Relay, ReturnPath, Scope, Zone};
use gate25_common::verdict::{Action, Decision, Direction, Reason};
use ipnetwork::IpNetwork;
use jiff::Timestamp;
use std::cmp::Reverse;
use std::net::IpAddr;

/// What the contract says of a packet to or from port 25.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) decision: Decision,
    pub(crate) action: Action,
    pub(crate) reason: Reason,
    pub(crate) zone: Option<String>,
    pub(crate) rule: Option<String>,
    pub(crate) enforced: bool,
}

/// Most specific destination, most specific subscriber, smallest id.
type Rank<'a> = (Reverse<u8>, Reverse<u8>, &'a str);

/// A packet between a subscriber and port 25 of a remote address, at `now`, under a policy whose tables were made at
/// `installed`: until the controller is back nothing begins and no block ends.
pub(crate) fn judge(
    policy: &Policy,
    (subscriber, remote): (IpAddr, IpAddr),
    (installed, now): (Timestamp, Timestamp),
    direction: Direction,
    block_unmanaged: bool,
) -> Judgement {
    let is_return = direction == Direction::Return;
    let zone = zone_of(policy, subscriber);
    // `return_path: off` looks at nothing.
    let Some((index, zone)) = zone.filter(|(_, zone)| !is_return || zone.return_path != ReturnPath::Off)
    else {
        // `unmanaged: block` is about sources: what leaves toward addresses of no zone has another.
        let (decision, action) = if block_unmanaged && !is_return {
            (Decision::Block, Action::Drop)
        } else {
            (Decision::Pass, Action::None)
        };
        let enforced = decision == Decision::Block;
        return Judgement { decision, action, reason: Reason::Unmanaged, zone: None, rule: None, enforced };
    };
    let enforces =
        if is_return { zone.return_path == ReturnPath::Enforce } else { zone.mode == Mode::Enforce };
    let judgement = |decision, reason, rule: Option<&str>| Judgement {
        decision,
        action: match decision {
            Decision::Pass => Action::None,
            Decision::Block if is_return => Action::Drop,
            Decision::Block => action(zone, subscriber.is_ipv6()),
        },
        reason,
        zone: Some(zone.id.clone()),
        rule: rule.map(str::to_owned),
        enforced: decision == Decision::Block && enforces,
    };
    let place = Place { zone: index, subscriber, remote };

    let holding =
        policy.blocks.iter().filter(|block| begun(block.from, installed) && !over(block.until, installed));
    if let Some(block) = first(holding.filter_map(|block| place.of_block(block))) {
        return judgement(Decision::Block, Reason::BlockRule, Some(block));
    }
    if let Some(relay) = first(policy.relays.iter().filter_map(|relay| place.of_relay(relay))) {
        return judgement(Decision::Pass, Reason::Relay, Some(relay));
    }
    let known = || policy.exceptions.iter().filter(|exception| begun(exception.from, installed));
    let holding = known().filter(|exception| !over(exception.until, now));
    if let Some(exception) = first(holding.filter_map(|exception| place.of_exception(exception))) {
        return judgement(Decision::Pass, Reason::Exception, Some(exception));
    }
    let ended = known().filter(|exception| over(exception.until, now));
    if let Some(exception) = first(ended.filter_map(|exception| place.of_exception(exception))) {
        return judgement(Decision::Block, Reason::Expired, Some(exception));
    }
    judgement(Decision::Block, Reason::Default, None)
}

/// What a blocked connection gets; a family without an endpoint gets a reset.
fn action(zone: &Zone, ipv6: bool) -> Action {
    let endpoints = match (zone.action, &zone.notice) {
        (Action::Notice, Some(notice)) => notice.address,
        (Action::Relay, _) => zone.relay_to,
        (action, _) => return action,
    };
    let there = if ipv6 { endpoints.ipv6.is_some() } else { endpoints.ipv4.is_some() };
    if there { zone.action } else { Action::Reset }
}

fn zone_of(policy: &Policy, subscriber: IpAddr) -> Option<(usize, &Zone)> {
    let prefixes = |zone: &Zone| longest(&zone.subscribers, subscriber);
    let zones = policy.zones.iter().enumerate();
    zones
        .filter_map(|(index, zone)| Some((prefixes(zone)?, index, zone)))
        .max_by_key(|(length, _, _)| *length)
        .map(|(_, index, zone)| (index, zone))
}

fn begun(from: Option<Timestamp>, at: Timestamp) -> bool {
    from.is_none_or(|from| at >= from)
}

fn over(until: Option<Timestamp>, at: Timestamp) -> bool {
    until.is_some_and(|until| at >= until)
}

fn first<'a>(matching: impl Iterator<Item = Rank<'a>>) -> Option<&'a str> {
    matching.min().map(|(_, _, id)| id)
}

fn longest(prefixes: &[IpNetwork], address: IpAddr) -> Option<u8> {
    prefixes.iter().filter(|prefix| prefix.contains(address)).map(IpNetwork::prefix).max()
}

/// How specific a scope is on an address; everything is as specific as a prefix of length 0.
fn specific(scope: &Scope<IpNetwork>, address: IpAddr) -> Option<u8> {
    match scope {
        Scope::Every => Some(0),
        Scope::Only(prefixes) => longest(prefixes, address),
    }
}

struct Place {
    zone: usize,
    subscriber: IpAddr,
    remote: IpAddr,
}

impl Place {
    fn of_relay<'a>(&self, relay: &'a Relay) -> Option<Rank<'a>> {
        let destination = longest(&relay.addresses, self.remote)?;
        self.within(&relay.zones).then_some((Reverse(destination), Reverse(0), &relay.id))
    }

    fn of_exception<'a>(&self, exception: &'a Exception) -> Option<Rank<'a>> {
        let Exception { id, zones, subscribers, destinations, .. } = exception;
        self.rank(id, zones, subscribers, destinations)
    }

    fn of_block<'a>(&self, block: &'a Block) -> Option<Rank<'a>> {
        let Block { id, zones, subscribers, destinations, .. } = block;
        self.rank(id, zones, subscribers, destinations)
    }

    fn rank<'a>(
        &self,
        id: &'a str,
        zones: &Scope<usize>,
        subscribers: &Scope<IpNetwork>,
        destinations: &Scope<IpNetwork>,
    ) -> Option<Rank<'a>> {
        let (destination, subscriber) =
            (specific(destinations, self.remote)?, specific(subscribers, self.subscriber)?);
        self.within(zones).then_some((Reverse(destination), Reverse(subscriber), id))
    }

    fn within(&self, zones: &Scope<usize>) -> bool {
        match zones {
            Scope::Every => true,
            Scope::Only(zones) => zones.contains(&self.zone),
        }
    }
}
