//! [`Lookup`] over the generation of maps that was in force when the packet came.

use crate::attempts::Syn;
use crate::{flows, limits, maps};
use aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns;
use gate25_common::abi::{Active, Cell, CellKey, FlowKey, Subscriber};
use gate25_common::address::Address;
use gate25_common::decide::{Limit, Lookup, Settings};
use gate25_common::parse::Segment;
use gate25_common::table::{self, Line, Lines, Table};
use gate25_common::verdict::Direction;

/// One generation; read once a packet, so that no packet sees two.
pub(crate) struct Generation {
    active: Active,
    /// Its tables; there are some, always.
    tables: Option<InForce>,
    /// The packet, if it opens a connection.
    syn: Syn,
}

impl Generation {
    /// The one in force.
    #[inline(always)]
    pub(crate) fn in_force() -> Self {
        Self::of(maps::ACTIVE.get(0).copied().unwrap_or_default(), Syn::NONE)
    }

    /// That one, for a packet that opens a connection (or not).
    #[inline(always)]
    pub(crate) fn of(active: Active, syn: Syn) -> Self {
        Self { active, tables: maps::TABLES.get(active.slot()).map(InForce), syn }
    }

    /// What stands for it.
    #[inline(always)]
    pub(crate) fn active(&self) -> Active {
        self.active
    }

    /// Whether any zone redirects to a port 25.
    #[inline(always)]
    pub(crate) fn redirects_to_smtp(&self) -> bool {
        self.active.redirects_to_smtp()
    }

    /// Where a zone redirects to, in a family.
    #[inline(always)]
    pub(crate) fn target(&self, zone: u32, is_ipv6: bool) -> Option<(Address, u16)> {
        // SAFETY: a target is changed only as a whole entry.
        unsafe { maps::TARGETS.get(self.active.slot())?.get(zone) }?.of(is_ipv6)
    }
}

/// The tables of a generation.
#[derive(Clone, Copy)]
struct InForce(&'static maps::Tables);

impl Lines for InForce {
    #[inline(always)]
    fn line(&self, number: u32) -> Option<&Line> {
        self.0.get(number)
    }
}

#[inline(always)]
fn find(slot: u32, table: Table, address: Address) -> u32 {
    if address.is_ipv6() {
        let [first, second] = address.words().map(u64::from_be);
        gate25_find_ipv6(slot, table as u32, first, second)
    } else {
        gate25_find_ipv4(slot, table as u32, u32::from_be_bytes(address.ipv4_octets()))
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn gate25_find_ipv4(slot: u32, table: u32, address: u32) -> u32 {
    let Some(lines) = maps::TABLES.get(slot).map(InForce) else { return 0 };
    table::roots(&lines, false).map_or(0, |roots| table::find_ipv4(&lines, roots, table as usize, address))
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn gate25_find_ipv6(slot: u32, table: u32, first: u64, second: u64) -> u32 {
    let Some(lines) = maps::TABLES.get(slot).map(InForce) else { return 0 };
    table::roots(&lines, true).map_or(0, |roots| table::find_ipv6(&lines, roots, table as usize, first, second))
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn gate25_find_cell(slot: u32, subscribers: u32, destinations: u32) -> u32 {
    let Some(lines) = maps::TABLES.get(slot).map(InForce) else { return 0 };
    let key = CellKey { subscribers, destinations };
    table::roots(&lines, false).map_or(0, |roots| table::find_cell(&lines, roots, key))
}

impl Lookup for Generation {
    #[inline(always)]
    fn subscriber(&self, address: Address) -> Option<Subscriber> {
        let tables = self.tables?;
        table::subscriber(&tables, find(self.active.slot(), Table::Subscribers, address))
    }

    #[inline(always)]
    fn destination(&self, address: Address) -> Option<u32> {
        let found = find(self.active.slot(), Table::Destinations, address);
        (found != 0).then_some(found)
    }

    #[inline(always)]
    fn cell(&self, key: CellKey) -> Option<&Cell> {
        let tables = self.tables.as_ref()?;
        table::cell(tables, gate25_find_cell(self.active.slot(), key.subscribers, key.destinations))
    }

    #[inline(always)]
    fn now(&self) -> u64 {
        // SAFETY: reads a clock.
        unsafe { bpf_ktime_get_boot_ns() }
    }

    #[inline(always)]
    fn admits(&self, segment: &Segment, limit: &Limit) -> bool {
        if maps::REPLAY.load() != 0 {
            return true;
        }
        if limit.redirects && flows::is_redirected(segment, &self.syn) {
            return false;
        }
        if !self.syn.opens() {
            return true;
        }
        let admitted = limits::admits(segment.subscriber, self.syn.identity, limit);
        if admitted && limit.redirects {
            // The port is used anew.
            flows::forget(&FlowKey::new(segment.subscriber, segment.subscriber_port));
        }
        admitted
    }

    #[inline(always)]
    fn settings(&self, direction: Direction) -> Settings {
        let unmanaged = maps::UNMANAGED.load();
        Settings {
            block_unmanaged: unmanaged > 0,
            enforce_unmanaged: unmanaged == 2,
            any_enforced: self.active.any_enforced(direction),
        }
    }
}
