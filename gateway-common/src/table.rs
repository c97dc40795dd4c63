//! A generation of tables as the program reads it: one array of cache lines, with everything in it.
//!
//! Prefixes that nest are the same as ranges that do not: sorted *boundaries*, each with what holds from there on. They
//! lie in *buckets* of a few, within a line. A *node* is a directory over a part of the addresses: as many slots of equal
//! width as it has boundaries, so that a slot mostly leads to a value, or to a bucket. A slot that has too many leads to a node
//! of its own. So a look-up touches two lines that nobody touched before (slot and bucket), whatever the number of
//! prefixes, and small policies have small directories. (A direct table, then ranges: DXR, Zec, Rizzo and Mikuc 2012, ACM
//! SIGCOMM CCR 42(5). Here directories fit what is in them, begin where it begins, and nest, so that nothing is searched for long.)
//!
//! ```text
//! line 0   IPv4: the root of subscribers, the root of destinations      line 1   the same of IPv6
//! line 2…  what holds for subscribers, two a line                       then     nodes, buckets; cells, a line each
//! ```
//!
//! IPv6 addresses are looked up by their first half; where a half's boundaries lie inside one value of it, what is found there
//! leads to a table of second halves.

use crate::abi::Subscriber;
use crate::address::Address;
use bytemuck::{Pod, Zeroable, must_cast_ref};

mod cells;

pub use cells::{PROBES, Place, cell, place};

/// Words of a line.
pub const WORDS: usize = 16;

/// A cache line of 64 octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
#[repr(C, align(8))]
pub struct Line(pub [u32; WORDS]);

/// The first lines of a generation have a place of their own, where they are found without a call: small policies have no others.
pub const HEAD: usize = 1024;

/// An array of lines: maps, or the same in memory.
pub trait Lines {
    /// The line of that number; `None` behind the end.
    fn line(&self, number: u32) -> Option<&Line>;

    /// The roots of IPv4, or of IPv6: one of the first two lines.
    #[inline(always)]
    fn roots(&self, number: u32) -> Option<&Line> {
        self.line(number)
    }

    /// The same word, of which the compiler knows nothing, so that it makes no branch of what is worked out from it.
    #[inline(always)]
    fn opaque(&self, word: u64) -> u64 {
        word
    }
}

/// What is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Source prefixes.
    Subscribers = 0,
    /// Destination prefixes.
    Destinations = 8,
}

/// The first line of what holds for subscribers.
pub const SUBSCRIBERS_AT: u32 = 2;

/// The words of a node's header. Its slots lie elsewhere: a [`Found`] each, then what holds behind the last one, then what holds in
/// front of the first one.
pub mod node {
    /// Where its first slot begins, in two words, the lower one first.
    pub const LOW: usize = 0;
    /// Bits of an address inside a slot.
    pub const SHIFT: usize = 2;
    /// How many slots there are.
    pub const SLOTS: usize = 3;
    /// The line where the slots begin.
    pub const AT: usize = 4;
    /// In a root without slots: what holds for all addresses.
    pub const ONLY: usize = 5;
    /// In a root alone: of subscribers, the line where the cells begin; of destinations, how many places those have, less one.
    pub const CELLS: usize = 7;
}

/// What a slot, or a range, leads to: a value, or where to look next.
///
/// ```text
/// 0vvvvvvv vvvvvvvv vvvvvvvv vvvvvvvv   a value; 0 is none
/// 11Lnnnnn nnnnnnnn nnnnnnnn nnnnnnnn   the node whose header is line n
/// 10Lkkkbb bbbbbbbb bbbbbbbb bbbbbbbb   the bucket of k boundaries at word 2b
/// ```
///
/// L: of the second half of an IPv6 address. A bucket holds its boundaries in order (two words each for IPv6, the higher one
/// first), and then what holds in front of each, and behind the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found(pub u32);

impl Found {
    /// No prefix has the address.
    pub const NOTHING: Self = Self(0);
    const LEADS_ON: u32 = 1 << 31;
    const NODE: u32 = 1 << 30;
    const SECOND_HALF: u32 = 1 << 29;
    const COUNT: u32 = 26;
    /// How many lines a node's number can tell apart, and values there are at least.
    pub const NUMBERS: u32 = 1 << 29;
    /// How many words there can be in front of a bucket.
    pub const BUCKETS: usize = 1 << (Self::COUNT + 1);

    /// A node, by the line of its header, below [`Self::NUMBERS`].
    #[must_use]
    pub const fn node(line: u32) -> Self {
        Self(Self::LEADS_ON | Self::NODE | line)
    }

    /// A bucket of at most seven boundaries at an even word below [`Self::BUCKETS`].
    #[must_use]
    pub const fn bucket(boundaries: u32, word: u32) -> Self {
        Self(Self::LEADS_ON | (boundaries << Self::COUNT) | (word / 2))
    }

    /// The same, of second halves.
    #[must_use]
    pub const fn of_second_half(self) -> Self {
        Self(self.0 | Self::SECOND_HALF)
    }

    #[inline(always)]
    const fn is(self, flag: u32) -> bool {
        self.0 & flag != 0
    }
}

