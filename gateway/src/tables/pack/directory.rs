//! Boundaries → nodes and buckets.

use super::boundaries::{self, Boundary, halves};
use crate::policy::compile::TooLarge;
use gate25_common::table::{Found, Ipv4, Ipv6, Line, Table, WORDS, Width, node};
use ipnetwork::IpNetwork;

/// Words behind the slots of a node: what holds behind the last one, and in front of the first one.
const BESIDE: usize = 2;
/// A node may have as many slots as boundaries, or so many: with those words, a line.
const FEWEST: u64 = (WORDS - BESIDE) as u64;
/// A root may have twice as many slots as boundaries, or so many where there are more than a bucket holds: most addresses then
/// have their answer without a bucket.
const FEWEST_OF_ROOT: u64 = 16 * WORDS as u64 - BESIDE as u64;
/// More lines than can be told apart.
const LIMIT: usize = Found::BUCKETS / WORDS;

/// An IPv4 address, or a half of an IPv6 address: what a walk goes by. (Those of a million prefixes are read in order, and twice
/// as many octets take longer.)
trait Word: Copy + Into<u64> {}

impl<A: Copy + Into<u64>> Word for A {}

/// Lines that grow.
pub(super) struct Directory {
    lines: Vec<Line>,
    /// The word where the last line of buckets has room left.
    room: usize,
}

impl Directory {
    /// Behind those lines, which begin with roots that lead to nothing yet.
    pub(super) fn new(lines: Vec<Line>) -> Self {
        Self { lines, room: 0 }
    }

    /// All lines, unless they are more than can be told apart.
    pub(super) fn into_lines(self) -> Result<Vec<Line>, TooLarge> {
        match self.lines.len() {
            ..=LIMIT => Ok(self.lines),
            needed => Err(TooLarge { what: "lines of prefix tables", needed, limit: LIMIT }),
        }
    }

    fn words(&mut self) -> &mut [u32] {
        bytemuck::cast_slice_mut(&mut self.lines)
    }

    /// So many more lines, which are zeros: the number of the first one.
    fn add(&mut self, lines: usize) -> usize {
        let first = self.lines.len();
        self.lines.resize(first + lines, Line::default());
        first
    }

    /// Makes a table of a family.
    pub(super) fn family(
        &mut self,
        is_ipv6: bool,
        table: Table,
        prefixes: impl Iterator<Item = (IpNetwork, u32)>,
    ) {
        if is_ipv6 {
            let spans = prefixes.filter_map(|(prefix, value)| Some((boundaries::ipv6(prefix)?, value)));
            let all = boundaries::boundaries(spans);
            let all = halves(&all, |begin, inside| self.lay::<Ipv6, _>(begin, inside, Ipv6::NODES));
            self.root::<Ipv6, _>(table, &all);
        } else {
            let spans = prefixes.filter_map(|(prefix, value)| Some((boundaries::ipv4(prefix)?, value)));
            self.root::<Ipv4, _>(table, &boundaries::boundaries(spans));
        }
    }

    fn root<W: Width, A: Word>(&mut self, table: Table, all: &[Boundary<A>]) {
        let root = W::ROOTS as usize * WORDS + table as usize;
        if all.len() > W::MOST {
            let most = (all.len() as u64 * 2).max(FEWEST_OF_ROOT);
            let header = self.node::<W, A>(Found::NOTHING, all, most, W::NODES - 1) * WORDS;
            self.words().copy_within(header..header + node::CELLS, root);
        } else {
            self.words()[root + node::ONLY] = self.lay::<W, A>(Found::NOTHING, all, W::NODES).0;
        }
    }

    /// What leads to those boundaries, with so many nodes one below the other at most; in front of them, `before` holds.
    fn lay<W: Width, A: Word>(&mut self, before: Found, all: &[Boundary<A>], nodes: u32) -> Found {
        match all {
            [] => before,
            // It is refused: nothing more is made.
            _ if self.lines.len() > LIMIT => before,
            [_, ..] if all.len() > W::MOST => {
                let header = self.node::<W, A>(before, all, (all.len() as u64).max(FEWEST), nodes - 1);
                Found::node(header as u32)
            }
            _ => self.bucket::<W, A>(before, all),
        }
    }

    fn bucket<W: Width, A: Word>(&mut self, before: Found, all: &[Boundary<A>]) -> Found {
        let size = (all.len() * W::WORDS + all.len() + 1).next_multiple_of(2);
        if self.room.is_multiple_of(WORDS) || self.room % WORDS + size > WORDS {
            self.room = self.add(1) * WORDS;
        }
        let bucket = Found::bucket(all.len() as u32, self.room as u32);
        let boundaries = all.iter().flat_map(|boundary| {
            let at: u64 = boundary.at.into();
            let [high, low] = [(at >> 32) as u32, at as u32];
            [high, low].into_iter().skip(2 - W::WORDS)
        });
        let found = std::iter::once(before).chain(all.iter().map(|boundary| boundary.found));
        let room = self.room;
        for (word, value) in self.words()[room..].iter_mut().zip(boundaries.chain(found.map(|found| found.0)))
        {
            *word = value;
        }
        self.room += size;
        bucket
    }

    /// With at most so many slots, unless more are needed, for only so many nodes may be `below` this one: the line of its header.
    fn node<W: Width, A: Word>(
        &mut self,
        before: Found,
        all: &[Boundary<A>],
        most: u64,
        below: u32,
    ) -> usize {
        let first: u64 = all.first().map_or(0, |first| first.at.into());
        let last: u64 = all.last().map_or(0, |last| last.at.into());
        let coarsest = (W::BITS * below).min(u64::BITS - 1);
        let low = |shift: u32| first >> shift << shift;
        let shift = (0..coarsest).find(|shift| (last - low(*shift)) >> shift < most).unwrap_or(coarsest);
        let low = low(shift);
        let slots = ((last - low) >> shift) as usize + 1;
        let header = self.add(1);
        let at = self.add((slots + BESIDE).div_ceil(WORDS));
        let mut rest = all;
        let mut holds = before;
        for slot in 0..slots {
            let begin = low + ((slot as u64) << shift);
            let here =
                rest.iter().take_while(|boundary| (boundary.at.into() - low) >> shift == slot as u64).count();
            let (inside, behind) = rest.split_at(here);
            // What begins with the slot takes no boundary.
            let inside = match inside {
                [first, inside @ ..] if first.at.into() == begin => {
                    holds = first.found;
                    inside
                }
                inside => inside,
            };
            let found = self.lay::<W, A>(holds, inside, below);
            self.words()[at * WORDS + slot] = found.0;
            holds = inside.last().map_or(holds, |last| last.found);
            rest = behind;
        }
        self.words()[at * WORDS + slots..][..BESIDE].copy_from_slice(&[holds.0, before.0]);
        let words = [low as u32, (low >> 32) as u32, shift, slots as u32, at as u32];
        self.lines[header].0[..words.len()].copy_from_slice(&words);
        header
    }
}
