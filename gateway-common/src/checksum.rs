//! The internet checksum (RFC 1071). The ones' complement sum does not depend on byte order (section 2), so words are added
//! as they lie.

use crate::address::Address;
use crate::frame::Bytes;

/// What is summed at once, at most.
const STEP: usize = 512;

/// The sum of the octets from `at` to `end`, at most `MOST` of them, added to `start`. `None` where they are not all there.
#[inline(always)]
pub fn sum<B: Bytes + ?Sized, const MOST: usize>(
    frame: &B,
    at: usize,
    end: usize,
    start: u64,
) -> Option<u64> {
    let mut part = Part { frame, at, end, sum: start };
    for _ in 0..MOST / STEP {
        part.add::<STEP>()?;
    }
    part.add::<256>()?;
    part.add::<128>()?;
    part.add::<64>()?;
    part.add::<32>()?;
    part.add::<16>()?;
    part.add::<8>()?;
    part.add::<4>()?;
    part.add::<2>()?;
    part.add::<1>()?;
    Some(part.sum)
}

/// What is summed so far, and what is left.
struct Part<'a, B: ?Sized> {
    frame: &'a B,
    at: usize,
    end: usize,
    sum: u64,
}

impl<B: Bytes + ?Sized> Part<'_, B> {
    /// Adds the next `N` octets, if as many are left, an odd last one as if a zero followed it.
    #[inline(always)]
    fn add<const N: usize>(&mut self) -> Option<()> {
        if self.at + N <= self.end {
            let sum = self.sum + self.frame.sum::<N>(self.at)?;
            self.sum = self.frame.forget(sum, u64::MAX);
            self.at = self.frame.forget((self.at + N) as u64, 0x7fff) as usize;
        }
        Some(())
    }
}

/// The sum over addresses, length and protocol (RFC 9293 section 3.1, RFC 8200 section 8.1).
#[inline(always)]
#[must_use]
pub fn pseudo_header(one: Address, other: Address, length: u32, protocol: u8) -> u64 {
    u64::from(length.to_be()) + u64::from(u32::from(protocol).to_be()) + address_sum(one) + address_sum(other)
}

/// The sum of an address.
#[inline(always)]
#[must_use]
pub const fn address_sum(address: Address) -> u64 {
    let [high, low] = address.words();
    (high & 0xffff_ffff) + (high >> 32) + (low & 0xffff_ffff) + (low >> 32)
}

/// The sum of 32-bit words as they lie, and of what is left behind the last one.
#[inline(always)]
#[must_use]
pub fn words_sum<const N: usize>(octets: &[u8; N]) -> u64 {
    let (words, rest) = octets.as_chunks();
    let sum = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
    match *rest {
        [one] => sum + u64::from(u16::from_ne_bytes([one, 0])),
        [one, two] => sum + u64::from(u16::from_ne_bytes([one, two])),
        _ => sum,
    }
}

/// The ones' complement sum in 16 bits, as it lies in a packet (RFC 1071 section 4.1).
#[inline(always)]
#[must_use]
pub const fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// The checksum `before`, as it lies, of octets whose sum was `old` and is `new` now (RFC 1624 section 3, equation 3).
#[inline(always)]
#[must_use]
pub const fn mended(before: [u8; 2], old: u64, new: u64) -> [u8; 2] {
    let before = u16::from_ne_bytes(before);
    (!fold(!before as u64 + !fold(old) as u64 + new)).to_ne_bytes()
}

/// What a sum gains where octets whose sum was `old` now have `new`, in 16 bits.
#[inline(always)]
#[must_use]
pub const fn difference(old: u64, new: u64) -> u64 {
    fold(!fold(old) as u64 + new) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1624 section 4: the case that equation 3 gets right, and the older one did not.
    #[test]
    fn the_example_of_rfc_1624() {
        let word = |word: u16| u64::from(u16::from_ne_bytes(word.to_be_bytes()));
        assert_eq!(mended([0xdd, 0x2f], word(0x5555), word(0x3285)), [0, 0]);
    }

    /// 0x0001 + 0xffff + 0xffff: what is carried may have to be carried once more.
    #[test]
    fn every_carry_comes_around() {
        assert_eq!(fold(0x0001_0000_ffff_ffff), 1);
        assert_eq!(fold(u64::MAX), 0xffff);
    }

    #[test]
    fn a_sum_is_of_all_octets_and_no_more() {
        let octets: [u8; 1_600] = core::array::from_fn(|place| (place * 37) as u8);
        for end in 1..=1_600 {
            let mut whole = octets;
            whole[end..].fill(0);
            let sum = sum::<[u8], 2_048>(&octets, 0, end, 0).map(fold);
            assert_eq!(sum, Some(fold(words_sum(&whole))), "{end} octets");
        }
        assert_eq!(sum::<[u8], 2_048>(&octets, 0, 1_601, 0), None);
    }
}
