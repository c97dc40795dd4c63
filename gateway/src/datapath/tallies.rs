//! What the controller itself counts, kept beside the kernel's counters so that it goes on after a restart.

use super::fault::Fault;
use super::object::{self, Shape};
use super::pins::Pins;
use super::sys;
use aya::maps::{Array, Map, MapData, MapError};
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use tracing::warn;

/// The map's name below `pin`.
pub(super) const MAP: &str = "TALLIES";
/// Words that there is room for; a new one moves none of the others.
const ROOM: u32 = 64;
/// See [`Shape`]: `BPF_MAP_TYPE_ARRAY` of `linux/bpf.h`.
pub(super) const SHAPE: Shape = [2, 4, 8, ROOM];

/// What is counted. Its number is its place in the map, and stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Tally {
    /// Reloads of the policy that took effect.
    ReloadsDone = 0,
    /// Reloads that were refused.
    ReloadsRefused = 1,
    /// Events that nobody could be told of.
    EventsLost = 2,
    /// Times that the wall clock was set.
    ClockSteps = 3,
    /// Writes into `state`.
    StateWritten = 4,
    /// Such as failed.
    StateFailed = 5,
    /// Questions to name servers with a good answer.
    NamesResolved = 6,
    /// Those without.
    NamesFailed = 7,
    /// Events of kind `blocked`.
    EventsBlocked = 8,
    /// Events of kind `suspect`.
    EventsSuspect = 9,
    /// Events of kind `policy`.
    EventsPolicy = 10,
}

/// The totals, for several threads. The default is of one process alone.
#[derive(Clone, Default)]
pub struct Tallies(Arc<Mutex<Totals>>);

struct Totals {
    memory: [u64; ROOM as usize],
    /// And the same again, to pin it.
    map: Option<(Array<MapData, u64>, OwnedFd)>,
}

impl fmt::Debug for Tallies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tallies").finish_non_exhaustive()
    }
}

impl Default for Totals {
    fn default() -> Self {
        Self { memory: [0; ROOM as usize], map: None }
    }
}

impl Tallies {
    /// The pinned ones; without a map that can be used, totals are this process's alone.
    #[must_use]
    pub fn pinned(pins: &Pins) -> Self {
        let mut totals = Totals::default();
        match open(pins).and_then(|map| Ok((read(&map.0)?, map))) {
            Ok((memory, map)) => totals = Totals { memory, map: Some(map) },
            Err(fault) => warn!("{fault}: the controller's own totals begin anew, and end with it"),
        }
        Self(Arc::new(Mutex::new(totals)))
    }

    /// Counts `n` more, and says what the total is then.
    pub fn add(&self, tally: Tally, n: u64) -> u64 {
        let mut totals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let total = &mut totals.memory[tally as usize];
        if n == 0 {
            return *total;
        }
        *total = total.wrapping_add(n);
        let total = *total;
        if let Some(Err(error)) = totals.map.as_mut().map(|(map, _)| map.set(tally as u32, total, 0)) {
            warn!("{}: the controller's own totals end with it", Fault::kernel(MAP, object::last(&error)));
            totals.map = None;
        }
        total
    }

    /// Counts what a part of this process has come to count: `seen` is what it had at the last look.
    pub fn follow(&self, tally: Tally, seen: &mut u64, now: u64) -> u64 {
        let more = now.wrapping_sub(std::mem::replace(seen, now));
        self.add(tally, more)
    }

    /// Pins the map again if somebody removed it.
    pub fn keep_pinned(&self, pins: &Pins) {
        let path = pins.tables().join(MAP);
        let totals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !path.exists() && totals.map.as_ref().is_some_and(|(_, map)| sys::pin(map.as_fd(), &path).is_ok())
        {
            warn!("{}: was gone, and is pinned again", path.display());
        }
    }

    /// The total.
    #[must_use]
    pub fn get(&self, tally: Tally) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).memory[tally as usize]
    }
}

fn open(pins: &Pins) -> Result<(Array<MapData, u64>, OwnedFd), Fault> {
    let failed = |error: &dyn std::error::Error| Fault::kernel(format!("map {MAP}"), object::last(error));
    let path = pins.tables().join(MAP);
    if !path.exists() {
        let map = Array::<MapData, u64>::create(ROOM, 0).map_err(|error| failed(&error))?;
        map.pin(&path).map_err(|error| failed(&error))?;
    }
    let kept = sys::open(&path).map_err(|error| failed(&error))?;
    let map: Result<_, MapError> = Map::Array(object::open(&path)?).try_into();
    Ok((map.map_err(|error| failed(&error))?, kept))
}

fn read(map: &Array<MapData, u64>) -> Result<[u64; ROOM as usize], Fault> {
    let mut memory = [0; ROOM as usize];
    for (place, total) in memory.iter_mut().enumerate() {
        *total = map.get(&(place as u32), 0).map_err(|error| Fault::kernel(MAP, object::last(&error)))?;
    }
    Ok(memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_map_totals_are_in_memory() {
        let tallies = Tallies::default();
        let other = tallies.clone();
        let threads = [Tally::ReloadsDone, Tally::ReloadsDone, Tally::EventsLost].map(|tally| {
            let tallies = tallies.clone();
            std::thread::spawn(move || (0..1000).map(|_| tallies.add(tally, 2)).max())
        });
        for thread in threads {
            thread.join().unwrap();
        }
        let found =
            [Tally::ReloadsDone, Tally::ReloadsRefused, Tally::EventsLost].map(|tally| other.get(tally));
        assert_eq!(found, [4000, 0, 2000]);
    }
}
