//! Ethernet II, tags, `PPPoE`, and frames that are neither or too short.

use crate::bench::{Bench, Row, row};
use crate::expect::{malformed, not_smtp, relay, reset};
use crate::frames::{ipv4, ipv6, plain, relayed, relayed_v6, syn};
use gate25_common::frame::Bytes;
use gate25_common::parse::{Egress, Parsed, parse};
use gate25_common::verdict::Family;
use gate25_common::verdict::Reason::Default;
use gate25_tests::packet::{Link, Payload, Ppp, Tcp, arp};

const TPIDS: [u16; 3] = [0x8100, 0x88a8, 0x9100];

/// Behind a link header: a block, its nearest passes.
fn behind(name: &str, link: &Link) -> [Row; 6] {
    let other = Tcp::syn(40_000, 26);
    [
        row(format!("{name}: blocked"), link.carry(ipv4(&syn())), reset(Default, "west")),
        row(format!("{name}: blocked, ipv6"), link.carry(ipv6(&syn())), reset(Default, "west").v6()),
        row(format!("{name}: relay"), link.carry(relayed()), relay("west", "west-relay")),
        row(format!("{name}: relay, ipv6"), link.carry(relayed_v6()), relay("west", "west-relay").v6()),
        row(format!("{name}: port 26"), link.carry(ipv4(&other)), not_smtp(Family::Ipv4)),
        row(format!("{name}: port 26, ipv6"), link.carry(ipv6(&other)), not_smtp(Family::Ipv6)),
    ]
}

#[test]
fn tags() {
    let mut rows = Vec::new();
    for tpid in TPIDS {
        for number in 0..=4 {
            rows.extend(behind(&format!("{number} tags {tpid:#x}"), &Link::new().tags(tpid, number)));
        }
        for number in [5, 6, 9] {
            let link = Link::new().tags(tpid, number);
            let name = format!("{number} tags {tpid:#x}");
            rows.push(row(format!("{name}: relay"), link.carry(relayed()), malformed().other()));
            rows.push(row(format!("{name}: relay, ipv6"), link.carry(relayed_v6()), malformed().other()));
            rows.push(row(format!("{name}: arp"), link.carry(arp()), malformed().other()));
        }
        let four = Link::new().tags(tpid, 4);
        rows.push(row(format!("4 tags {tpid:#x}: arp"), four.carry(arp()), not_smtp(Family::Other)));
    }
    rows.extend(behind("one of each kind", &Link::new().tag(0x88a8, 1).tag(0x8100, 2).tag(0x9100, 0xffff)));
    rows.extend(behind("a tag of priority alone", &Link::new().tag(0x8100, 0xe000)));
    let mixed = Link::new().tag(0x88a8, 1).tag(0x8100, 2).tag(0x9100, 3).tag(0x8100, 4).tag(0x88a8, 5);
    rows.push(row("five of several kinds", mixed.carry(relayed()), malformed().other()));
    // Not a tag's number: nothing behind it is read.
    for tpid in [0x8101, 0x88a7, 0x9200, 0x9101] {
        rows.push(row(
            format!("{tpid:#x}"),
            Link::new().tag(tpid, 1).carry(ipv4(&syn())),
            not_smtp(Family::Other),
        ));
    }
    Bench::main().check(rows);
}

