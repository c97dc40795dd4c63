//! The secret of the hashes in tables that outlive the controller: as old as they are.

use super::object::{self, Shape};
use super::pins::Pins;
use aya::maps::{Array, Map, MapData, MapError};
use std::hash::{BuildHasher, RandomState};

/// The map's name below `pin`.
pub(super) const MAP: &str = "SEED";
/// See [`Shape`]: `BPF_MAP_TYPE_ARRAY` of `linux/bpf.h`.
pub(super) const SHAPE: Shape = [2, 4, 8, 1];

/// Unpredictable to senders (the standard library's hasher is seeded by the system), and the same for all programs of
/// `pins`. Where it cannot be kept there, it is new: retransmissions of SYNs from before then count as attempts.
pub(super) fn seed(pins: Option<&Pins>) -> u64 {
    let new = RandomState::new().hash_one(0);
    pins.and_then(|pins| kept(pins, new).ok()).unwrap_or(new)
}

fn kept(pins: &Pins, new: u64) -> Result<u64, MapError> {
    let path = pins.tables().join(MAP);
    if let Ok(data) = object::open(&path) {
        let map: Array<MapData, u64> = Map::Array(data).try_into()?;
        return map.get(&0, 0);
    }
    let mut map = Array::<MapData, u64>::create(1, 0)?;
    map.set(0, new, 0)?;
    map.pin(&path).map_err(|_| MapError::KeyNotFound)?;
    Ok(new)
}
