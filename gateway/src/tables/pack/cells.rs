//! Cells → lines: a hash with open addressing, a cell a line.

use crate::policy::compile::TooLarge;
use gate25_common::abi::{Cell, CellKey};
use gate25_common::table::{Found, Line, PROBES, Place, place};
use std::collections::HashMap;

/// Appends them behind those lines: the first line, and how many places there are, less one.
pub(super) fn append(lines: &mut Vec<Line>, cells: &HashMap<CellKey, Cell>) -> Result<(u32, u32), TooLarge> {
    let at = lines.len();
    let mut room = (cells.len() * 3 / 2).next_power_of_two();
    loop {
        if at + room > Found::NUMBERS as usize {
            return Err(TooLarge {
                what: "lines of tables",
                needed: at + room,
                limit: Found::NUMBERS as usize,
            });
        }
        lines.resize(at + room + PROBES as usize, Line::default());
        if fill(&mut lines[at..], room as u32 - 1, cells) {
            return Ok((at as u32, room as u32 - 1));
        }
        // Too many in one place: more room, from the beginning.
        lines.truncate(at);
        room *= 2;
    }
}

/// Whether all found a place where a look-up comes by.
fn fill(lines: &mut [Line], mask: u32, cells: &HashMap<CellKey, Cell>) -> bool {
    cells.iter().all(|(key, cell)| {
        let (key, first) = place(*key, mask);
        let free =
            lines[first as usize..].iter_mut().take(PROBES as usize).find(|line| **line == Line::default());
        free.map(|free| *free = bytemuck::must_cast(Place { key, cell: *cell, taken: 1 })).is_some()
    })
}
