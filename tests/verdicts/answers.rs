//! The RST that the program makes, dissected by a parser of somebody else's: RFC 9293 section 3.10.7.1 and the frame
//! around it.

use crate::bench::Bench;
use crate::frames::{STRANGER, STRANGER_V6, WEST, WEST_V6, ipv4, ipv6};
use etherparse::{IpHeaders, SlicedPacket, TcpHeader, TransportSlice};
use gate25::datapath::testrun::Code;
use gate25_common::verdict::Action;
use gate25_tests::packet::{ACK, Extension, FIN, Ipv4, Ipv6, Link, PSH, Payload, Ppp, SYN, Tcp};
use std::net::IpAddr;

/// What differs from answer to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    from: (IpAddr, u16),
    to: (IpAddr, u16),
    sequence: u32,
    acknowledgement: u32,
    acknowledges: bool,
}

/// Reads an IP packet that must be a RST with all that every RST has.
pub(crate) fn dissect(packet: &[u8]) -> Answer {
    let (headers, payload) = IpHeaders::from_slice(packet).expect("an IP packet");
    let (tcp, rest) = TcpHeader::from_slice(payload.payload).expect("a TCP header");
    let (from, to, sum) = match headers {
        IpHeaders::Ipv4(ip, extensions) => {
            assert_eq!(packet.len(), 40, "the IPv4 packet's length");
            assert_eq!((usize::from(ip.total_len), ip.header_len()), (40, 20), "total length, header length");
            assert_eq!(ip.time_to_live, 64, "time to live");
            assert_eq!(ip.header_checksum, ip.calc_header_checksum(), "the header's checksum");
            assert!(!ip.is_fragmenting_payload() && extensions.is_empty(), "no fragment, no extension");
            let sum = tcp.calc_checksum_ipv4(&ip, rest).expect("a sum");
            (IpAddr::from(ip.source), IpAddr::from(ip.destination), sum)
        }
        IpHeaders::Ipv6(ip, extensions) => {
            assert_eq!((packet.len(), ip.payload_length), (60, 20), "the IPv6 packet's length");
            assert_eq!((ip.next_header.0, ip.hop_limit), (6, 64), "next header, hop limit");
            assert!(extensions.is_empty(), "no extension");
            let sum = tcp.calc_checksum_ipv6(&ip, rest).expect("a sum");
            (IpAddr::from(ip.source), IpAddr::from(ip.destination), sum)
        }
    };
    assert_eq!(tcp.checksum, sum, "the TCP checksum");
    assert!(rest.is_empty() && tcp.options.is_empty(), "nothing behind the header");
    assert!(
        tcp.rst && !(tcp.syn || tcp.fin || tcp.psh || tcp.urg || tcp.ece || tcp.cwr || tcp.ns),
        "flags {tcp:?}"
    );
    assert_eq!((tcp.window_size, tcp.urgent_pointer), (0, 0), "window, urgent pointer");
    Answer {
        from: (from, tcp.source_port),
        to: (to, tcp.destination_port),
        sequence: tcp.sequence_number,
        acknowledgement: tcp.acknowledgment_number,
        acknowledges: tcp.ack,
    }
}

/// What RFC 9293 section 3.10.7.1 says of a segment to a closed port.
fn wanted(from: IpAddr, to: IpAddr, tcp: &Tcp) -> Answer {
    let acknowledges = tcp.flags & ACK == 0;
    let length = tcp.payload.len() as u32
        + [SYN, FIN].map(|flag| u32::from(tcp.flags & flag != 0)).iter().sum::<u32>();
    Answer {
        from: (to, tcp.destination),
        to: (from, tcp.source),
        sequence: if acknowledges { 0 } else { tcp.acknowledgement },
        acknowledgement: if acknowledges { tcp.sequence.wrapping_add(length) } else { 0 },
        acknowledges,
    }
}

fn links() -> Vec<(&'static str, Link)> {
    let qinq = || Link::new().tag(0x88a8, 0x2123).tag(0x8100, 0xe456);
    let mut links = vec![("ethernet", Link::new()), ("a tag", Link::new().tag(0x8100, 7)), ("QinQ", qinq())];
    links.push(("an old QinQ", Link::new().tag(0x9100, 8).tag(0x9100, 9)));
    links.push(("four tags", Link::new().tags(0x8100, 4)));
    for (name, ppp) in [("PPPoE", Ppp::Long), ("PPPoE, one octet", Ppp::Short)] {
        links.push((name, Link::new().pppoe(ppp)));
        links.push((name, Link::new().tag(0x8100, 7).pppoe(ppp)));
        links.push((name, qinq().pppoe(ppp)));
        links.push((name, Link::new().tags(0x88a8, 4).pppoe(ppp)));
    }
    links
}

fn segments() -> Vec<Tcp> {
    let of = |flags| Tcp::new(0xfedc, 25, flags);
    vec![
        of(SYN),
        of(SYN).options([2, 4, 5, 0xb4, 1, 1, 4, 2]),
        of(SYN).options([1; 40]),
        of(SYN).payload(*b"fast open"),
        of(SYN).options([1; 12]).payload([7; 333]),
        of(ACK),
        of(ACK | PSH).payload(*b"EHLO client.example\r\n"),
        of(ACK | PSH).options([1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8]).payload([0xff; 1200]),
        of(FIN),
        of(FIN).payload(*b"QUIT\r\n"),
        of(FIN | ACK),
        of(SYN | ACK),
        of(SYN | FIN),
        of(0),
        of(PSH).payload([1; 5]),
        Tcp { sequence: u32::MAX, ..of(SYN) },
        Tcp { sequence: u32::MAX - 3, ..of(SYN | FIN).payload([9; 100]) },
        Tcp { acknowledgement: u32::MAX, ..of(ACK) },
        Tcp { source: 1, acknowledgement: 0x0102_0304, ..of(SYN) },
    ]
}

