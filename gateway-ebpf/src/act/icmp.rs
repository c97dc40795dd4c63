//! "Administratively prohibited", from the gateway's own address (RFC 1812 section 5.2.7.1: type 3, code 13; RFC 4443
//! section 3.1: type 1, code 1), in front of the packet that it is about: tags and `PPPoE` stay, MAC addresses change places.

use crate::frame::Linear;
use crate::maps;
use aya_ebpf::helpers::generated::{bpf_xdp_adjust_head, bpf_xdp_adjust_tail, bpf_xdp_get_buff_len};
use aya_ebpf::programs::XdpContext;
use gate25_common::address::Address;
use gate25_common::checksum::{fold, pseudo_header, sum, words_sum};
use gate25_common::frame::Bytes;
use gate25_common::parse::{ICMP, ICMPV6, LINK_HEADERS, NO_PPPOE, Segment};

use super::TTL;

/// ICMP's header, whose last four octets are unused here.
const HEADER: usize = 8;
/// RFC 1812 section 4.3.2.3: as much as fits into 576 octets.
const MOST_IPV4: usize = 576;
/// RFC 4443 section 2.4 (c): as much as fits into the smallest MTU of IPv6.
const MOST_IPV6: usize = 1280;
/// Octets of a link header that are moved at once: any has fewer.
const MOVED: usize = LINK_HEADERS + 2;

/// Turns the packet into the message about it. `None` where that cannot be; the packet is then to be dropped.
#[inline(always)]
pub(crate) fn write(ctx: &XdpContext, frame: &Linear, segment: &Segment) -> Option<()> {
    let is_ipv6 = segment.subscriber.is_ipv6();
    let own = own_address(is_ipv6)?;
    let (network_header, most) = if is_ipv6 { (40, MOST_IPV6) } else { (20, MOST_IPV4) };
    // A packet that is cut is quoted as far as it is there.
    let end = segment.end.min(frame.length());
    let quoted = (end - segment.network).min(most - network_header - HEADER);
    let sum = sum::<Linear, MOST_IPV6>(frame, segment.network, segment.network + quoted, 0)?;
    let link: [u8; MOVED] = frame.read(0)?;
    let (to, from): ([u8; 6], [u8; 6]) = (frame.read(0)?, frame.read(6)?);

    // SAFETY: the context is the program's own; `frame` is not used behind this.
    let length = unsafe { bpf_xdp_get_buff_len(ctx.ctx) } as usize;
    let surplus = length as i32 - (segment.network + quoted) as i32;
    let room = (network_header + HEADER) as i32;
    // SAFETY: as above.
    if unsafe { bpf_xdp_adjust_tail(ctx.ctx, -surplus) } != 0
        || unsafe { bpf_xdp_adjust_head(ctx.ctx, -room) } != 0
    {
        return None;
    }
    let frame = Linear::of_xdp(ctx);
    let at = segment.network;
    // What of `link` is not of the link header is overwritten by the headers that follow.
    frame.write(0, link)?;
    frame.write(0, from)?;
    frame.write(6, to)?;
    if is_ipv6 {
        let length = (HEADER + quoted) as u16;
        let [high, low] = length.to_be_bytes();
        frame.write(at, [0x60, 0, 0, 0, high, low, ICMPV6, TTL])?;
        frame.write(at + 8, own.ipv6_halves()[0])?;
        frame.write(at + 16, own.ipv6_halves()[1])?;
        frame.write(at + 24, segment.subscriber.ipv6_halves()[0])?;
        frame.write(at + 32, segment.subscriber.ipv6_halves()[1])?;
        let pseudo = pseudo_header(own, segment.subscriber, u32::from(length), ICMPV6);
        frame.write(at + 40, message(1, 1, sum + pseudo))?;
    } else {
        let length = (network_header + HEADER + quoted) as u16;
        frame.write(at, ipv4(length, own.ipv4_octets(), segment.subscriber.ipv4_octets()))?;
        frame.write(at + 20, message(3, 13, sum))?;
    }
    if segment.pppoe != NO_PPPOE {
        // PPP protocol and packet, RFC 2516 section 4.
        let length = at - (segment.pppoe + 6) + network_header + HEADER + quoted;
        frame.write(segment.pppoe + 4, (length as u16).to_be_bytes())?;
    }
    Some(())
}

/// The address to speak from, if the interface has one.
#[inline(always)]
fn own_address(is_ipv6: bool) -> Option<Address> {
    let gateway = maps::GATEWAY.get(0)?;
    let address = if is_ipv6 {
        Address::from_words(gateway.ipv6, true)
    } else {
        Address::from_words([gateway.ipv4, 0], false)
    };
    (address.words() != [0, 0]).then_some(address)
}

#[inline(always)]
fn message(kind: u8, code: u8, rest: u64) -> [u8; HEADER] {
    let mut header = [kind, code, 0, 0, 0, 0, 0, 0];
    let sum = rest + words_sum(&header);
    header[2..4].copy_from_slice(&(!fold(sum)).to_ne_bytes());
    header
}

/// RFC 791 section 3.1: no options; precedence 6 as RFC 1812 section 4.3.2.5 wants of errors.
#[inline(always)]
fn ipv4(length: u16, source: [u8; 4], destination: [u8; 4]) -> [u8; 20] {
    let mut header = [0; 20];
    header[0] = 0x45;
    header[1] = 0xc0;
    header[2..4].copy_from_slice(&length.to_be_bytes());
    header[8] = TTL;
    header[9] = ICMP;
    header[12..16].copy_from_slice(&source);
    header[16..20].copy_from_slice(&destination);
    let sum = words_sum(&header);
    header[10..12].copy_from_slice(&(!fold(sum)).to_ne_bytes());
    header
}
