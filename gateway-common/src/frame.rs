//! Octets of a frame, read with bounds.

use crate::checksum::words_sum;

/// A frame as it lies on the wire, from its Ethernet header on.
pub trait Bytes {
    /// The `N` octets at `offset`, or `None` where the frame ends before them.
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// Octets in the frame.
    fn length(&self) -> usize;

    /// The sum of the `N` octets at `offset`, see [`crate::checksum`]; `None` where the frame ends before them.
    #[inline(always)]
    fn sum<const N: usize>(&self, offset: usize) -> Option<u64> {
        Some(words_sum(&self.read::<N>(offset)?))
    }

    /// The same value, at most `mask`. In the kernel the verifier then knows nothing else of it, and need not follow a
    /// loop, or what comes behind many roads, once for each value.
    #[must_use]
    #[inline(always)]
    fn forget(&self, value: u64, mask: u64) -> u64 {
        value & mask
    }
}

impl Bytes for [u8] {
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.get(offset..)?.first_chunk().copied()
    }

    fn length(&self) -> usize {
        self.len()
    }
}
