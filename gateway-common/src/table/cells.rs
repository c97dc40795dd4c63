//! Cells: a hash with open addressing, a cell a line.

use super::{Ipv4, Lines, Table, Width, node};
use crate::abi::{Cell, CellKey};
use bytemuck::{Pod, Zeroable, must_cast_ref};

/// A cell in its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Place {
    /// Whose it is: see [`place`].
    pub key: u64,
    /// The cell.
    pub cell: Cell,
    /// 1: there is one here.
    pub taken: u64,
}

/// How many lines, one after another, a cell may be in: those from [`place`] on. Behind the last place are as many more.
pub const PROBES: u32 = 16;

/// A key in one word, and the first line in which its cell may be, of places whose number is `mask + 1`, a power of two.
#[inline(always)]
#[must_use]
pub const fn place(key: CellKey, mask: u32) -> (u64, u32) {
    let word = (key.subscribers as u64) << 32 | key.destinations as u64;
    // 2^64 over the golden ratio (Knuth, The Art of Computer Programming, volume 3, 6.4).
    (word, (word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32 & mask)
}

/// The cell of that key.
#[inline(always)]
pub fn cell<L: Lines>(lines: &L, key: CellKey) -> Option<&Cell> {
    let roots = lines.roots(Ipv4::ROOTS)?;
    let at = roots.0[Table::Subscribers as usize + node::CELLS];
    let mask = roots.0[Table::Destinations as usize + node::CELLS];
    let (key, first) = place(key, mask);
    for probe in 0..PROBES {
        let here: &Place = must_cast_ref(lines.line(at + first + probe)?);
        if here.taken == 0 {
            return None;
        }
        if here.key == key {
            return Some(&here.cell);
        }
    }
    None
}
