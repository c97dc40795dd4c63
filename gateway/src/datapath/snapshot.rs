//! What the kernel counted, read from the live maps.

use super::fault::Fault;
use super::object;
use super::pins::Pins;
use aya::maps::{Array, Map, MapData, MapError, PerCpuArray, PerCpuHashMap, PerCpuValues};
use aya::{Ebpf, Pod};
use gate25_common::abi::{Count, Gateway, OUTCOMES, Passed, RuleCount, ZONE_SLOTS, ZoneCounts};
use gate25_common::verdict::{Action, Decision, Direction, Family, FlowEvent, Reason};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// All counters at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// A row for each outcome that was ever counted, and for `not-smtp` of each family.
    pub packets: Vec<Row>,
    /// Answers carried out, by interface.
    pub actions: Vec<(String, Action, u64)>,
    /// What happened to redirected connections, by interface.
    pub flow_events: Vec<(String, FlowEvent, u64)>,
    /// Events that the program could not tell, for want of room.
    pub events_lost: u64,
    /// Rules by number, those never named with zeros.
    pub rules: BTreeMap<u64, RuleCount>,
}

/// One line of `gate25_packets_total` and its two sisters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The interface.
    pub interface: String,
    /// Arriving from subscribers, or leaving toward them.
    pub direction: Direction,
    /// The protocol.
    pub family: Family,
    /// The zone's slot.
    pub zone: u32,
    /// Pass or block.
    pub decision: Decision,
    /// Why.
    pub reason: Reason,
    /// A block that was carried out.
    pub enforced: bool,
    /// How many.
    pub count: Count,
}

/// New connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attempts {
    /// Blocked, whether or not that was carried out.
    pub blocked: u64,
    /// Not blocked.
    pub passed: u64,
}

/// The counters of some interfaces and of all rules, open for reading.
pub struct Counters {
    interfaces: Vec<(String, Own)>,
    rules: PerCpuHashMap<MapData, u64, RuleCount>,
}

/// The maps of an interface.
pub struct Own {
    passed: PerCpuArray<MapData, Passed>,
    counts: PerCpuArray<MapData, ZoneCounts>,
    actions: PerCpuArray<MapData, u64>,
    flow_events: PerCpuArray<MapData, u64>,
    gateway: Array<MapData, Gateway>,
    events_lost: PerCpuArray<MapData, u64>,
}

impl Counters {
    /// The pinned ones of these interfaces.
    pub fn pinned<'a>(pins: &Pins, interfaces: impl Iterator<Item = &'a str>) -> Result<Self, Fault> {
        let own = |name: &str| Ok((name.to_owned(), Own::pinned(pins, name)?));
        let rules = open(&pins.tables().join("RULES"))?.try_into().map_err(fault)?;
        Ok(Self { interfaces: interfaces.map(own).collect::<Result<_, Fault>>()?, rules })
    }

    /// Those of a program of one's own, under a name; its rule counters come from `rules`.
    pub(super) fn of(name: &str, own: Own, rules: MapData) -> Result<Self, Fault> {
        let rules = Map::from_map_data(rules).map_err(fault)?.try_into().map_err(fault)?;
        Ok(Self { interfaces: vec![(name.to_owned(), own)], rules })
    }

    /// What the subscribers of zones tried, by slot; all interfaces and directions together.
    pub fn attempts(&self, zones: &[u32]) -> Result<HashMap<u32, Attempts>, Fault> {
        let mut attempts = HashMap::<u32, Attempts>::new();
        let mut snapshot = Snapshot::default();
        for (name, own) in &self.interfaces {
            for direction in Direction::ALL {
                own.read_zones(name, *direction, zones.iter().copied(), &mut snapshot).map_err(fault)?;
            }
        }
        for row in snapshot.packets {
            let sum = attempts.entry(row.zone).or_default();
            let place = if row.decision == Decision::Block { &mut sum.blocked } else { &mut sum.passed };
            *place += row.count.attempts;
        }
        Ok(attempts)
    }

    /// Reads everything. `zones` are the slots to look at.
    pub fn snapshot(&self, zones: impl Iterator<Item = u32> + Clone) -> Result<Snapshot, Fault> {
        let mut snapshot = Snapshot::default();
        for (name, own) in &self.interfaces {
            own.read(name, zones.clone(), &mut snapshot).map_err(fault)?;
        }
        for entry in &self.rules {
            let (number, values) = entry.map_err(fault)?;
            let add = |sum: RuleCount, cpu: &RuleCount| RuleCount {
                packets: sum.packets + cpu.packets,
                attempts: sum.attempts + cpu.attempts,
            };
            snapshot.rules.insert(number, values.iter().fold(RuleCount::default(), add));
        }
        Ok(snapshot)
    }
}

