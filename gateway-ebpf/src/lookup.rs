//! [`Lookup`] over the generation of maps that was in force when the packet came.

use crate::attempts::Syn;
use crate::frame::opaque;
use crate::{limits, maps};
use aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns;
use gate25_common::abi::{Active, Cell, CellKey, Subscriber};
use gate25_common::address::Address;
use gate25_common::decide::{Limit, Lookup, Settings};
use gate25_common::parse::Segment;
use gate25_common::table::{self, HEAD, Line, Lines, Table};
use gate25_common::verdict::Direction;

/// One generation; read once a packet, so that no packet sees two.
pub(crate) struct Generation {
    active: Active,
    /// Its tables; there are some, always.
    tables: Option<InForce>,
}

impl Generation {
    /// The one in force.
    #[inline(always)]
    pub(crate) fn in_force() -> Self {
        Self::of(maps::ACTIVE.get(0).copied().unwrap_or_default())
    }

    /// The one that this stands for.
    #[inline(always)]
    pub(crate) fn of(active: Active) -> Self {
        Self { active, tables: InForce::of(active) }
    }

    /// What stands for it, see [`Self::of`].
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
        // SAFETY: a target is changed only as a whole entry, and none that stays what it is. (An entry that gives way may be used
        // again at once: then a packet that was reading it goes where another zone redirects to, for a moment.)
        unsafe { maps::TARGETS.get(self.active.slot())?.get(zone) }?.of(is_ipv6)
    }
}

impl Generation {
    /// What [`table::find`] finds.
    #[cfg(not(feature = "tries"))]
    #[inline(always)]
    fn find(&self, table: Table, address: Address) -> u32 {
        self.tables.as_ref().map_or(0, |tables| table::find(tables, table, address))
    }

    #[cfg(feature = "tries")]
    #[inline(always)]
    fn find(&self, table: Table, address: Address) -> u32 {
        crate::tries::find(self.active.slot(), table, address)
    }
}

/// The tables of a generation.
#[derive(Clone, Copy)]
struct InForce {
    head: &'static [Line; HEAD],
    /// Of the rest.
    slot: u32,
}

impl InForce {
    #[inline(always)]
    fn of(active: Active) -> Option<Self> {
        Some(Self { head: maps::HEADS.get(active.slot())?, slot: active.slot() })
    }
}

impl Lines for InForce {
    #[inline(always)]
    fn roots(&self, number: u32) -> Option<&Line> {
        Some(&self.head[number as usize % HEAD])
    }

    #[inline(always)]
    fn line(&self, number: u32) -> Option<&Line> {
        if number < HEAD as u32 {
            // The verifier wants to see the bound of this very register, which LLVM would leave out.
            Some(&self.head[opaque(number as usize) % HEAD])
        } else {
            maps::TABLES.get(self.slot)?.get(number - HEAD as u32)
        }
    }

    #[inline(always)]
    fn opaque(&self, word: u64) -> u64 {
        opaque(word as usize) as u64
    }
}

impl Lookup for Generation {
    #[inline(always)]
    fn subscriber(&self, address: Address) -> Option<Subscriber> {
        let tables = self.tables.as_ref()?;
        table::subscriber(tables, self.find(Table::Subscribers, address))
    }

    #[inline(always)]
    fn destination(&self, address: Address) -> Option<u32> {
        let found = self.find(Table::Destinations, address);
        (found != 0).then_some(found)
    }

    #[inline(always)]
    fn cell(&self, key: CellKey) -> Option<&Cell> {
        table::cell(self.tables.as_ref()?, key)
    }

    #[inline(always)]
    fn now(&self) -> u64 {
        // SAFETY: reads a clock.
        unsafe { bpf_ktime_get_boot_ns() }
    }

    #[inline(always)]
    fn admits(&self, _: &Segment, limit: &Limit) -> bool {
        let Limit { of, per_minute, zone, redirects } = *limit;
        maps::REPLAY.load() != 0
            || !(redirects || Syn::kept().opens())
            || limits::gate25_admits(of, per_minute, zone, redirects.into()) != 0
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
