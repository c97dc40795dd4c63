//! Whether a blocked packet can be answered with a RST, and what the RST must say (RFC 9293 section 3.10.7.1, with the
//! cautions of the kernel's `net/ipv4/netfilter/nf_reject_ipv4.c`).

use crate::address::Address;
use crate::frame::Bytes;
use crate::parse::{OPEN, Segment};

/// TCP flags, RFC 9293 section 3.1.
pub const FIN: u8 = 0x01;
/// See [`FIN`].
pub const SYN: u8 = 0x02;
/// See [`FIN`].
pub const RST: u8 = 0x04;
/// See [`FIN`].
pub const ACK: u8 = 0x10;

/// A packet that ends farther than this into its frame is not answered: it may not lie in one buffer, and its checksum
/// would cost more than the answer is worth. The subscriber's next ACK is shorter, and is.
pub const MAX_ANSWERED: usize = 2048;
const STEP: usize = 32;

/// The part of a TCP header that ends with the flags.
pub const TO_FLAGS: usize = 14;

/// Whether this is a new connection: SYN without ACK.
#[inline(always)]
#[must_use]
pub const fn is_attempt(header: &[u8; TO_FLAGS], segment: &Segment) -> bool {
    segment.transport + TO_FLAGS <= segment.end && header[13] & (SYN | ACK) == SYN
}

/// Sequence fields and flags of the RST, host byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reset {
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgement number; 0 without ACK.
    pub acknowledgement: u32,
    /// RST, or RST and ACK.
    pub flags: u8,
}

/// The RST for a segment, or `None` where none may be sent: to a RST, a fragment, a multicast or broadcast, a segment
/// that is cut, or one with a wrong checksum (a bare SYN is answered unverified).
#[inline(always)]
pub fn reset<B: Bytes + ?Sized>(frame: &B, segment: &Segment) -> Option<Reset> {
    if segment.fragment
        || is_group(segment.remote)
        || matches!(frame.read::<6>(0), Some([first, ..]) if first & 1 == 1)
    {
        return None;
    }
    let end = if segment.end == OPEN { frame.length() } else { segment.end };
    let header: [u8; 20] = frame.read(segment.transport)?;
    let header_length = usize::from(header[12] >> 4) * 4;
    let flags = header[13];
    let cut = header_length < 20 || segment.transport + header_length > end;
    if flags & RST != 0 || cut || end > MAX_ANSWERED {
        return None;
    }
    let payload = (end - segment.transport - header_length) as u32;
    let bare_syn = flags & (SYN | ACK | FIN) == SYN && payload == 0;
    if !bare_syn && !checksum_is_right(frame, segment, end) {
        return None;
    }
    let sequence = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    let acknowledgement = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
    if flags & ACK != 0 {
        return Some(Reset { sequence: acknowledgement, acknowledgement: 0, flags: RST });
    }
    let octets = payload + u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
    Some(Reset { sequence: 0, acknowledgement: sequence.wrapping_add(octets), flags: RST | ACK })
}

/// Multicast, IPv4 class E and limited broadcast.
#[inline(always)]
const fn is_group(address: Address) -> bool {
    let [first, ..] = address.ipv4_octets();
    if address.is_ipv6() { first == 0xff } else { first >= 224 }
}

/// RFC 9293 section 3.1, over the pseudo-header and the segment. The ones' complement sum does not depend on byte order
/// (RFC 1071 section 2), so words are added as they lie.
#[inline(always)]
fn checksum_is_right<B: Bytes + ?Sized>(frame: &B, segment: &Segment, end: usize) -> bool {
    let length = (end - segment.transport) as u32;
    let mut sum = pseudo_header(segment.subscriber, segment.remote, length);
    let mut at = segment.transport;
    for _ in 0..MAX_ANSWERED / STEP {
        if at + STEP > end {
            break;
        }
        if !add::<STEP, B>(frame, &mut at, &mut sum) {
            return false;
        }
    }
    (at + 16 > end || add::<16, B>(frame, &mut at, &mut sum))
        && (at + 8 > end || add::<8, B>(frame, &mut at, &mut sum))
        && (at + 4 > end || add::<4, B>(frame, &mut at, &mut sum))
        && (at + 2 > end || add::<2, B>(frame, &mut at, &mut sum))
        && (at + 1 > end || add::<1, B>(frame, &mut at, &mut sum))
        && fold(sum) == 0xffff
}

/// Adds the next `N` octets to the sum, an odd last one as if a zero followed it.
#[inline(always)]
fn add<const N: usize, B: Bytes + ?Sized>(frame: &B, at: &mut usize, sum: &mut u64) -> bool {
    let Some(octets) = frame.read::<N>(*at) else { return false };
    *sum = frame.forget(*sum + words_sum(&octets), u64::MAX);
    *at = frame.forget((*at + N) as u64, 0x7fff) as usize;
    true
}

/// The sum over addresses, length and protocol (RFC 9293 section 3.1, RFC 8200 section 8.1).
#[inline(always)]
#[must_use]
pub fn pseudo_header(one: Address, other: Address, length: u32) -> u64 {
    let fixed = u64::from(length.to_be()) + u64::from(6_u32.to_be());
    let words = [one.words()[0], one.words()[1], other.words()[0], other.words()[1]];
    words.iter().fold(fixed, |sum, word| sum + (word & 0xffff_ffff) + (word >> 32))
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
