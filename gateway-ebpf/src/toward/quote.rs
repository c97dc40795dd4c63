//! ICMP errors about redirected packets (RFC 792, RFC 4443 section 3): the packet that they quote gets back the destination
//! that the subscriber wrote on it, so that its TCP knows what is meant, as for path-MTU discovery (RFC 1191, RFC 8201).

use super::restore;
use crate::flows;
use crate::frame::{Linear, load, store};
use aya_ebpf::helpers::generated::bpf_skb_pull_data;
use aya_ebpf::programs::TcContext;
use gate25_common::address::Address;
use gate25_common::checksum::{address_sum, difference, mended};
use gate25_common::frame::Bytes;
use gate25_common::parse::{Icmp, OPEN, SMTP, TCP};
use gate25_common::verdict::FlowEvent;

/// Octets of an ICMP header.
const HEADER: usize = 8;
/// Destination unreachable, time exceeded, parameter problem (RFC 792).
const ERRORS_IPV4: [u8; 3] = [3, 11, 12];
/// Destination unreachable, packet too big, time exceeded, parameter problem (RFC 4443 section 2.1).
const ERRORS_IPV6: [u8; 4] = [1, 2, 3, 4];

/// A quoted TCP packet to a target. Offsets are octets from the frame's start.
struct Quote {
    subscriber: Address,
    target: Address,
    network: usize,
    transport: usize,
}

/// Translates the message if it is an error about a redirected packet. One that cannot be is left as it is: it will be
/// taken for an error about a connection that the subscriber does not have.
#[inline(always)]
pub(super) fn translate(ctx: &TcContext, icmp: &Icmp) {
    let kind = load::<1>(ctx, icmp.transport);
    let is_error = |[kind]: [u8; 1]| {
        if icmp.is_ipv6 { ERRORS_IPV6.contains(&kind) } else { ERRORS_IPV4.contains(&kind) }
    };
    if !kind.is_some_and(is_error) {
        return;
    }
    // Some drivers keep all but the first headers elsewhere.
    let needed = ((icmp.transport + HEADER + 60 + 20) as u32).min(ctx.len());
    // SAFETY: the context is the program's own.
    if unsafe { bpf_skb_pull_data(ctx.skb.skb, needed) } != 0 {
        return;
    }
    let linear = &Linear::of_skb(ctx);
    let forget = |offset: usize| linear.forget(offset as u64, 0x7fff) as usize;
    let end = linear.forget(icmp.end as u64, OPEN as u64) as usize;
    let icmp = &Icmp { network: forget(icmp.network), transport: forget(icmp.transport), end, ..*icmp };
    if quote(linear, icmp).and_then(|quote| write(ctx, linear, icmp, &quote)).is_some() {
        flows::count(FlowEvent::Icmp);
    }
}

#[inline(always)]
fn quote(frame: &Linear, icmp: &Icmp) -> Option<Quote> {
    let network = icmp.transport + HEADER;
    if icmp.is_ipv6 {
        let [first, .., next, _] = frame.read::<8>(network)?;
        if first >> 4 != 6 || next != TCP {
            return None;
        }
        let address = |at| Some(Address::ipv6(frame.read(at)?, frame.read(at + 8)?));
        let (subscriber, target) = (address(network + 8)?, address(network + 24)?);
        return Some(Quote { subscriber, target, network, transport: network + 40 });
    }
    let header: [u8; 20] = frame.read(network)?;
    let later_fragment = u16::from_be_bytes([header[6], header[7]]) & 0x1fff != 0;
    if header[0] >> 4 != 4 || header[9] != TCP || later_fragment {
        return None;
    }
    let transport = frame.forget((network + usize::from(header[0] & 0xf) * 4) as u64, 0x7fff) as usize;
    Some(Quote {
        subscriber: Address::ipv4([header[12], header[13], header[14], header[15]]),
        target: Address::ipv4([header[16], header[17], header[18], header[19]]),
        network,
        transport,
    })
}

/// Rewrites the quote, with the checksums in it and over it, and the source where the target itself complains. `None`
/// where the packet is of no redirected connection.
#[inline(always)]
fn write(ctx: &TcContext, frame: &Linear, icmp: &Icmp, quote: &Quote) -> Option<()> {
    let ports: [u8; 4] = frame.read(quote.transport)?;
    let [port, target_port] = [[ports[0], ports[1]], [ports[2], ports[3]]].map(u16::from_be_bytes);
    let remote = restore::quoted(quote.subscriber, port, quote.target, target_port)?;
    let checksum: [u8; 2] = frame.read(icmp.transport + 2)?;
    let tcp_checksum: Option<[u8; 2]> =
        frame.read(quote.transport + 16).filter(|_| quote.transport + 18 <= icmp.end);
    let source = source(frame, icmp)?;

    let address = difference(address_sum(quote.target), address_sum(remote));
    let (old, new) = (word([ports[2], ports[3]]), word(SMTP.to_be_bytes()));
    // What the sum over the message gains.
    let mut gained = address + difference(old, new);
    store(ctx, quote.transport + 2, &SMTP.to_be_bytes())?;
    if let Some(before) = tcp_checksum {
        let after = mended(before, address_sum(quote.target) + old, address_sum(remote) + new);
        gained += difference(word(before), word(after));
        store(ctx, quote.transport + 16, &after)?;
    }
    if icmp.is_ipv6 {
        store(ctx, quote.network + 24, &remote.words())?;
    } else {
        let before: [u8; 2] = load(ctx, quote.network + 10)?;
        let after = mended(before, address_sum(quote.target), address_sum(remote));
        gained += difference(word(before), word(after));
        store(ctx, quote.network + 10, &after)?;
        store(ctx, quote.network + 16, &remote.ipv4_octets())?;
    }
    if source == quote.target {
        if icmp.is_ipv6 {
            // Part of the pseudo-header (RFC 4443 section 2.3).
            gained += address;
            store(ctx, icmp.network + 8, &remote.words())?;
        } else {
            let before: [u8; 2] = load(ctx, icmp.network + 10)?;
            let after = mended(before, address_sum(quote.target), address_sum(remote));
            store(ctx, icmp.network + 10, &after)?;
            store(ctx, icmp.network + 12, &remote.ipv4_octets())?;
        }
    }
    store(ctx, icmp.transport + 2, &mended(checksum, 0, gained))
}

#[inline(always)]
fn source(frame: &Linear, icmp: &Icmp) -> Option<Address> {
    if icmp.is_ipv6 {
        Some(Address::ipv6(frame.read(icmp.network + 8)?, frame.read(icmp.network + 16)?))
    } else {
        Some(Address::ipv4(frame.read(icmp.network + 12)?))
    }
}

#[inline(always)]
fn word(octets: [u8; 2]) -> u64 {
    u64::from(u16::from_ne_bytes(octets))
}
