//! What the program tells, in people's terms.

use super::{Events, Record};
use crate::clock;
use crate::datapath::events::Ring;
use crate::datapath::fault::Fault;
use crate::datapath::netlink;
use crate::datapath::suspects::Suspects;
use crate::status::{Installed, Shared};
use crate::suspects;
use gate25_common::abi::{Event, SubscriberKey};
use gate25_common::address::Address;
use gate25_common::verdict::{Action, Direction, EventKind, Reason};
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use tracing::warn;

/// Events that are told before others on the same thread have their turn.
const BATCH: usize = 256;

/// Tells what the program tells.
pub struct Teller {
    /// Knows zones and rules.
    pub status: Shared,
    /// Knows subscribers.
    pub suspects: Arc<Suspects>,
    /// Who is told.
    pub events: Events,
    /// Names of interfaces, also of those that are gone.
    pub interfaces: HashMap<u32, String>,
}

impl Teller {
    /// Tells until the process ends; also what came while no controller ran.
    pub async fn follow(mut self, mut ring: Ring) {
        loop {
            let mut told = Vec::with_capacity(BATCH);
            if let Err(error) = ring.read(BATCH, |event| told.push(event)).await {
                warn!("{}: no events are told; enforcement goes on", Fault::kernel("map EVENTS", error));
                return;
            }
            let installed = self.status.lock().installed.clone().unwrap_or_default();
            let now = (Timestamp::now(), clock::monotonic());
            for event in &told {
                if let Some(record) = self.record(event, &installed, now) {
                    self.events.tell(record);
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// `None` for what no program of ours tells.
    fn record(&mut self, event: &Event, installed: &Installed, now: (Timestamp, u64)) -> Option<Record> {
        let kind = EventKind::from_index(event.kind)?;
        let is_ipv6 = event.is_ipv6 != 0;
        let address = |words| IpAddr::from(Address::from_words(words, is_ipv6));
        let subscriber = Address::from_words(event.subscriber, is_ipv6);
        let mut record = Record {
            interface: self.interface(event.interface),
            direction: Some(Direction::Egress.label().into()),
            zone: installed.zones.get(&event.zone).cloned(),
            subscriber: Some(address(event.subscriber).to_string()),
            remote: Some(address(event.remote)),
            subscriber_port: Some(event.subscriber_port),
            reason: Some(Reason::from_index(event.reason)?.label().into()),
            rule: installed.rules.get(&event.rule).map(|rule| rule.id.clone()),
            action: Some(Action::from_index(event.action)?.label().into()),
            enforced: Some(event.enforced != 0),
            attempts: Some(event.attempts),
            ..Record::new(wall(event.time, now), kind)
        };
        if kind == EventKind::Suspect {
            let key = SubscriberKey::new(subscriber, 128);
            record.subscriber = Some(suspects::name(&key, self.suspects.prefix_v6(event.zone)));
            record.remotes =
                self.suspects.get(&key).ok().flatten().map(|suspect| suspects::count(&suspect.remotes));
        }
        Some(record)
    }

    fn interface(&mut self, index: u32) -> Option<String> {
        if let Some(name) = self.interfaces.get(&index) {
            return Some(name.clone());
        }
        let (name, _) = netlink::interface_at(index)?;
        self.interfaces.insert(index, name.clone());
        Some(name)
    }
}

/// The wall clock's time of one of the monotonic clock, by what both say now.
fn wall(monotonic: u64, (wall, now): (Timestamp, u64)) -> Timestamp {
    let ago = i64::try_from(now.saturating_sub(monotonic)).unwrap_or(i64::MAX);
    wall.checked_sub(SignedDuration::from_nanos(ago)).unwrap_or(wall)
}
