//! Whether a blocked packet can be answered with a RST, and what the RST must say (RFC 9293 section 3.10.7.1, with the
//! cautions of the kernel's `net/ipv4/netfilter/nf_reject_ipv4.c`).

use crate::address::Address;
use crate::checksum::{fold, pseudo_header, sum};
use crate::frame::Bytes;
use crate::parse::{OPEN, Segment, TCP};

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

/// The part of a TCP header that ends with the flags.
pub const TO_FLAGS: usize = 14;

/// Whether this is a new connection: SYN without ACK.
#[inline(always)]
#[must_use]
pub const fn is_attempt(header: &[u8; TO_FLAGS], segment: &Segment) -> bool {
    segment.transport + TO_FLAGS <= segment.end && opens(header[13])
}

/// Whether flags open a connection: SYN without ACK.
#[inline(always)]
#[must_use]
pub const fn opens(flags: u8) -> bool {
    flags & (SYN | ACK) == SYN
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
    if !is_alone(frame, segment) {
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

/// Whether the packet is whole, and from one to one: all else is not answered, and not redirected.
#[inline(always)]
fn is_alone<B: Bytes + ?Sized>(frame: &B, segment: &Segment) -> bool {
    !segment.fragment
        && !is_group(segment.remote)
        && !matches!(frame.read::<1>(0), Some([first]) if first & 1 == 1)
}

/// The TCP header of a packet that can be redirected: not of a fragment, or of one to many, nor where the header is cut or
/// lies so far back that it may be in another buffer.
#[inline(always)]
#[must_use]
pub fn redirectable<B: Bytes + ?Sized>(frame: &B, segment: &Segment) -> Option<[u8; 20]> {
    let end = segment.transport + 20;
    if end > segment.end || end > MAX_ANSWERED || !is_alone(frame, segment) {
        return None;
    }
    frame.read(segment.transport)
}

/// Multicast, IPv4 class E and limited broadcast.
#[inline(always)]
const fn is_group(address: Address) -> bool {
    let [first, ..] = address.ipv4_octets();
    if address.is_ipv6() { first == 0xff } else { first >= 224 }
}

/// RFC 9293 section 3.1, over the pseudo-header and the segment.
#[inline(always)]
fn checksum_is_right<B: Bytes + ?Sized>(frame: &B, segment: &Segment, end: usize) -> bool {
    let length = (end - segment.transport) as u32;
    let pseudo = pseudo_header(segment.subscriber, segment.remote, length, TCP);
    sum::<B, MAX_ANSWERED>(frame, segment.transport, end, pseudo).is_some_and(|sum| fold(sum) == 0xffff)
}
