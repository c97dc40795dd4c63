//! The table of subscribers whose connections were blocked, as the kernel keeps it.

use super::fault::Fault;
use super::object;
use super::pins::Pins;
use super::sys;
use crate::clock;
use aya::maps::{Array, HashMap, Map, MapData, MapError};
use gate25_common::abi::{SUSPECT_CAPACITY, SubscriberKey, Suspect, Thresholds};
use std::os::fd::{AsFd, OwnedFd};

/// Entries that are read at a time.
const BATCH: usize = 512;
/// A subscriber that was silent for so long is forgotten: a day, in nanoseconds.
const SILENCE: u64 = 24 * 3600 * 1_000_000_000;
/// With more entries than this, the least of them go,
const CROWDED: usize = SUSPECT_CAPACITY as usize / 8 * 7;
/// until there are so many.
const ROOMY: usize = SUSPECT_CAPACITY as usize / 4 * 3;

/// The table, open for reading and for clearing.
pub struct Suspects {
    table: HashMap<MapData, SubscriberKey, Suspect>,
    /// The same one, which aya cannot read in batches.
    descriptor: OwnedFd,
    prefixes: Array<MapData, u32>,
    thresholds: Array<MapData, Thresholds>,
}

/// What a sweep found, and left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Subscribers that are kept.
    pub entries: usize,
    /// Those of them that are suspects.
    pub suspects: usize,
    /// So many came that it had to make room.
    pub was_crowded: bool,
}

impl Suspects {
    /// The pinned one.
    pub fn pinned(pins: &Pins) -> Result<Self, Fault> {
        let open = |name: &str| {
            let data = object::open(&pins.tables().join(name))?;
            Map::from_map_data(data).map_err(|error| fault(&error))
        };
        let path = pins.tables().join("SUSPECTS");
        let descriptor = sys::open(&path).map_err(|error| Fault::kernel(path.display(), error))?;
        Ok(Self {
            table: open("SUSPECTS")?.try_into().map_err(|error| fault(&error))?,
            descriptor,
            prefixes: open("PREFIXES_V6")?.try_into().map_err(|error| fault(&error))?,
            thresholds: open("THRESHOLDS")?.try_into().map_err(|error| fault(&error))?,
        })
    }

    /// What is kept of a subscriber.
    pub fn get(&self, key: &SubscriberKey) -> Result<Option<Suspect>, Fault> {
        match self.table.get(key, 0) {
            Ok(suspect) => Ok(Some(suspect)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(fault(&error)),
        }
    }

    /// What counts as one subscriber in a zone's IPv6, in bits; the zone's slot is asked for.
    #[must_use]
    pub fn prefix_v6(&self, zone: u32) -> u32 {
        self.prefixes.get(&zone, 0).unwrap_or(64)
    }

    /// Nanoseconds of a window.
    pub fn within(&self) -> Result<u64, Fault> {
        self.thresholds.get(&0, 0).map(|thresholds| thresholds.within).map_err(|error| fault(&error))
    }

    /// Shows every entry; one that comes or goes meanwhile may be shown or not.
    pub fn each(&self, mut show: impl FnMut(&SubscriberKey, &Suspect)) -> Result<(), Fault> {
        let nobody = SubscriberKey { words: [0; 2], is_ipv6: 0, padding: 0 };
        let (mut keys, mut values) = (vec![nobody; BATCH], vec![Suspect::default(); BATCH]);
        let mut place = None;
        loop {
            let (count, next) = sys::lookup_batch(self.descriptor.as_fd(), place, &mut keys, &mut values)
                .map_err(|error| Fault::kernel("map SUSPECTS", error))?;
            keys.iter().zip(&values).take(count).for_each(|(key, value)| show(key, value));
            if next.is_none() {
                return Ok(());
            }
            place = next;
        }
    }

    /// Forgets who was silent for a day; and where there are many, those who tried least and longest ago, so that there is
    /// room. Whoever forges addresses leaves one attempt each: those go before anybody who tried twice.
    pub fn sweep(&mut self) -> Result<Swept, Fault> {
        let (now, within) = (clock::monotonic(), self.within()?);
        let mut swept = Swept::default();
        let mut leaving = Vec::new();
        self.each(|key, suspect| {
            if now.saturating_sub(suspect.last) > SILENCE {
                leaving.push(*key);
            } else {
                swept.entries += 1;
                swept.suspects += usize::from(suspect.is_suspect(now, within));
            }
        })?;
        if swept.entries > CROWDED {
            let mut ranks = Vec::with_capacity(swept.entries);
            self.each(|key, suspect| ranks.push((rank(suspect, now, within), *key)))?;
            let surplus = ranks.len().saturating_sub(ROOMY);
            if surplus > 0 && surplus < ranks.len() {
                ranks.select_nth_unstable_by_key(surplus, |(rank, _)| *rank);
            }
            let least = ranks.iter().take(surplus);
            swept.suspects -=
                least.clone().filter(|((is_suspect, ..), _)| *is_suspect).count().min(swept.suspects);
            swept.entries = ranks.len() - surplus;
            swept.was_crowded = true;
            leaving = least.map(|(_, key)| *key).collect();
        }
        for key in leaving {
            match self.table.remove(&key) {
                Ok(()) | Err(MapError::KeyNotFound) => {}
                Err(error) => return Err(fault(&error)),
            }
        }
        Ok(swept)
    }
}

/// The least go first: suspects last, then by attempts, then who was silent longest.
const fn rank(suspect: &Suspect, now: u64, within: u64) -> (bool, u64, u64) {
    (suspect.is_suspect(now, within), suspect.attempts, suspect.last)
}

fn fault(error: &MapError) -> Fault {
    Fault::kernel("suspects", object::last(error))
}
