//! Ethernet, tags, `PPPoE`, IPv4, IPv6, TCP: a walk that only goes forward and says what it found.
//!
//! What is certainly not TCP to port 25 is [`Parsed::NotSmtp`]; what could be but cannot be read is
//! [`Parsed::Malformed`]; all else is a [`Segment`]. Reads end with the frame and with the IP packet, whichever is first.

use crate::address::Address;
use crate::frame::Bytes;
use crate::verdict::{Direction, Family};

mod found;

pub use found::{Egress, Icmp, Parsed, Return, Road, Segment};

/// SMTP's port, RFC 5321 section 4.5.4.2.
pub const SMTP: u16 = 25;

/// 802.1Q, 802.1ad and the older `QinQ` `EtherType`; like those below, as it lies in a frame.
const TAGS: [u16; 3] = [0x8100_u16.to_be(), 0x88a8_u16.to_be(), 0x9100_u16.to_be()];
const MAX_TAGS: usize = 4;
/// The longest link header that is read: Ethernet, tags, `PPPoE` with a PPP protocol of two octets. What lies behind so
/// many octets has no part in finding the network header.
pub const LINK_HEADERS: usize = 14 + 4 * MAX_TAGS + 8;
const IPV4: u16 = 0x0800_u16.to_be();
const IPV6: u16 = 0x86dd_u16.to_be();
/// `PPPoE` session stage, RFC 2516 section 6.
const PPPOE: u16 = 0x8864_u16.to_be();
/// PPP protocol numbers, RFC 1332 and RFC 5072.
const PPP_IPV4: u16 = 0x0021;
const PPP_IPV6: u16 = 0x0057;

/// TCP's protocol number.
pub const TCP: u8 = 6;
/// ICMP's protocol number.
pub const ICMP: u8 = 1;
/// `ICMPv6`'s protocol number.
pub const ICMPV6: u8 = 58;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;
const MOBILITY: u8 = 135;
const HIP: u8 = 139;
const SHIM6: u8 = 140;
/// IPv6 extension headers walked; a longer chain is malformed.
const MAX_EXTENSIONS: usize = 8;

/// There is no `PPPoE` header. (Not an `Option`, see [`Parsed::Malformed`].)
pub const NO_PPPOE: usize = 0;

/// No header begins behind this: tags, `PPPoE` and eight extension headers of 2,048 octets are less.
const MAX_OFFSET: u64 = 0x7fff;

/// The end of a packet whose length field is 0: the frame alone bounds it.
pub const OPEN: usize = 0x1_ffff;

/// Walks a frame.
#[inline(always)]
pub fn parse<B: Bytes + ?Sized, R: Road>(frame: &B, road: &R) -> Parsed {
    let Some(field) = frame.read(12) else { return Parsed::NotSmtp(Family::Other) };
    let mut ethertype = u16::from_ne_bytes(field);
    let mut at = 14;
    // Most frames have no tags, and are spared the comparisons.
    if ethertype != IPV4 && ethertype != IPV6 {
        for _ in 0..MAX_TAGS {
            if !TAGS.contains(&ethertype) {
                break;
            }
            let Some(field) = frame.read(at + 2) else { return Parsed::NotSmtp(Family::Other) };
            ethertype = u16::from_ne_bytes(field);
            at += 4;
        }
        at = frame.forget(at as u64, 0x1f) as usize;
    }
    match ethertype {
        IPV4 => ipv4(frame, road, at, NO_PPPOE),
        IPV6 => ipv6(frame, road, at, NO_PPPOE),
        PPPOE => pppoe(frame, road, at),
        _ if TAGS.contains(&ethertype) => unreadable(Family::Other),
        _ => Parsed::NotSmtp(Family::Other),
    }
}

/// Malformed before the source address.
#[inline(always)]
const fn unreadable(family: Family) -> Parsed {
    Parsed::Malformed { family, subscriber: Address::ipv6([0; 8], [0; 8]), known: false }
}