/// How addresses of a family are looked up.
pub trait Width {
    /// Words of a boundary.
    const WORDS: usize;
    /// The most boundaries of a bucket: with what they part, they fit into a line.
    const MOST: usize;
    /// The most nodes one below the other, of addresses or of halves.
    const NODES: u32;
    /// A node that has others below it leaves them at most so many bits each: what makes that few enough.
    const BITS: u32;
    /// The most nodes and buckets behind the root, and one more look; where all nodes are needed, no bucket is.
    const STEPS: usize;
    /// Number of the line with the roots.
    const ROOTS: u32;
}

/// IPv4, a word.
#[derive(Debug, Clone, Copy)]
pub struct Ipv4;

impl Width for Ipv4 {
    const WORDS: usize = 1;
    const MOST: usize = 7;
    const NODES: u32 = 5;
    const BITS: u32 = 8;
    const STEPS: usize = Self::NODES as usize;
    const ROOTS: u32 = 0;
}

/// IPv6, two halves of two words.
#[derive(Debug, Clone, Copy)]
pub struct Ipv6;

impl Width for Ipv6 {
    const WORDS: usize = 2;
    const MOST: usize = 5;
    const NODES: u32 = 8;
    const BITS: u32 = 10;
    const STEPS: usize = Self::NODES as usize * 2;
    const ROOTS: u32 = 1;
}

/// The value of the most specific prefix that has the address; 0: none has.
#[inline(always)]
pub fn find<L: Lines>(lines: &L, table: Table, address: Address) -> u32 {
    if address.is_ipv6() {
        let [first, second] = address.words().map(u64::from_be);
        walk::<Ipv6, L>(lines, table, first, second)
    } else {
        walk::<Ipv4, L>(lines, table, u32::from_be_bytes(address.ipv4_octets()).into(), 0)
    }
}

#[inline(always)]
fn walk<W: Width, L: Lines>(lines: &L, table: Table, first: u64, second: u64) -> u32 {
    let Some(roots) = lines.roots(W::ROOTS) else { return Found::NOTHING.0 };
    let mut key = first;
    let mut found = step(lines, roots, table as usize, key);
    for _ in 0..W::STEPS {
        if !found.is(Found::LEADS_ON) {
            return found.0;
        }
        if W::WORDS > 1 && found.is(Found::SECOND_HALF) {
            key = second;
        }
        found = if found.is(Found::NODE) {
            match lines.line(found.0 & (Found::NUMBERS - 1)) {
                Some(header) => step(lines, header, 0, key),
                None => Found::NOTHING,
            }
        } else {
            range::<W, L>(lines, found, key)
        };
    }
    Found::NOTHING.0
}

/// From a node on; its header begins at a word of a line.
///
/// Where strangers' addresses lie nobody can foretell, and a branch that was foretold wrongly costs more than all of this: what
/// holds beside the slots is found by arithmetic.
#[inline(always)]
fn step<L: Lines>(lines: &L, header: &Line, begin: usize, key: u64) -> Found {
    let word = |place: usize| header.0[(begin + place) % WORDS];
    let low = u64::from(word(node::LOW + 1)) << 32 | u64::from(word(node::LOW));
    let slots = u64::from(word(node::SLOTS));
    if slots == 0 {
        return Found(word(node::ONLY));
    }
    let ahead = lines.opaque(key.wrapping_sub(low));
    let slot = ahead >> (word(node::SHIFT) % u64::BITS);
    // The borrow of that subtraction (Warren, Hacker's Delight, 2-13). In front of the slots `slot` is beyond them, too, for they
    // end where addresses do at the latest.
    let is_before = ((!key & low) | ((!key | low) & ahead)) >> 63;
    let beside =
        lines.opaque(((slots.wrapping_sub(1).wrapping_sub(slot) | slot).cast_signed() >> 63).cast_unsigned());
    let place = (slot & !beside) | ((slots + is_before) & beside);
    match lines.line(word(node::AT) + (place / WORDS as u64) as u32) {
        Some(line) => Found(line.0[place as usize % WORDS]),
        None => Found::NOTHING,
    }
}

/// From a bucket on: what holds behind the last boundary that is not beyond the key.
#[inline(always)]
fn range<W: Width, L: Lines>(lines: &L, bucket: Found, key: u64) -> Found {
    let word = (bucket.0 & ((1 << Found::COUNT) - 1)) * 2;
    let boundaries = (bucket.0 >> Found::COUNT) as usize % 8;
    let Some(line) = lines.line(word / WORDS as u32) else { return Found::NOTHING };
    let begin = word as usize % WORDS;
    let word = |place: usize| line.0[(begin + place) % WORDS];
    let mut passed = 0;
    for place in 0..W::MOST {
        let boundary = if W::WORDS == 1 {
            word(place).into()
        } else {
            u64::from(word(place * 2)) << 32 | u64::from(word(place * 2 + 1))
        };
        if place >= boundaries || key < boundary {
            break;
        }
        passed += 1;
    }
    Found(word(boundaries * W::WORDS + passed))
}

/// What holds for the subscribers of a value that [`find`] found.
#[inline(always)]
pub fn subscriber<L: Lines>(lines: &L, value: u32) -> Option<Subscriber> {
    let place = value.checked_sub(1)?;
    let line = lines.line(SUBSCRIBERS_AT + place / 2)?;
    let two: &[Entry; 2] = must_cast_ref(line);
    Some(two[place as usize % 2].subscriber)
}

/// What holds for subscribers, in half a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Entry {
    /// The entry.
    pub subscriber: Subscriber,
    /// Zeros.
    pub padding: [u32; 3],
}
