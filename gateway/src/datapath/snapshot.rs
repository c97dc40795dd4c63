//! What the kernel counted, read from the live maps.

use super::fault::Fault;
use super::object::{self, OWN};
use super::pins::Pins;
use aya::maps::{Map, MapData, MapError, PerCpuArray, PerCpuHashMap, PerCpuValues};
use aya::{Ebpf, Pod};
use gate25_common::abi::{Count, OUTCOMES, Passed, RuleCount, ZoneCounts};
use gate25_common::verdict::{Action, Decision, Family, Reason};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// All counters at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// A row for each outcome that was ever counted, and for `not-smtp` of each family.
    pub packets: Vec<Row>,
    /// Answers carried out, by interface.
    pub actions: Vec<(String, Action, u64)>,
    /// Rules by number, those never named with zeros.
    pub rules: BTreeMap<u64, RuleCount>,
}

/// One line of `gate25_packets_total` and its two sisters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The interface.
    pub interface: String,
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

/// The counters of some interfaces and of all rules, open for reading.
pub struct Counters {
    interfaces: Vec<Own>,
    rules: PerCpuHashMap<MapData, u64, RuleCount>,
}

struct Own {
    name: String,
    passed: PerCpuArray<MapData, Passed>,
    counts: PerCpuArray<MapData, ZoneCounts>,
    actions: PerCpuArray<MapData, u64>,
}

impl Counters {
    /// The pinned ones of these interfaces.
    pub fn pinned<'a>(pins: &Pins, interfaces: impl Iterator<Item = &'a str>) -> Result<Self, Fault> {
        let open = |path: PathBuf| -> Result<Map, Fault> {
            Map::from_map_data(object::open(&path)?).map_err(|error| Fault::kernel(path.display(), error))
        };
        let own = |name: &str| {
            let [passed, counts, actions] = OWN.map(|map| pins.interface(name).join(map));
            Own::new(name, open(passed)?, open(counts)?, open(actions)?)
        };
        let rules = open(pins.tables().join("RULES"))?.try_into().map_err(fault)?;
        Ok(Self { interfaces: interfaces.map(own).collect::<Result<_, _>>()?, rules })
    }

    /// Those of a program of one's own, under a name; its rule counters come from `rules`.
    pub fn of(ebpf: &mut Ebpf, name: &str, rules: MapData) -> Result<Self, Fault> {
        let [passed, counts, actions] = OWN;
        let own = Own::new(
            name,
            object::take(ebpf, passed)?,
            object::take(ebpf, counts)?,
            object::take(ebpf, actions)?,
        )?;
        let rules = Map::from_map_data(rules).map_err(fault)?.try_into().map_err(fault)?;
        Ok(Self { interfaces: vec![own], rules })
    }

    /// Reads everything. `zones` are the slots to look at.
    pub fn snapshot(&self, zones: impl Iterator<Item = u32> + Clone) -> Result<Snapshot, Fault> {
        let mut snapshot = Snapshot::default();
        for own in &self.interfaces {
            own.read(zones.clone(), &mut snapshot).map_err(fault)?;
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

impl Own {
    fn new(name: &str, passed: Map, counts: Map, actions: Map) -> Result<Self, Fault> {
        Ok(Self {
            name: name.to_owned(),
            passed: passed.try_into().map_err(fault)?,
            counts: counts.try_into().map_err(fault)?,
            actions: actions.try_into().map_err(fault)?,
        })
    }

    fn read(&self, zones: impl Iterator<Item = u32>, snapshot: &mut Snapshot) -> Result<(), MapError> {
        for family in Family::ALL {
            let passed = self.passed.get(&(*family as u32), 0)?;
            let count = Count {
                packets: total(&passed, |cpu| cpu.packets),
                bytes: total(&passed, |cpu| cpu.bytes),
                attempts: 0,
            };
            snapshot.packets.push(self.row(*family, 0, (Decision::Pass, Reason::NotSmtp, false), count));
        }
        for zone in zones {
            let counts = self.counts.get(&zone, 0)?;
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
                        snapshot.packets.push(self.row(family, zone, *outcome, count));
                    }
                }
            }
        }
        for action in [Action::Drop, Action::Reset] {
            let count = total(&self.actions.get(&(action as u32), 0)?, |cpu| *cpu);
            snapshot.actions.push((self.name.clone(), action, count));
        }
        Ok(())
    }

    fn row(
        &self,
        family: Family,
        zone: u32,
        (decision, reason, enforced): (Decision, Reason, bool),
        count: Count,
    ) -> Row {
        Row { interface: self.name.clone(), family, zone, decision, reason, enforced, count }
    }
}

fn total<T: Pod>(values: &PerCpuValues<T>, of: impl Fn(&T) -> u64) -> u64 {
    values.iter().map(of).sum()
}

fn fault(error: MapError) -> Fault {
    Fault::kernel("counters", object::last(&error))
}
