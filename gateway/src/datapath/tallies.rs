//! What the controller itself counts, kept beside the kernel's counters so that it goes on after a restart.

use super::fault::Fault;
use super::object::{self, Shape};
use super::pins::Pins;
use super::sys;
use crate::policy::compile::Clock;
use aya::maps::{Array, Map, MapData, MapError};
use jiff::Timestamp;
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

/// Places behind the totals for what is known of the clock: the newest time, the boot clock's reading then (both in
/// nanoseconds), and the beginning of the policy's sense. The last is zero while the others are written.
const CLOCK: [usize; 3] = [60, 61, 62];

impl Tallies {
    /// Keeps the newest time beside the tables that were installed by it, for a controller whose `state` was lost or is
    /// behind: as long as these maps are there, so is the boot clock by which exceptions end.
    pub fn remember(&self, clock: Clock, sense: &str) {
        let newest = u64::try_from(clock.newest.as_nanosecond()).unwrap_or_default();
        let mut totals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let [time, boot, of] = CLOCK;
        for (place, value) in [(of, 0), (time, newest), (boot, clock.boot), (of, mark(sense))] {
            totals.memory[place] = value;
            if let Some((map, _)) = &mut totals.map {
                // What cannot be kept is in `state` within a second.
                let _ = map.set(place as u32, value, 0);
            }
        }
    }

    /// The clocks, with the newest time that it must have been since those tables were installed, if the policy says the
    /// same now.
    #[must_use]
    pub fn recall(&self, now: Clock, sense: &str) -> Clock {
        let totals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let [time, boot, of] = CLOCK.map(|place| totals.memory[place]);
        let since = now.boot.checked_sub(boot).filter(|_| of != 0 && of == mark(sense));
        let newest =
            since.and_then(|since| Timestamp::from_nanosecond(i128::from(time) + i128::from(since)).ok());
        newest.map_or(now, |newest| now.having_seen(newest))
    }

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

/// Tells one policy's sense from another's; never zero.
fn mark(sense: &str) -> u64 {
    sense.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default() | 1
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
    fn the_newest_time_goes_on_with_the_boot_clock() {
        let at = |seconds: i64, boot: u64| {
            Clock::new(Timestamp::from_second(seconds).unwrap(), boot * 1_000_000_000)
        };
        let (one, other) = ("00000000000000aa11", "00000000000000bb11");
        let tallies = Tallies::default();
        assert_eq!(tallies.recall(at(1_000, 50), one), at(1_000, 50), "nothing is known");
        tallies.remember(at(5_000, 40), one);
        assert_eq!(
            tallies.recall(at(1_000, 50), one).newest,
            at(5_010, 0).wall,
            "set back, ten seconds later"
        );
        assert_eq!(tallies.recall(at(6_000, 50), one), at(6_000, 50), "newer");
        assert_eq!(tallies.recall(at(1_000, 50), other), at(1_000, 50), "of another policy");
        assert_eq!(tallies.recall(at(1_000, 30), one), at(1_000, 30), "of another boot");
    }

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