fn open(path: &Path) -> Result<Map, Fault> {
    Map::from_map_data(object::open(path)?).map_err(|error| Fault::kernel(path.display(), error))
}

impl Own {
    /// The pinned ones of an interface.
    pub fn pinned(pins: &Pins, name: &str) -> Result<Self, Fault> {
        Self::new(|map| open(&pins.interface(name).join(map)))
    }

    /// Those of a program of one's own.
    pub(super) fn of(ebpf: &mut Ebpf) -> Result<Self, Fault> {
        Self::new(|map| object::take(ebpf, map))
    }

    fn new(mut map: impl FnMut(&'static str) -> Result<Map, Fault>) -> Result<Self, Fault> {
        Ok(Self {
            passed: map("PASSED")?.try_into().map_err(fault)?,
            counts: map("COUNTS")?.try_into().map_err(fault)?,
            actions: map("ACTIONS")?.try_into().map_err(fault)?,
            flow_events: map("FLOW_EVENTS")?.try_into().map_err(fault)?,
            gateway: map("GATEWAY")?.try_into().map_err(fault)?,
            events_lost: map("EVENTS_LOST")?.try_into().map_err(fault)?,
        })
    }

    /// Says from which addresses the program speaks in its own name.
    pub fn name_gateway(&mut self, gateway: Gateway) -> Result<(), Fault> {
        self.gateway.set(0, gateway, 0).map_err(fault)
    }

    fn read(
        &self,
        name: &str,
        zones: impl Iterator<Item = u32> + Clone,
        snapshot: &mut Snapshot,
    ) -> Result<(), MapError> {
        for direction in Direction::ALL {
            self.read_direction(name, *direction, zones.clone(), snapshot)?;
        }
        for action in Action::ALL.iter().filter(|action| **action != Action::None) {
            let count = total(&self.actions.get(&(*action as u32), 0)?, |cpu| *cpu);
            snapshot.actions.push((name.to_owned(), *action, count));
        }
        snapshot.events_lost += total(&self.events_lost.get(&0, 0)?, |cpu| *cpu);
        for event in FlowEvent::ALL {
            let count = total(&self.flow_events.get(&(*event as u32), 0)?, |cpu| *cpu);
            snapshot.flow_events.push((name.to_owned(), *event, count));
        }
        Ok(())
    }

    fn read_direction(
        &self,
        name: &str,
        direction: Direction,
        zones: impl Iterator<Item = u32>,
        snapshot: &mut Snapshot,
    ) -> Result<(), MapError> {
        for family in Family::ALL {
            let place = direction as u32 * Family::ALL.len() as u32 + *family as u32;
            let passed = self.passed.get(&place, 0)?;
            let count = Count {
                packets: total(&passed, |cpu| cpu.packets),
                bytes: total(&passed, |cpu| cpu.bytes),
                attempts: 0,
            };
            snapshot.packets.push(row(
                name,
                direction,
                *family,
                0,
                (Decision::Pass, Reason::NotSmtp, false),
                count,
            ));
        }
        self.read_zones(name, direction, zones, snapshot)
    }

    fn read_zones(
        &self,
        name: &str,
        direction: Direction,
        zones: impl Iterator<Item = u32>,
        snapshot: &mut Snapshot,
    ) -> Result<(), MapError> {
        for zone in zones {
            let counts = self.counts.get(&(direction as u32 * ZONE_SLOTS + zone), 0)?;
            for (family, of) in [
                (Family::Ipv4, (|zone| &zone.ipv4) as fn(&ZoneCounts) -> &[Count; OUTCOMES.len()]),
                (Family::Ipv6, |zone| &zone.ipv6),
                (Family::Other, |zone| &zone.other),
            ] {
                for (place, outcome) in OUTCOMES.iter().enumerate() {
                    let count = Count {
                        packets: total(&counts, |cpu| of(cpu)[place].packets),
                        bytes: total(&counts, |cpu| of(cpu)[place].bytes),
                        attempts: total(&counts, |cpu| of(cpu)[place].attempts),
                    };
                    if count.packets > 0 {
                        snapshot.packets.push(row(name, direction, family, zone, *outcome, count));
                    }
                }
            }
        }
        Ok(())
    }
}

fn row(
    interface: &str,
    direction: Direction,
    family: Family,
    zone: u32,
    (decision, reason, enforced): (Decision, Reason, bool),
    count: Count,
) -> Row {
    Row { interface: interface.to_owned(), direction, family, zone, decision, reason, enforced, count }
}

fn total<T: Pod>(values: &PerCpuValues<T>, of: impl Fn(&T) -> u64) -> u64 {
    values.iter().map(of).sum()
}

fn fault(error: MapError) -> Fault {
    Fault::kernel("counters", object::last(&error))
}
