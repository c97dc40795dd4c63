//! Redirected connections, as the kernel keeps them.

use super::fault::Fault;
use super::object;
use super::pins::Pins;
use crate::clock;
use aya::maps::{HashMap, Map, MapData, MapError};
use gate25_common::abi::{Flow, FlowKey};
use gate25_common::address::Address;
use gate25_common::verdict::{Action, Reason};
use std::net::{IpAddr, SocketAddr};

/// The tables of redirected connections, open for reading.
pub struct Flows {
    tables: [HashMap<MapData, FlowKey, Flow>; 2],
}

/// A redirected connection, in people's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// Whom the subscriber wanted to talk to, at port 25.
    pub remote: IpAddr,
    /// The zone's slot.
    pub zone: u32,
    /// Why it was blocked.
    pub reason: Reason,
    /// What it got.
    pub action: Action,
    /// The rule named, or [`gate25_common::abi::NO_RULE`].
    pub rule: u64,
}

impl Flows {
    /// The pinned ones.
    pub fn pinned(pins: &Pins) -> Result<Self, Fault> {
        let open = |name: &str| {
            let data = object::open(&pins.tables().join(name))?;
            let map = Map::from_map_data(data).map_err(|error| fault(&error))?;
            HashMap::try_from(map).map_err(|error| fault(&error))
        };
        Ok(Self { tables: [open("FLOWS")?, open("HALF_FLOWS")?] })
    }

    /// The connection that a subscriber's address and port are redirected for.
    pub fn find(&self, subscriber: SocketAddr) -> Result<Option<Connection>, Fault> {
        let key = FlowKey::new(Address::from(subscriber.ip()), subscriber.port());
        for table in &self.tables {
            match table.get(&key, 0) {
                Ok(flow) => return Ok(connection(&flow, subscriber.is_ipv6())),
                Err(MapError::KeyNotFound) => {}
                Err(error) => return Err(fault(&error)),
            }
        }
        Ok(None)
    }

    /// Forgets established connections that have been silent too long, since nobody closed them; how many are left. The
    /// others need no sweeping: their table lets go of the least recently used.
    pub fn sweep(&mut self) -> Result<usize, Fault> {
        let [established, _] = &mut self.tables;
        let now = clock::monotonic();
        let (mut silent, mut left) = (Vec::new(), 0);
        for entry in established.iter() {
            let (key, flow) = entry.map_err(|error| fault(&error))?;
            if flow.gives_way(true, now) {
                silent.push(key);
            } else {
                left += 1;
            }
        }
        for key in silent {
            match established.remove(&key) {
                Ok(()) | Err(MapError::KeyNotFound) => {}
                Err(error) => return Err(fault(&error)),
            }
        }
        Ok(left)
    }
}

/// `None` where the connection is not redirected.
fn connection(flow: &Flow, is_ipv6: bool) -> Option<Connection> {
    (!flow.is_direct()).then_some(())?;
    Some(Connection {
        remote: Address::from_words(flow.remote, is_ipv6).into(),
        zone: flow.zone,
        reason: Reason::from_index(flow.reason)?,
        action: Action::from_index(flow.action)?,
        rule: flow.rule,
    })
}

fn fault(error: &MapError) -> Fault {
    Fault::kernel("flows", object::last(error))
}
