//! Tables → lines, as the program reads them: see [`gate25_common::table`].

mod boundaries;
mod cells;
mod directory;

use super::Tables;
use crate::policy::compile::TooLarge;
use directory::Directory;
use gate25_common::abi::Subscriber;
use gate25_common::table::{Entry, HEAD, Line, SUBSCRIBERS_AT, Table, node};
use std::collections::HashMap;

/// Lays out a generation.
pub fn pack(tables: &Tables) -> Result<Vec<Line>, TooLarge> {
    let mut entries = Entries::default();
    let subscribers = [false, true].map(|ipv6| {
        let of_family = tables.subscribers.iter(ipv6);
        of_family.map(|(prefix, entry)| (prefix, entries.number(entry))).collect::<Vec<_>>()
    });
    let mut lines = vec![Line::default(); SUBSCRIBERS_AT as usize];
    lines.extend(entries.lines());
    // A few cells are found sooner in front of the prefixes, see [`HEAD`].
    let few = tables.cells.len() < HEAD / 8;
    let cells = if few { Some(cells::append(&mut lines, &tables.cells)?) } else { None };
    let mut directory = Directory::new(lines);
    for (is_ipv6, subscribers) in [false, true].into_iter().zip(subscribers) {
        directory.family(is_ipv6, Table::Subscribers, subscribers.into_iter());
        directory.family(is_ipv6, Table::Destinations, tables.destinations.iter(is_ipv6));
    }
    let mut lines = directory.into_lines()?;
    let (at, mask) = match cells {
        Some(place) => place,
        None => cells::append(&mut lines, &tables.cells)?,
    };
    for roots in &mut lines[..SUBSCRIBERS_AT as usize] {
        roots.0[Table::Subscribers as usize + node::CELLS] = at;
        roots.0[Table::Destinations as usize + node::CELLS] = mask;
    }
    Ok(lines)
}

/// What holds for subscribers, each once, numbered from 1.
#[derive(Default)]
struct Entries {
    numbers: HashMap<Subscriber, u32>,
    list: Vec<Subscriber>,
}

impl Entries {
    fn number(&mut self, entry: Subscriber) -> u32 {
        if self.list.last() == Some(&entry) {
            return self.list.len() as u32;
        }
        *self.numbers.entry(entry).or_insert_with(|| {
            self.list.push(entry);
            self.list.len() as u32
        })
    }

    fn lines(&self) -> impl Iterator<Item = Line> {
        self.list.chunks(2).map(|pair| {
            let entry = |place: usize| Entry {
                subscriber: pair.get(place).copied().unwrap_or_else(bytemuck::Zeroable::zeroed),
                padding: [0; 3],
            };
            bytemuck::must_cast([entry(0), entry(1)])
        })
    }
}

#[cfg(test)]
mod tests;
