//! The quick road for lists: a line that is a prefix as most are written, straight from its octets.

use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The prefix that the first line is, with white space or a comment behind it at most, and how many octets the line takes.
/// What is not read here may be right all the same, or have its own mistake: [`super::parse`] knows.
#[must_use]
pub fn line(octets: &[u8]) -> Option<(IpNetwork, usize)> {
    let mut at = 0;
    let prefix = if let Some(address) = ipv4(octets, &mut at) {
        let length = length(octets, &mut at, 32)?;
        let host_bits = address.checked_shl(length.into()).unwrap_or(0);
        (host_bits == 0).then_some(())?;
        IpNetwork::V4(Ipv4Network::new(Ipv4Addr::from_bits(address), length).ok()?)
    } else {
        at = 0;
        let address = ipv6(octets, &mut at)?;
        let length = length(octets, &mut at, 128)?;
        let host_bits = address.checked_shl(length.into()).unwrap_or(0);
        // An IPv4-mapped address, mostly a mistake, is not for here.
        (host_bits == 0 && address >> 32 != 0xffff).then_some(())?;
        IpNetwork::V6(Ipv6Network::new(Ipv6Addr::from_bits(address), length).ok()?)
    };
    Some((prefix, end(octets, at)?))
}

/// Four numbers with dots between.
fn ipv4(octets: &[u8], at: &mut usize) -> Option<u32> {
    let mut address = number(octets, at, 255)?;
    for _ in 0..3 {
        (octets.get(*at) == Some(&b'.')).then_some(())?;
        *at += 1;
        address = address << 8 | number(octets, at, 255)?;
    }
    Some(address)
}

/// Up to eight groups in hexadecimal with colons between, or two colons once for groups of zeros.
fn ipv6(octets: &[u8], at: &mut usize) -> Option<u128> {
    let (mut address, mut groups, mut zeros_from) = (0_u128, 0, None);
    while groups < 8 {
        if octets[*at..].starts_with(b"::") {
            if zeros_from.replace(groups).is_some() {
                return None;
            }
            *at += 2;
        } else if groups > 0 {
            if octets.get(*at) != Some(&b':') {
                break;
            }
            *at += 1;
        }
        match group(octets, at) {
            Some(group) => address = address << 16 | u128::from(group),
            None if zeros_from == Some(groups) => break,
            None => return None,
        }
        groups += 1;
    }
    match zeros_from {
        None => (groups == 8).then_some(address),
        Some(from) if groups < 8 => {
            let behind = 16 * (groups - from);
            let low = address & ((1 << behind) - 1);
            let high = address.checked_shr(behind).unwrap_or(0);
            Some(high.checked_shl(128 - 16 * from).unwrap_or(0) | low)
        }
        Some(_) => None,
    }
}

/// One to four hexadecimal digits; otherwise nothing is taken.
fn group(octets: &[u8], at: &mut usize) -> Option<u16> {
    let (begin, mut group) = (*at, 0_u32);
    while let Some(digit) = octets.get(*at).and_then(|octet| char::from(*octet).to_digit(16)) {
        group = group << 4 | digit;
        *at += 1;
    }
    if !(1..=4).contains(&(*at - begin)) {
        *at = begin;
        return None;
    }
    Some(group as u16)
}

/// What stands behind a slash, or all `bits` where there is none.
fn length(octets: &[u8], at: &mut usize, bits: u8) -> Option<u8> {
    if octets.get(*at) != Some(&b'/') {
        return Some(bits);
    }
    *at += 1;
    number(octets, at, bits.into()).map(|length| length as u8)
}

/// A decimal number up to `most`, without leading zeros.
fn number(octets: &[u8], at: &mut usize, most: u32) -> Option<u32> {
    let digit = |at: usize| octets.get(at).filter(|octet| octet.is_ascii_digit()).map(|octet| octet - b'0');
    let mut number = u32::from(digit(*at)?);
    *at += 1;
    while let Some(digit) = digit(*at) {
        let is_small = number != 0 && number <= most;
        number = is_small.then_some(number * 10 + u32::from(digit))?;
        *at += 1;
    }
    (number <= most).then_some(number)
}

/// Where the next line begins, if there is nothing more on this one but white space and a comment.
fn end(octets: &[u8], mut at: usize) -> Option<usize> {
    while matches!(octets.get(at), Some(b' ' | b'\t' | b'\r')) {
        at += 1;
    }
    match octets.get(at) {
        None => Some(at),
        Some(b'\n') => Some(at + 1),
        Some(b'#') => {
            let newline = octets[at..].iter().position(|octet| *octet == b'\n');
            Some(newline.map_or(octets.len(), |newline| at + newline + 1))
        }
        Some(_) => None,
    }
}