/// Malformed, perhaps behind the subscriber's address.
#[inline(always)]
fn malformed<B: Bytes + ?Sized, R: Road>(frame: &B, at: usize, family: Family) -> Parsed {
    match address(frame, at, family, R::DIRECTION) {
        Some(subscriber) => Parsed::Malformed { family, subscriber, known: true },
        None => unreadable(family),
    }
}

/// An address of the IP header at `at`: the sender's, where `whose` is [`Direction::Egress`], or else the receiver's. It is
/// read where it is wanted, for most packets are of no interest.
#[inline(always)]
fn address<B: Bytes + ?Sized>(frame: &B, at: usize, family: Family, whose: Direction) -> Option<Address> {
    let sender = matches!(whose, Direction::Egress);
    if matches!(family, Family::Ipv4) {
        frame.read(at + if sender { 12 } else { 16 }).map(Address::ipv4)
    } else {
        let at = at + if sender { 8 } else { 24 };
        Some(Address::ipv6(frame.read(at)?, frame.read(at + 8)?))
    }
}

/// RFC 2516 section 4: six octets, then the PPP protocol, in one octet where its lowest bit is set (RFC 1661 section 2).
#[inline(always)]
fn pppoe<B: Bytes + ?Sized, R: Road>(frame: &B, road: &R, header: usize) -> Parsed {
    let at = header + 6;
    let (protocol, at) = match frame.read(at) {
        Some([short]) if short & 1 == 1 => (u16::from(short), at + 1),
        _ => match frame.read(at) {
            Some(long) => (u16::from_be_bytes(long), at + 2),
            None => return Parsed::NotSmtp(Family::Other),
        },
    };
    let at = frame.forget(at as u64, 0x3f) as usize;
    match protocol {
        PPP_IPV4 => ipv4(frame, road, at, header),
        PPP_IPV6 => ipv6(frame, road, at, header),
        _ => Parsed::NotSmtp(Family::Other),
    }
}

/// RFC 791 section 3.1.
#[inline(always)]
fn ipv4<B: Bytes + ?Sized, R: Road>(frame: &B, road: &R, at: usize, pppoe: usize) -> Parsed {
    let not_smtp = Parsed::NotSmtp(Family::Ipv4);
    let Some(header) = frame.read::<20>(at) else { return ipv4_cut::<B, R>(frame, at) };
    if header[0] >> 4 != 4 {
        return malformed::<B, R>(frame, at, Family::Ipv4);
    }
    let fragment = u16::from_be_bytes([header[6], header[7]]);
    let header_length = usize::from(header[0] & 0xf) * 4;
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let (transport, end) = (at + header_length, if length == 0 { OPEN } else { at + length });
    if is_icmp::<R>(header[9], ICMP) && fragment.trailing_zeros() >= 14 {
        return Parsed::Icmp(Icmp { network: at, transport, end, is_ipv6: false });
    }
    if header[9] != TCP || fragment & 0x1fff != 0 {
        return not_smtp;
    }
    if header_length < 20 {
        return malformed::<B, R>(frame, at, Family::Ipv4);
    }
    let fragment = fragment & 0x2000 != 0;
    tcp(frame, road, Place { pppoe, network: at, transport, end, fragment }, Family::Ipv4)
}

/// The frame ends inside the IPv4 header: what is left of it may still tell that this is not TCP.
#[inline(always)]
fn ipv4_cut<B: Bytes + ?Sized, R: Road>(frame: &B, at: usize) -> Parsed {
    let right_version = !matches!(frame.read(at), Some([first]) if first >> 4 != 4);
    let later_fragment = frame.read(at + 6).is_some_and(|field| u16::from_be_bytes(field) & 0x1fff != 0);
    let other_protocol = matches!(frame.read(at + 9), Some([protocol]) if protocol != TCP);
    if right_version && (later_fragment || other_protocol) {
        return Parsed::NotSmtp(Family::Ipv4);
    }
    malformed::<B, R>(frame, at, Family::Ipv4)
}