#[test]
fn pppoe() {
    let mut rows = Vec::new();
    for ppp in [Ppp::Long, Ppp::Short] {
        for number in 0..=4 {
            let link = Link::new().tags(0x8100, number).pppoe(ppp);
            rows.extend(behind(&format!("{ppp:?} in {number} tags"), &link));
        }
        rows.extend(behind(
            &format!("{ppp:?} in QinQ"),
            &Link::new().tag(0x88a8, 1).tag(0x8100, 2).pppoe(ppp),
        ));
        let five = Link::new().tags(0x8100, 5).pppoe(ppp);
        rows.push(row(format!("{ppp:?} in 5 tags"), five.carry(relayed()), malformed().other()));
    }
    // LCP, and what differs from IP's number in one octet.
    let lcp = Link::new().pppoe(Ppp::Long).carry(Payload { ethertype: 0, octets: vec![0; 50] });
    rows.push(row("lcp", lcp, not_smtp(Family::Other)));
    let frame = Link::new().pppoe(Ppp::Long).carry(ipv4(&syn()));
    for (at, octet) in [(20, 0x02), (20, 0x80), (21, 0x23), (21, 0x20), (21, 0x57 + 2)] {
        let mut other = frame.clone();
        other[at] = octet;
        rows.push(row(format!("octet {at} is {octet:#x}"), other, not_smtp(Family::Other)));
    }
    // Discovery is not a session.
    let mut discovery = frame.clone();
    discovery[13] = 0x63;
    rows.push(row("discovery", discovery, not_smtp(Family::Other)));
    // Cut before the PPP protocol there is no IP header; behind it there is one, cut.
    for length in 14..=21 {
        rows.push(row(format!("cut to {length}"), frame[..length].to_vec(), not_smtp(Family::Other)));
    }
    rows.push(row("cut behind the protocol", frame[..22].to_vec(), malformed()));
    let short = Link::new().pppoe(Ppp::Short).carry(ipv6(&syn()));
    rows.push(row("cut before a short protocol", short[..20].to_vec(), not_smtp(Family::Other)));
    rows.push(row("cut behind a short protocol", short[..21].to_vec(), malformed().v6()));
    Bench::main().check(rows);
}

#[test]
fn other_types() {
    let ip = ipv4(&syn()).octets();
    let mut rows = vec![row("arp", plain(arp()), not_smtp(Family::Other))];
    // MPLS, 802.1ah, MACsec, EAPOL, IEEE experimental, and numbers beside IP's.
    for ethertype in [0x8847, 0x8848, 0x88e7, 0x88e5, 0x888e, 0x88b5, 0x0801, 0x86dc, 0x0806, 0x0600, 0x6558]
    {
        let frame = plain(Payload { ethertype, octets: ip.clone() });
        rows.push(row(format!("{ethertype:#x}"), frame, not_smtp(Family::Other)));
    }
    // 802.3: a length, then LLC; SNAP even carries an EtherType. None of it is read.
    for length in [0, 46, 1500, 0x05ff] {
        let llc = [&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], ip.as_slice()].concat();
        rows.push(row(
            format!("802.3 of length {length}"),
            plain(Payload { ethertype: length, octets: llc }),
            not_smtp(Family::Other),
        ));
        rows.push(row(
            format!("802.3 of length {length}, bare"),
            plain(Payload { ethertype: length, octets: ip.clone() }),
            not_smtp(Family::Other),
        ));
    }
    Bench::main().check(rows);
}

/// Frames of 14 to 60 octets, of each kind: cut wherever a frame can be cut.
#[test]
fn short_frames() {
    let mut rows = Vec::new();
    for length in 14..=60 {
        let zeros = vec![0; length];
        rows.push(row(format!("{length} zeros"), zeros, not_smtp(Family::Other)));
        let arp = [plain(arp()), vec![0; 20]].concat();
        rows.push(row(format!("{length} octets of arp"), arp[..length].to_vec(), not_smtp(Family::Other)));
    }
    // A tag cut in two names no protocol.
    let tagged = Link::new().tag(0x8100, 1).tag(0x8100, 2).carry(relayed());
    for length in [14, 15, 16, 17, 18, 19, 20, 21] {
        rows.push(row(format!("tags cut to {length}"), tagged[..length].to_vec(), not_smtp(Family::Other)));
    }
    rows.push(row("cut behind the tags", tagged[..22].to_vec(), malformed()));
    Bench::main().check(rows);
}

/// The kernel takes no frame below 14 octets; the host engine passes them.
#[test]
fn below_the_header() {
    let frame = plain(ipv4(&syn()));
    for length in 0..14 {
        let cut = &frame[..length];
        assert_eq!(cut.length(), length);
        assert_eq!(parse(cut, &Egress), Parsed::NotSmtp(Family::Other), "{length} octets");
    }
}
