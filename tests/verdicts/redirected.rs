//! What a redirect writes into a frame: another destination, and checksums as right, or as wrong, as they were.

use gate25_common::parse::Segment;
use gate25_tests::packet::protocol;
use std::net::{IpAddr, SocketAddr};

/// The frame must be the other one, with that destination in it.
pub(crate) fn dissect(frame: &[u8], rewritten: &[u8], segment: &Segment, target: SocketAddr) {
    let Segment { network, transport, .. } = *segment;
    let mut expected = frame.to_vec();
    match target.ip() {
        IpAddr::V4(address) => expected[network + 16..network + 20].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => expected[network + 24..network + 40].copy_from_slice(&address.octets()),
    }
    expected[transport + 2..transport + 4].copy_from_slice(&target.port().to_be_bytes());
    assert_eq!(residues(rewritten, segment), residues(frame, segment), "the checksums");
    // They are the only octets else that differ.
    let checksums = if target.is_ipv4() { vec![network + 10, transport + 16] } else { vec![transport + 16] };
    for at in checksums {
        expected[at..at + 2].copy_from_slice(&rewritten[at..at + 2]);
    }
    assert_eq!(rewritten, expected);
}

/// The sums over the IPv4 header, and over the segment with its pseudo-header; 0xffff where a checksum is right.
fn residues(frame: &[u8], segment: &Segment) -> [u16; 2] {
    let Segment { network, transport, .. } = *segment;
    let tcp = &frame[transport..segment.end.min(frame.len())];
    let (header, addresses) = if segment.subscriber.is_ipv6() {
        (&[][..], &frame[network + 8..network + 40])
    } else {
        (&frame[network..transport], &frame[network + 12..network + 20])
    };
    let length = (tcp.len() as u32).to_be_bytes();
    let pseudo = [addresses, &length, &[0, 0, 0, protocol::TCP], tcp].concat();
    [header, &pseudo].map(residue)
}

/// RFC 1071 section 1.
fn residue(octets: &[u8]) -> u16 {
    let words =
        octets.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
