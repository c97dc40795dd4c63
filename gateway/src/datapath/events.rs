//! What the program tells, as it comes.

use super::fault::Fault;
use super::object;
use super::pins::Pins;
use aya::maps::{Map, MapData, MapError, RingBuf};
use gate25_common::abi::Event;
use std::io;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The ring buffer of events. Whatever nobody read stays in it.
pub struct Ring(AsyncFd<RingBuf<MapData>>);

impl Ring {
    /// The pinned one; to be opened and used inside a runtime.
    pub fn pinned(pins: &Pins) -> Result<Self, Fault> {
        let fault = |error: MapError| Fault::kernel("map EVENTS", object::last(&error));
        let data = object::open(&pins.tables().join("EVENTS"))?;
        let ring = RingBuf::try_from(Map::from_map_data(data).map_err(fault)?).map_err(fault)?;
        // SAFETY: the ring owns its descriptor, which stays the same until it is dropped.
        let ring = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }
            .map_err(|error| Fault::kernel("map EVENTS", error))?;
        Ok(Self(ring))
    }

    /// Awaits events, and hands on at most so many of them.
    pub async fn read(&mut self, most: usize, mut each: impl FnMut(Event)) -> io::Result<()> {
        let mut ready = self.0.readable_mut().await?;
        let ring = ready.get_inner_mut();
        for _ in 0..most {
            let Some(item) = ring.next() else {
                ready.clear_ready();
                return Ok(());
            };
            if item.len() == size_of::<Event>() {
                // SAFETY: a plain type of that size, which may lie anywhere.
                each(unsafe { item.as_ptr().cast::<Event>().read_unaligned() });
            }
        }
        Ok(())
    }
}
