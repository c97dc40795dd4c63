//! A RST in the destination's name, written over the packet that it answers: tags and `PPPoE` stay, MAC addresses,
//! addresses and ports change places, and the frame is cut behind the TCP header.

use crate::frame::Linear;
use aya_ebpf::helpers::generated::{bpf_xdp_adjust_tail, bpf_xdp_get_buff_len};
use aya_ebpf::programs::XdpContext;
use gate25_common::answer::Reset;
use gate25_common::checksum::{fold, pseudo_header, words_sum};
use gate25_common::frame::Bytes;
use gate25_common::parse::{NO_PPPOE, SMTP, Segment, TCP};

use super::TTL;

const TCP_LENGTH: usize = 20;

/// Turns the packet into its RST. `None` where the headers are not in the linear part; the packet is then to be dropped.
#[inline(always)]
pub(crate) fn write(ctx: &XdpContext, frame: &Linear, segment: &Segment, reset: Reset) -> Option<()> {
    let (to, from): ([u8; 6], [u8; 6]) = (frame.read(0)?, frame.read(6)?);
    let at = segment.network;
    let header_length = if segment.subscriber.is_ipv6() { 40 } else { 20 };
    let transport = at + header_length;
    // The last part first: where it has room, all has, and nothing is half overwritten.
    frame.write(transport, tcp(segment, reset))?;
    if segment.subscriber.is_ipv6() {
        frame.write(at, ipv6_head())?;
        frame.write(at + 8, segment.remote.ipv6_halves()[0])?;
        frame.write(at + 16, segment.remote.ipv6_halves()[1])?;
        frame.write(at + 24, segment.subscriber.ipv6_halves()[0])?;
        frame.write(at + 32, segment.subscriber.ipv6_halves()[1])?;
    } else {
        frame.write(at, ipv4(segment.remote.ipv4_octets(), segment.subscriber.ipv4_octets()))?;
    }
    if segment.pppoe != NO_PPPOE {
        // PPP protocol and packet, RFC 2516 section 4.
        let length = segment.network - (segment.pppoe + 6) + header_length + TCP_LENGTH;
        frame.write(segment.pppoe + 4, (length as u16).to_be_bytes())?;
    }
    frame.write(0, from)?;
    frame.write(6, to)?;
    // SAFETY: the context is the program's own; `frame` is not used behind this.
    let surplus = unsafe { bpf_xdp_get_buff_len(ctx.ctx) } as usize - (transport + TCP_LENGTH);
    // SAFETY: as above.
    let status = unsafe { bpf_xdp_adjust_tail(ctx.ctx, -(surplus as i32)) };
    (status == 0).then_some(())
}

/// RFC 9293 section 3.1: no options, window 0.
#[inline(always)]
fn tcp(segment: &Segment, reset: Reset) -> [u8; TCP_LENGTH] {
    let mut header = [0; TCP_LENGTH];
    header[0..2].copy_from_slice(&SMTP.to_be_bytes());
    header[2..4].copy_from_slice(&segment.subscriber_port.to_be_bytes());
    header[4..8].copy_from_slice(&reset.sequence.to_be_bytes());
    header[8..12].copy_from_slice(&reset.acknowledgement.to_be_bytes());
    header[12] = (TCP_LENGTH as u8 / 4) << 4;
    header[13] = reset.flags;
    let sum = pseudo_header(segment.subscriber, segment.remote, TCP_LENGTH as u32, TCP) + words_sum(&header);
    header[16..18].copy_from_slice(&(!fold(sum)).to_ne_bytes());
    header
}

/// RFC 791 section 3.1: no options, don't fragment.
#[inline(always)]
fn ipv4(source: [u8; 4], destination: [u8; 4]) -> [u8; 20] {
    let mut header = [0; 20];
    header[0] = 0x45;
    header[3] = 20 + TCP_LENGTH as u8;
    header[6] = 0x40;
    header[8] = TTL;
    header[9] = TCP;
    header[12..16].copy_from_slice(&source);
    header[16..20].copy_from_slice(&destination);
    let sum = words_sum(&header);
    header[10..12].copy_from_slice(&(!fold(sum)).to_ne_bytes());
    header
}

/// RFC 8200 section 3, without the addresses.
#[inline(always)]
const fn ipv6_head() -> [u8; 8] {
    [0x60, 0, 0, 0, 0, TCP_LENGTH as u8, TCP, TTL]
}