/// RFC 8200 sections 3 and 4.
#[inline(always)]
fn ipv6<B: Bytes + ?Sized, R: Road>(frame: &B, road: &R, at: usize, pppoe: usize) -> Parsed {
    let not_smtp = Parsed::NotSmtp(Family::Ipv6);
    let Some(header) = frame.read::<40>(at) else { return ipv6_cut::<B, R>(frame, at) };
    if header[0] >> 4 != 6 {
        return malformed::<B, R>(frame, at, Family::Ipv6);
    }
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let end = if length == 0 { OPEN } else { at + 40 + length };
    let mut place = Place { pppoe, network: at, transport: at + 40, end, fragment: false };
    let mut next = header[6];
    for _ in 0..MAX_EXTENSIONS {
        if next == TCP || !is_extension(next) {
            break;
        }
        let here = place.transport;
        if here + 4 > place.end {
            return malformed::<B, R>(frame, at, Family::Ipv6);
        }
        let Some([following, units, high, low]) = frame.read(here) else {
            return malformed::<B, R>(frame, at, Family::Ipv6);
        };
        let length = match next {
            FRAGMENT => {
                let field = u16::from_be_bytes([high, low]);
                if field >> 3 != 0 {
                    return not_smtp;
                }
                place.fragment |= field & 1 != 0;
                8
            }
            AUTHENTICATION => (usize::from(units) + 2) * 4,
            _ => (usize::from(units) + 1) * 8,
        };
        place.transport = frame.forget((here + length) as u64, MAX_OFFSET) as usize;
        place.end = frame.forget(place.end as u64, OPEN as u64) as usize;
        next = following;
    }
    match next {
        TCP => tcp(frame, road, place, Family::Ipv6),
        _ if is_icmp::<R>(next, ICMPV6) && !place.fragment => {
            Parsed::Icmp(Icmp { network: at, transport: place.transport, end: place.end, is_ipv6: true })
        }
        _ if is_extension(next) => malformed::<B, R>(frame, at, Family::Ipv6),
        _ => not_smtp,
    }
}

/// The frame ends inside the IPv6 header.
#[inline(always)]
fn ipv6_cut<B: Bytes + ?Sized, R: Road>(frame: &B, at: usize) -> Parsed {
    let right_version = !matches!(frame.read(at), Some([first]) if first >> 4 != 6);
    let other_protocol = matches!(frame.read(at + 6), Some([next]) if next != TCP && !is_extension(next));
    if right_version && other_protocol {
        return Parsed::NotSmtp(Family::Ipv6);
    }
    malformed::<B, R>(frame, at, Family::Ipv6)
}

#[inline(always)]
const fn is_icmp<R: Road>(protocol: u8, icmp: u8) -> bool {
    matches!(R::DIRECTION, Direction::Return) && protocol == icmp
}

/// Headers that say in their first octet what follows them (IANA, IPv6 Extension Header Types, but ESP, which hides it).
#[inline(always)]
const fn is_extension(next: u8) -> bool {
    matches!(
        next,
        HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS | MOBILITY | HIP | SHIM6
    )
}

/// As in [`Segment`].
struct Place {
    pppoe: usize,
    network: usize,
    transport: usize,
    end: usize,
    fragment: bool,
}

/// The ports, RFC 9293 section 3.1; malformed where they are beyond the packet.
#[inline(always)]
fn tcp<B: Bytes + ?Sized, R: Road>(frame: &B, road: &R, place: Place, family: Family) -> Parsed {
    let Place { pppoe, network, transport, end, fragment } = place;
    let ports = if transport + 4 > end { None } else { frame.read::<4>(transport) };
    let Some([a, b, c, d]) = ports else { return malformed::<B, R>(frame, network, family) };
    let (source, destination) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let (subscriber_port, remote_port, other) = match R::DIRECTION {
        Direction::Egress => (source, destination, Direction::Return),
        Direction::Return => (destination, source, Direction::Egress),
    };
    if !road.concerns(remote_port) {
        return Parsed::NotSmtp(family);
    }
    let addresses = (address(frame, network, family, R::DIRECTION), address(frame, network, family, other));
    // Both are there, for the ports are.
    let (Some(subscriber), Some(remote)) = addresses else { return unreadable(family) };
    Parsed::Smtp(Segment {
        subscriber,
        remote,
        subscriber_port,
        remote_port,
        pppoe,
        network,
        transport,
        end,
        fragment,
    })
}
