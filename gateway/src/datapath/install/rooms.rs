//! The two places for generations. What this process put into one is written over while that place is idle, unless what comes
//! does not fit: the kernel takes longer to make an array than it takes to write it, and setting one waits for packets.

use super::{NO_PREALLOC, Store, fault};
use crate::datapath::fault::Fault;
use crate::datapath::sys;
use crate::tables::Targets;
use aya::maps::{ArrayOfMaps, HashMap, InnerMap, Map, MapData, MapError};
use gate25_common::abi::{Target, ZONE_SLOTS};
use gate25_common::table::{HEAD, Line};
use std::os::fd::AsFd;

/// What is in a place, as far as this process put it there.
#[derive(Default)]
pub(super) struct Room {
    /// The lines behind the first ones, and how many there may be.
    rest: Option<(MapData, usize)>,
    /// Where the zones redirect to.
    targets: Option<HashMap<MapData, u32, Target>>,
}

/// Lines of a page; an array that can be shared has whole pages.
const PAGE: usize = 4096 / size_of::<Line>();

/// For how many lines room is made where so many are needed: a few more than in the generation before shall fit, too.
fn room_for(needed: usize) -> usize {
    (needed + needed / 16).max(1).next_multiple_of(PAGE)
}

/// Whether so many lines fit into a room, and do not keep much more memory than they need.
fn fits(needed: usize, room: usize) -> bool {
    needed <= room && room <= 2 * room_for(needed)
}

impl Store {
    /// Fills the idle place.
    pub(super) fn fill(&mut self, slot: u32, lines: &[Line], targets: &Targets) -> Result<(), Fault> {
        self.make_room(slot, lines.len())?;
        let (head, rest) = lines.split_at(lines.len().min(HEAD));
        let Map::Array(heads) = self.map("HEADS")? else {
            return Err(Fault::kernel("HEADS", "is of another type"));
        };
        sys::write(heads.fd().as_fd(), u64::from(slot) * size_of::<[Line; HEAD]>() as u64, head)
            .map_err(|error| Fault::kernel("map HEADS", error))?;
        if let Some((array, _)) = &self.rooms[slot as usize].rest {
            sys::write(array.fd().as_fd(), 0, rest).map_err(|error| Fault::kernel("map TABLES", error))?;
        }
        self.aim(slot, targets)
    }

    /// Waits until nobody reads the idle place any more, and sees to it that so many lines fit there. On an error it has what it had.
    pub(super) fn make_room(&mut self, slot: u32, lines: usize) -> Result<(), Fault> {
        self.quieten()?;
        let needed = lines.saturating_sub(HEAD);
        let place = slot as usize;
        if !self.rooms[place].rest.as_ref().is_some_and(|(_, room)| fits(needed, *room)) {
            let room = room_for(needed);
            let made = sys::array(room).map_err(|error| Fault::kernel("map TABLES", error))?;
            let array = MapData::from_fd(made).map_err(|error| fault("TABLES", error))?;
            self.set("TABLES", slot, &array)?;
            self.rooms[place].rest = Some((array, room));
        }
        if self.rooms[place].targets.is_none() {
            // Room for all of them: some may be left out now because they do not answer, and come back.
            let made = HashMap::create(ZONE_SLOTS, NO_PREALLOC).map_err(|error| fault("TARGETS", error))?;
            self.set("TARGETS", slot, &made)?;
            self.rooms[place].targets = Some(made);
        }
        Ok(())
    }

    /// Waits until nobody reads the idle place any more: an array is set again where it is, which changes nothing but waits.
    /// (Before a first install there is none; but the start of a process lies behind whoever flipped last.)
    pub(super) fn quieten(&mut self) -> Result<(), Fault> {
        if !self.is_quiet {
            if let Some(slot) = (0..2).find(|slot| self.rooms[*slot as usize].rest.is_some())
                && let Some((array, room)) = self.rooms[slot as usize].rest.take()
            {
                let waited = self.set("TABLES", slot, &array);
                self.rooms[slot as usize].rest = Some((array, room));
                waited?;
            }
            self.is_quiet = true;
        }
        Ok(())
    }

    /// Sets an inner map. The kernel waits then for every packet that is under way (`synchronize_rcu`).
    fn set<V: InnerMap>(&mut self, name: &'static str, slot: u32, inner: &V) -> Result<(), Fault>
    where
        for<'a> ArrayOfMaps<&'a mut MapData, V>: TryFrom<&'a mut Map, Error = MapError>,
    {
        let mut generations: ArrayOfMaps<&mut MapData, V> =
            self.map(name)?.try_into().map_err(|error| fault(name, error))?;
        generations.set(slot, inner, 0).map_err(|error| fault(name, error))
    }

    /// Changes where the zones of a generation redirect to.
    pub(super) fn aim(&mut self, slot: u32, targets: &Targets) -> Result<(), Fault> {
        self.add_ports(targets)?;
        let Some(inner) = &mut self.rooms[slot as usize].targets else { return Ok(()) };
        let mut changed = || -> Result<(), MapError> {
            for (zone, target) in targets {
                // An entry that is replaced is used again at once, perhaps while a packet reads it: only where it must be.
                if inner.get(zone, 0).ok() != Some(*target) {
                    inner.insert(zone, target, 0)?;
                }
            }
            let known = inner.keys().collect::<Result<Vec<u32>, _>>()?;
            known.iter().filter(|zone| !targets.contains_key(zone)).try_for_each(|zone| inner.remove(zone))
        };
        changed().map_err(|error| fault("TARGETS", error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_does_for_a_few_more_and_not_for_far_less() {
        for needed in (0..5_000).chain((5_000..3_000_000).step_by(9_973)) {
            let room = room_for(needed);
            assert!(fits(needed, room) && fits(needed + needed / 16, room), "{needed}");
            assert!(!fits(room + 1, room), "{needed}");
            assert!(room <= needed * 17 / 16 + PAGE, "{needed}: {room}");
            if needed >= 5_000 {
                assert!(fits(needed * 3 / 5, room) && !fits(needed * 2 / 5, room), "{needed}");
            }
        }
        // A page is as little as there is.
        assert!(fits(0, PAGE) && fits(PAGE, PAGE));
    }
}
