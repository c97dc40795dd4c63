//! Which zone has which slot of the counters: kept beside them, so that a zone finds its counters again after a
//! reload, a restart or an upgrade.

use super::fault::Fault;
use super::object::{self, Shape};
use super::pins::Pins;
use super::sys;
use aya::maps::{HashMap, Map, MapData, MapError, PerCpuArray, PerCpuValues};
use aya::util::nr_cpus;
use gate25_common::abi::{NO_ZONE, ZONE_ID_LENGTH, ZONE_SLOTS, ZoneCounts};
use gate25_common::verdict::Direction;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use tracing::warn;

/// The map's name below `pin`.
pub(super) const MAP: &str = "ZONES";
/// See [`Shape`]: `BPF_MAP_TYPE_HASH` of `linux/bpf.h`.
pub(super) const SHAPE: Shape = [1, 4, ZONE_ID_LENGTH as u32, ZONE_SLOTS];

type Id = [u8; ZONE_ID_LENGTH];

/// The slots of all zones that were ever counted.
pub struct Slots {
    map: HashMap<MapData, u32, Id>,
    /// The same, to pin it again.
    kept: OwnedFd,
    of: BTreeMap<String, u32>,
    /// The map is new: what a slot has counted may be of any zone.
    fresh: bool,
    pins: Pins,
}

impl Slots {
    /// The pinned ones.
    pub fn pinned(pins: &Pins) -> Result<Self, Fault> {
        let path = pins.tables().join(MAP);
        let fresh = !path.exists();
        if fresh {
            if !pins.counts().is_empty() && pins.tables().join("RULES").exists() {
                warn!(
                    "{}: was gone: nobody knows whose the zones' counters are, they begin anew",
                    path.display()
                );
            }
            let map = HashMap::<MapData, u32, Id>::create(ZONE_SLOTS, 0).map_err(fault)?;
            map.pin(&path).map_err(|error| Fault::kernel(path.display(), object::last(&error)))?;
        }
        let kept = sys::open(&path).map_err(|error| Fault::kernel(path.display(), error))?;
        let map = Map::HashMap(object::open(&path)?).try_into().map_err(fault)?;
        let mut slots = Self { map, kept, of: BTreeMap::new(), fresh, pins: pins.clone() };
        for entry in &slots.map {
            let (slot, id) = entry.map_err(fault)?;
            let end = id.iter().position(|octet| *octet == 0).unwrap_or(id.len());
            slots.of.insert(String::from_utf8_lossy(&id[..end]).into_owned(), slot);
        }
        Ok(slots)
    }

    /// A slot for each of the zones, in order. A new zone gets a free one, or that of a zone that is no longer in the
    /// policy, whose counters then end.
    pub fn assign<'a>(&mut self, zones: impl Iterator<Item = &'a str> + Clone) -> Result<Vec<u32>, Fault> {
        let mut assigned = Vec::new();
        for id in zones.clone() {
            let slot = match self.of.get(id) {
                Some(slot) => *slot,
                None => self.take(id, |other| zones.clone().any(|zone| zone == other))?,
            };
            assigned.push(slot);
        }
        Ok(assigned)
    }

    /// Pins the map again if somebody removed it.
    pub fn keep_pinned(&self) {
        let path = self.pins.tables().join(MAP);
        if !path.exists() && sys::pin(self.kept.as_fd(), &path).is_ok() {
            warn!("{}: was gone, and is pinned again", path.display());
        }
    }

    fn take(&mut self, id: &str, in_use: impl Fn(&str) -> bool) -> Result<u32, Fault> {
        let taken: Vec<u32> = self.of.values().copied().collect();
        let free = (NO_ZONE + 1..ZONE_SLOTS).find(|slot| !taken.contains(slot));
        let slot = if let Some(slot) = free {
            if self.fresh {
                self.clear(slot)?;
            }
            slot
        } else {
            let old = self.of.keys().find(|id| !in_use(id)).cloned();
            let slot = old.and_then(|old| self.of.remove(&old)).ok_or_else(|| {
                Fault::new("zones", id, "there is no counter slot left", "a policy has at most 1,000 zones")
            })?;
            self.clear(slot)?;
            slot
        };
        let mut octets = [0; ZONE_ID_LENGTH];
        octets.iter_mut().zip(id.bytes()).for_each(|(place, octet)| *place = octet);
        self.map.insert(slot, octets, 0).map_err(fault)?;
        self.of.insert(id.to_owned(), slot);
        Ok(slot)
    }

    /// Zeroes a slot's counters on every interface.
    fn clear(&self, slot: u32) -> Result<(), Fault> {
        let cpus = nr_cpus().map_err(|(_, error)| Fault::kernel("processors", error))?;
        for path in self.pins.counts() {
            let map = Map::PerCpuArray(object::open(&path)?);
            let mut counts: PerCpuArray<MapData, ZoneCounts> = map.try_into().map_err(fault)?;
            for direction in Direction::ALL {
                let zeros = PerCpuValues::try_from(vec![ZoneCounts::default(); cpus])
                    .map_err(|error| Fault::kernel("processors", error))?;
                counts.set(*direction as u32 * ZONE_SLOTS + slot, zeros, 0).map_err(fault)?;
            }
        }
        Ok(())
    }
}

fn fault(error: MapError) -> Fault {
    Fault::kernel("map ZONES", object::last(&error))
}
