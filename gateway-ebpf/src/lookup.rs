//! [`Lookup`] over the generation of maps that was in force when the packet came.

use crate::maps;
use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns;
use gate25_common::abi::{Active, Cell, CellKey, Subscriber};
use gate25_common::address::Address;
use gate25_common::decide::{Lookup, Settings};
use gate25_common::verdict::Direction;

/// One generation; read once a packet, so that no packet sees two.
pub(crate) struct Generation(Active);

impl Generation {
    /// The one in force.
    #[inline(always)]
    pub(crate) fn in_force() -> Self {
        Self(maps::ACTIVE.get(0).copied().unwrap_or_default())
    }

    /// Whether any zone redirects to a port 25.
    #[inline(always)]
    pub(crate) fn redirects_to_smtp(&self) -> bool {
        self.0.redirects_to_smtp()
    }

    /// Where a zone redirects to, in a family.
    #[inline(always)]
    pub(crate) fn target(&self, zone: u32, is_ipv6: bool) -> Option<(Address, u16)> {
        // SAFETY: a target is changed only as a whole entry.
        unsafe { maps::TARGETS.get(self.0.slot())?.get(zone) }?.of(is_ipv6)
    }
}

impl Lookup for Generation {
    #[inline(always)]
    fn subscriber(&self, address: Address) -> Option<Subscriber> {
        if address.is_ipv6() {
            maps::SUBSCRIBERS_V6.get(self.0.slot())?.get(&Key::new(128, address.words())).copied()
        } else {
            maps::SUBSCRIBERS_V4.get(self.0.slot())?.get(&Key::new(32, address.ipv4_octets())).copied()
        }
    }

    #[inline(always)]
    fn destination(&self, address: Address) -> Option<u32> {
        if address.is_ipv6() {
            maps::DESTINATIONS_V6.get(self.0.slot())?.get(&Key::new(128, address.words())).copied()
        } else {
            maps::DESTINATIONS_V4.get(self.0.slot())?.get(&Key::new(32, address.ipv4_octets())).copied()
        }
    }

    #[inline(always)]
    fn cell(&self, key: CellKey) -> Option<Cell> {
        // SAFETY: cells of a generation are never changed while a packet may read them.
        unsafe { maps::CELLS.get(self.0.slot())?.get(key) }.copied()
    }

    #[inline(always)]
    fn now(&self) -> u64 {
        // SAFETY: reads a clock.
        unsafe { bpf_ktime_get_boot_ns() }
    }

    #[inline(always)]
    fn settings(&self, direction: Direction) -> Settings {
        let unmanaged = maps::UNMANAGED.load();
        Settings {
            block_unmanaged: unmanaged > 0,
            enforce_unmanaged: unmanaged == 2,
            any_enforced: self.0.any_enforced(direction),
        }
    }
}