fn packets(tcp: &Tcp) -> Vec<(&'static str, Payload, Answer)> {
    let (v4, v6) =
        (wanted(WEST.into(), STRANGER.into(), tcp), wanted(WEST_V6.into(), STRANGER_V6.into(), tcp));
    let chain = [Extension::hop_by_hop(), Extension::sized(60, 3), Extension::authentication(5)];
    let longest = vec![Extension::sized(43, 1); 8];
    vec![
        ("IPv4", ipv4(tcp).into(), v4),
        ("IPv4 with options", Ipv4 { options: vec![1; 24], ..ipv4(tcp) }.into(), v4),
        ("IPv4 of length 0", Ipv4 { total_length: Some(0), ..ipv4(tcp) }.into(), v4),
        ("IPv6", ipv6(tcp).into(), v6),
        ("IPv6 with a chain", ipv6(tcp).with(chain).into(), v6),
        ("IPv6 with the longest chain", ipv6(tcp).with(longest).into(), v6),
        ("IPv6 of length 0", Ipv6 { payload_length: Some(0), ..ipv6(tcp) }.into(), v6),
    ]
}

/// Runs each packet in each link header, and hands over what came of it: the answer and the packet without their link
/// headers, and what a RST would have to say.
pub(crate) fn every(bench: &mut Bench, action: Action, mut check: impl FnMut(&str, &[u8], &[u8], Answer)) {
    let mut answered = 0;
    for (link_name, link) in links() {
        for tcp in segments() {
            for (name, packet, expected) in packets(&tcp) {
                for padding in [0, 6] {
                    let octets = packet.octets.clone();
                    let mut frame = link.carry(packet.clone());
                    let header = frame.len() - octets.len();
                    // Behind a packet of length 0 it would be payload.
                    let open = name.ends_with("of length 0");
                    frame.extend(vec![0xee; if open { 0 } else { padding }]);
                    let run = bench.program(&frame);
                    let case = format!("{link_name}, {name}, {tcp:?}, padding {padding}");
                    let done = run.verdict.map(|verdict| verdict.action);
                    assert_eq!((run.code, done), (Code::Tx, Some(action)), "{case}");
                    let ip = run.frame.get(header..).unwrap_or_default();
                    assert_eq!(run.frame[..header], returned(&frame[..header], ip.len()), "{case}");
                    check(&case, ip, &octets, expected);
                    answered += 1;
                }
            }
        }
    }
    assert!(answered > 3_000, "{answered} answers");
}

/// The link header of the answer: back to the sender, everything else as it was, but for the PPPoE length.
fn returned(header: &[u8], ip_length: usize) -> Vec<u8> {
    let mut back = [&header[6..12], &header[..6], &header[12..]].concat();
    // A session's EtherType, and version and type behind it, occur nowhere else in these headers.
    if let Some(at) = back.windows(3).position(|octets| octets == [0x88, 0x64, 0x11]) {
        let protocol = back.len() - (at + 8);
        back[at + 6..at + 8].copy_from_slice(&((protocol + ip_length) as u16).to_be_bytes());
    }
    back
}

#[test]
fn every_reset() {
    every(&mut Bench::main(), Action::Reset, |case, ip, _, expected| {
        assert_eq!(dissect(ip), expected, "{case}");
    });
}

/// The whole frame through etherparse, where it knows the encapsulation.
#[test]
fn as_others_read_it() {
    let mut bench = Bench::main();
    for (name, link) in links().into_iter().take(4) {
        let tcp = Tcp::new(40_000, 25, SYN);
        for payload in [Payload::from(ipv4(&tcp)), ipv6(&tcp).into()] {
            let run = bench.program(&link.carry(payload));
            let sliced = SlicedPacket::from_ethernet(&run.frame).expect("a frame");
            let ethernet = sliced
                .link
                .as_ref()
                .and_then(etherparse::LinkSlice::to_header)
                .and_then(etherparse::LinkHeader::ethernet2);
            let ethernet = ethernet.expect("Ethernet II");
            assert_eq!((ethernet.source, ethernet.destination), (Link::GATEWAY, Link::SUBSCRIBER), "{name}");
            let Some(TransportSlice::Tcp(answer)) = sliced.transport else { panic!("{name}: no TCP") };
            assert!(answer.rst() && answer.ack() && answer.payload().is_empty(), "{name}");
            assert_eq!((answer.source_port(), answer.destination_port()), (25, 40_000), "{name}");
            assert_eq!(answer.acknowledgment_number(), tcp.sequence.wrapping_add(1), "{name}");
        }
    }
}

/// A frame of several buffers is cut as well.
#[test]
fn cut_from_several_buffers() {
    let mut bench = Bench::main();
    for padding in [3_000, 4_000, 10_000, 60_000] {
        let tcp = Tcp::new(40_000, 25, ACK).payload([3; 77]);
        let frame = [Link::new().carry(ipv4(&tcp)), vec![0xee; padding]].concat();
        let run = bench.program(&frame);
        assert_eq!((run.code, run.frame.len()), (Code::Tx, 54), "{padding}");
        assert_eq!(dissect(&run.frame[14..]), wanted(WEST.into(), STRANGER.into(), &tcp), "{padding}");
    }
}
