//! Ethernet II, tags, `PPPoE`, and frames that are neither or too short.

use super::{BLOCKED, RELAYED, answer, ipv4, ipv6, link, plain, relayed, relayed_v6};
use crate::bench::{Bench, Row, back};
use crate::expect::{malformed, not_smtp};
use gate25_common::verdict::Family;
use gate25_tests::packet::{Link, Payload, Ppp, Tcp, arp};

/// Behind a link header: a block, its nearest passes.
fn behind(name: &str, link: &Link) -> [Row; 6] {
    let other = Tcp { source: 26, ..answer() };
    [
        back(format!("{name}: blocked"), link.carry(ipv4(&answer())), BLOCKED),
        back(format!("{name}: blocked, ipv6"), link.carry(ipv6(&answer())), BLOCKED.v6()),
        back(format!("{name}: relay"), link.carry(relayed()), RELAYED),
        back(format!("{name}: relay, ipv6"), link.carry(relayed_v6()), RELAYED.v6()),
        back(format!("{name}: port 26"), link.carry(ipv4(&other)), not_smtp(Family::Ipv4)),
        back(format!("{name}: port 26, ipv6"), link.carry(ipv6(&other)), not_smtp(Family::Ipv6)),
    ]
}

#[test]
fn tags() {
    let mut rows = Vec::new();
    for tpid in [0x8100, 0x88a8, 0x9100] {
        for number in 0..=4 {
            rows.extend(behind(&format!("{number} tags {tpid:#x}"), &link().tags(tpid, number)));
        }
        for number in [5, 6, 9] {
            let (name, tags) = (format!("{number} tags {tpid:#x}"), link().tags(tpid, number));
            rows.push(back(format!("{name}: relay"), tags.carry(relayed()), malformed().other()));
            rows.push(back(format!("{name}: relay, ipv6"), tags.carry(relayed_v6()), malformed().other()));
        }
        let four = link().tags(tpid, 4).carry(arp());
        rows.push(back(format!("4 tags {tpid:#x}: arp"), four, not_smtp(Family::Other)));
    }
    rows.extend(behind("one of each kind", &link().tag(0x88a8, 1).tag(0x8100, 2).tag(0x9100, 0xffff)));
    Bench::main().check(rows);
}

#[test]
fn pppoe() {
    let mut rows = Vec::new();
    for ppp in [Ppp::Long, Ppp::Short] {
        for number in 0..=4 {
            rows.extend(behind(
                &format!("{ppp:?} in {number} tags"),
                &link().tags(0x8100, number).pppoe(ppp),
            ));
        }
        let five = link().tags(0x8100, 5).pppoe(ppp).carry(relayed());
        rows.push(back(format!("{ppp:?} in 5 tags"), five, malformed().other()));
        // Behind the PPP protocol there is an IP header, if one that is cut.
        let frame = link().pppoe(ppp).carry(ipv6(&answer()));
        let header = frame.len() - ipv6(&answer()).octets().len();
        for length in 14..header {
            let cut = frame[..length].to_vec();
            rows.push(back(format!("{ppp:?} cut to {length}"), cut, not_smtp(Family::Other)));
        }
        rows.push(back(format!("{ppp:?} cut behind it"), frame[..header].to_vec(), malformed().v6()));
    }
    let lcp = link().pppoe(Ppp::Long).carry(Payload { ethertype: 0, octets: vec![0; 50] });
    rows.push(back("lcp", lcp, not_smtp(Family::Other)));
    Bench::main().check(rows);
}

#[test]
fn other_types() {
    let mut rows = vec![back("arp", plain(arp()), not_smtp(Family::Other))];
    let ip = ipv4(&answer()).octets();
    // 802.3 by its length, with and without LLC; MPLS; numbers beside IP's.
    for ethertype in [0, 46, 1500, 0x05ff, 0x0801, 0x86dc, 0x8847] {
        for header in [&[][..], &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0]] {
            let frame = plain(Payload { ethertype, octets: [header, &ip].concat() });
            rows.push(back(format!("{ethertype:#x}, {header:?}"), frame, not_smtp(Family::Other)));
        }
    }
    for length in 14..=60 {
        rows.push(back(format!("{length} zeros"), vec![0; length], not_smtp(Family::Other)));
    }
    let tagged = link().tags(0x8100, 2).carry(relayed());
    for length in 14..22 {
        rows.push(back(format!("tags cut to {length}"), tagged[..length].to_vec(), not_smtp(Family::Other)));
    }
    rows.push(back("cut behind the tags", tagged[..22].to_vec(), malformed()));
    Bench::main().check(rows);
}
