//! The ICMP errors that the program makes, dissected by a parser of somebody else's: RFC 1812 sections 4.3.2 and 5.2.7.1,
//! RFC 4443 section 3.1, and the frame around them.

use crate::answers::every;
use crate::bench::{Bench, row};
use crate::expect::icmp;
use crate::frames::{WEST, WEST_V6, ipv4, ipv6, plain, syn};
use crate::tcp::answered_and_not;
use etherparse::{Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type, IpHeaders, icmpv4, icmpv6};
use gate25_common::verdict::Action;
use gate25_common::verdict::Reason::Default;
use gate25_tests::packet::{Tcp, protocol};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a test-run calls itself: RFC 7600 section 6, RFC 6666.
const NOBODY: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 8);
const NOBODY_V6: Ipv6Addr = Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1);

const POLICY: &str = r#"
version: 1
zones:
  - {id: west, subscribers: ["203.0.113.0/24", "2001:db8:100::/40"], mode: enforce, action: icmp}
  - {id: watch, subscribers: ["198.18.0.0/16"], action: icmp}
"#;

/// Reads an IP packet that must be the error about `original`, which begins with its IP header and ends with its packet.
pub(crate) fn dissect(packet: &[u8], original: &[u8], subscriber: IpAddr) {
    let (headers, rest) = IpHeaders::from_slice(packet).expect("an IP packet");
    let (destination, quote, most) = match headers {
        IpHeaders::Ipv4(ip, extensions) => {
            assert_eq!((usize::from(ip.total_len), ip.header_len()), (packet.len(), 20), "lengths");
            assert_eq!((ip.time_to_live, ip.protocol.0), (64, protocol::ICMP), "time to live, protocol");
            assert_eq!(ip.header_checksum, ip.calc_header_checksum(), "the header's checksum");
            assert!(!ip.is_fragmenting_payload() && extensions.is_empty(), "no fragment, no extension");
            // Internetwork control, RFC 1812 section 4.3.2.5.
            assert_eq!((ip.dscp.value(), ip.ecn.value()), (48, 0), "precedence");
            assert_eq!(Ipv4Addr::from(ip.source), NOBODY, "the gateway's own address");
            let (icmp, quote) = Icmpv4Header::from_slice(rest.payload).expect("an ICMP message");
            let prohibited = icmpv4::DestUnreachableHeader::FilterProhibited;
            assert_eq!(icmp.icmp_type, Icmpv4Type::DestinationUnreachable(prohibited));
            assert_eq!(icmp.checksum, icmp.icmp_type.calc_checksum(quote), "the message's checksum");
            (IpAddr::from(ip.destination), quote, 576 - 28)
        }
        IpHeaders::Ipv6(ip, extensions) => {
            assert_eq!(usize::from(ip.payload_length) + 40, packet.len(), "payload length");
            assert_eq!((ip.hop_limit, ip.next_header.0), (64, protocol::ICMPV6), "hop limit, next header");
            assert!(extensions.is_empty(), "no extension");
            assert_eq!(Ipv6Addr::from(ip.source), NOBODY_V6, "the gateway's own address");
            let (icmp, quote) = Icmpv6Header::from_slice(rest.payload).expect("an ICMPv6 message");
            let prohibited = icmpv6::DestUnreachableCode::Prohibited;
            assert_eq!(icmp.icmp_type, Icmpv6Type::DestinationUnreachable(prohibited));
            let sum = icmp.icmp_type.calc_checksum(ip.source, ip.destination, quote).expect("a sum");
            assert_eq!(icmp.checksum, sum, "the message's checksum");
            (IpAddr::from(ip.destination), quote, 1280 - 48)
        }
    };
    assert_eq!(destination, subscriber, "to the subscriber");
    // As much of it as the least MTU has room for, RFC 1812 section 4.3.2.3, RFC 4443 section 2.4 (c).
    assert_eq!(quote, &original[..original.len().min(most)], "the quote");
}

#[test]
fn every_error() {
    every(&mut Bench::new(POLICY), Action::Icmp, |_, ip, original, _| {
        let subscriber = if original[0] >> 4 == 4 { WEST.into() } else { WEST_V6.into() };
        dissect(ip, original, subscriber);
    });
}

/// Quotes of each length about the longest.
#[test]
fn as_much_as_there_is_room_for() {
    let mut bench = Bench::new(POLICY);
    for length in (500..=520).chain(1_160..=1_180).chain([1_440]) {
        let tcp = Tcp::syn(40_000, 25).payload(vec![0xa5; length]);
        for (original, subscriber) in
            [(ipv4(&tcp).octets(), WEST.into()), (ipv6(&tcp).octets(), IpAddr::from(WEST_V6))]
        {
            let ethertype = if subscriber.is_ipv6() { 0x86dd } else { 0x0800 };
            let octets = original.clone();
            let run = bench.program(&plain(gate25_tests::packet::Payload { ethertype, octets }));
            assert_eq!(run.verdict.map(|verdict| verdict.action), Some(Action::Icmp), "{length} octets");
            dissect(&run.frame[14..], &original, subscriber);
        }
    }
}

#[test]
fn what_is_never_answered() {
    let mut rows = answered_and_not(icmp(Default, "west"));
    // A SYN that is not all there is quoted as far as it is.
    let cut = |frame: Vec<u8>| frame[..frame.len() - 1].to_vec();
    let with_options = || syn().options([1; 8]);
    rows.push(row("a SYN, options cut", cut(plain(ipv4(&with_options()))), icmp(Default, "west")));
    rows.push(row("a SYN, options cut, ipv6", cut(plain(ipv6(&with_options()))), icmp(Default, "west").v6()));
    let watched = |tcp: &Tcp| crate::frames::between("198.18.0.1", "9.9.9.9", tcp);
    rows.push(row("monitored", watched(&syn()), icmp(Default, "watch").monitored()));
    Bench::new(POLICY).check(rows);
}
