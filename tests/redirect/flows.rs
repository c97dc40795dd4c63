//! The life of a redirected connection, step by step: who may begin one, who may not, and what cannot push one out.

use crate::{Lab, remote};
use gate25::datapath::testrun::Code;
use gate25_common::abi::{FLOW_CAPACITY, HALF_FLOW_CAPACITY};
use gate25_common::verdict::{Action, Direction, FlowEvent, Reason};
use gate25_tests::packet::{ACK, FIN, Ipv4, Link, RST, SYN, Tcp};
use std::net::IpAddr;

#[test]
fn a_connection_is_redirected_from_its_syn_to_its_last_ack() {
    let mut lab = Lab::new();
    for (name, remote) in [("203.0.113.10", "198.51.100.7"), ("2001:db8:100::10", "2001:db8:bad::25")] {
        let client = lab.client(name, 40_000);
        let remote: IpAddr = remote.parse().expect("an address");
        lab.expect(client.sends(remote, SYN), Action::Notice, &[FlowEvent::Opened]);
        lab.hears(&client, SYN | ACK, remote, &[]);
        lab.expect(client.sends(remote, ACK), Action::Notice, &[FlowEvent::Established]);
        lab.hears(&client, ACK, remote, &[]);
        lab.hears(&client, FIN | ACK, remote, &[]);
        lab.expect(client.sends(remote, FIN | ACK), Action::Notice, &[]);
        lab.hears(&client, ACK, remote, &[]);
    }
}

#[test]
fn what_is_of_no_connection_is_dropped() {
    let mut lab = Lab::new();
    let client = lab.client("203.0.113.10", 40_001);
    for flags in [ACK, SYN | ACK, FIN | ACK, RST, RST | ACK, SYN | FIN, SYN | RST, 0] {
        lab.expect(client.sends(remote(7), flags), Action::Drop, &[FlowEvent::Stray]);
    }
    lab.expect(client.sends(remote(7), SYN), Action::Notice, &[FlowEvent::Opened]);
    lab.expect(client.sends(remote(8), ACK), Action::Drop, &[FlowEvent::Stray]);
    lab.expect(client.sends(remote(7), RST), Action::Notice, &[]);
}

#[test]
fn what_is_not_whole_or_not_to_one_is_dropped() {
    let mut lab = Lab::new();
    let (from, syn) = ([203, 0, 113, 10].into(), Tcp::syn(40_002, 25));
    let mut fragment = Ipv4::tcp(from, [198, 51, 100, 7].into(), &syn);
    fragment.fragment = Ipv4::MORE;
    let mut broadcast = Link::new();
    broadcast.destination = [0xff; 6];
    for frame in [
        Link::new().carry(fragment),
        Link::new().carry(Ipv4::tcp(from, [224, 0, 0, 5].into(), &syn)),
        broadcast.carry(Ipv4::tcp(from, [198, 51, 100, 7].into(), &syn)),
    ] {
        lab.expect(frame, Action::Drop, &[]);
    }
    lab.expect(
        Link::new().carry(Ipv4::tcp(from, [198, 51, 100, 7].into(), &syn)),
        Action::Notice,
        &[FlowEvent::Opened],
    );
}

#[test]
fn a_port_is_of_one_connection_at_a_time() {
    let mut lab = Lab::new();
    let client = lab.established("203.0.113.10", 40_003, remote(7));
    lab.expect(client.sends(remote(8), SYN), Action::Reset, &[FlowEvent::Conflict]);
    lab.hears(&client, ACK, remote(7), &[]);
    lab.expect(client.sends(remote(7), ACK), Action::Notice, &[]);
    // Half closed is not over.
    lab.expect(client.sends(remote(7), FIN | ACK), Action::Notice, &[]);
    lab.expect(client.sends(remote(8), SYN), Action::Reset, &[FlowEvent::Conflict]);
    lab.hears(&client, FIN | ACK, remote(7), &[]);
    lab.expect(client.sends(remote(8), SYN), Action::Notice, &[FlowEvent::Opened]);
    lab.hears(&client, SYN | ACK, remote(8), &[]);
    // A reset ends it at once, whoever sends it.
    lab.hears(&client, RST, remote(8), &[]);
    lab.expect(client.sends(remote(9), SYN), Action::Notice, &[FlowEvent::Opened]);
    lab.expect(client.sends(remote(9), RST), Action::Notice, &[]);
    lab.expect(client.sends(remote(7), SYN), Action::Notice, &[FlowEvent::Opened]);
    // Another port, another family, another subscriber.
    for (name, port) in [("203.0.113.10", 40_004), ("203.0.113.11", 40_003)] {
        let other = lab.client(name, port);
        lab.expect(other.sends(remote(8), SYN), Action::Notice, &[FlowEvent::Opened]);
    }
    let ipv6 = lab.client("2001:db8:100::10", 40_003);
    let [remote, neighbour] = ["2001:db8:bad::25", "2001:db8:bad::26"].map(|text| text.parse().expect("one"));
    lab.expect(ipv6.sends(remote, SYN), Action::Notice, &[FlowEvent::Opened]);
    lab.expect(ipv6.sends(neighbour, SYN), Action::Reset, &[FlowEvent::Conflict]);
}

#[test]
fn only_who_hears_the_answer_is_established() {
    let mut lab = Lab::new();
    let client = lab.client("203.0.113.10", 40_005);
    lab.expect(client.sends(remote(7), SYN), Action::Notice, &[FlowEvent::Opened]);
    lab.expect(client.sends(remote(7), ACK), Action::Notice, &[]);
    lab.hears(&client, SYN | ACK, remote(7), &[]);
    lab.expect(client.acknowledges(remote(7), 12_345), Action::Notice, &[]);
    lab.expect(client.sends(remote(7), SYN), Action::Notice, &[]);
    lab.expect(client.sends(remote(7), ACK), Action::Notice, &[FlowEvent::Established]);
    lab.expect(client.sends(remote(7), ACK), Action::Notice, &[]);
}

#[test]
fn a_flood_of_syns_pushes_out_no_established_connection() {
    let mut lab = Lab::new();
    let clients: Vec<_> =
        (0..500).map(|port| lab.established("203.0.113.10", 41_000 + port, remote(7))).collect();
    let forged = lab.client("203.0.113.10", 50_000);
    lab.run(forged.sends(remote(7), SYN));
    for number in 0..4 * HALF_FLOW_CAPACITY {
        let [_, high, middle, low] = number.to_be_bytes();
        let client = lab.client(
            &format!("203.0.113.{}", 16 + (low & 31)),
            u16::from_be_bytes([high << 3 | low >> 5, middle]),
        );
        lab.run(client.sends(remote(9), SYN));
    }
    assert_eq!(lab.run(forged.sends(remote(7), ACK)), Code::Drop, "the flood did not fill the table");
    for client in &clients {
        assert_eq!(lab.run(client.sends(remote(7), ACK)), Code::Pass, "pushed out");
    }
}

#[test]
fn a_full_table_resets_who_comes_too_late() {
    let mut lab = Lab::new();
    for number in 0..FLOW_CAPACITY {
        let port = (number % 60_000) as u16;
        lab.established(&format!("203.0.113.{}", 16 + number / 60_000), 1_000 + port % 60_000, remote(7));
    }
    assert_eq!(lab.events()[FlowEvent::Established as usize], u64::from(FLOW_CAPACITY));
    let client = lab.client("203.0.113.40", 40_006);
    lab.expect(client.sends(remote(7), SYN), Action::Notice, &[FlowEvent::Opened]);
    lab.hears(&client, SYN | ACK, remote(7), &[]);
    lab.expect(client.sends(remote(7), ACK), Action::Reset, &[FlowEvent::Full]);
    // One that closes makes room, whichever side begins.
    let [first, second] = [1_000, 1_001].map(|port| lab.client("203.0.113.16", port));
    lab.expect(first.sends(remote(7), FIN | ACK), Action::Notice, &[]);
    lab.established("203.0.113.40", 40_007, remote(7));
    lab.hears(&second, FIN | ACK, remote(7), &[]);
    lab.established("203.0.113.40", 40_008, remote(7));
    let events = lab.events();
    assert_eq!(events[FlowEvent::Established as usize], u64::from(FLOW_CAPACITY) + 2);
}

#[test]
fn a_target_that_does_not_answer_gives_way_to_resets() {
    let mut lab = Lab::new();
    let old = lab.established("203.0.113.10", 40_008, remote(7));
    lab.without_targets();
    let new = lab.client("203.0.113.10", 40_009);
    lab.expect(new.sends(remote(7), SYN), Action::Reset, &[]);
    lab.expect(new.sends(remote(7), ACK), Action::Reset, &[]);
    lab.expect(old.sends(remote(7), ACK), Action::Notice, &[]);
    lab.expect(old.sends(remote(7), SYN), Action::Reset, &[]);
    lab.with_targets();
    lab.expect(new.sends(remote(7), SYN), Action::Notice, &[FlowEvent::Opened]);
}

/// At the relay, a connection straight to it and a redirected one from the same port would be the same.
#[test]
fn a_connection_straight_to_the_relay_is_never_mixed_with_a_redirected_one() {
    let mut lab = Lab::new();
    let relay: IpAddr = "192.0.2.25".parse().expect("an address");
    let client = lab.client("203.0.113.80", 40_012);
    let neighbour = lab.client("203.0.113.80", 40_013);
    // Straight first: the redirected one is reset, until the first has ended.
    lab.passes_untouched(client.sends(relay, SYN), Action::None);
    lab.hears(&client, SYN | ACK, relay, &[]);
    lab.passes_untouched(client.sends(relay, ACK), Action::None);
    lab.expect(client.sends(remote(7), SYN), Action::Reset, &[FlowEvent::Conflict]);
    lab.expect(neighbour.sends(remote(7), SYN), Action::Relay, &[FlowEvent::Opened]);
    lab.passes_untouched(client.sends(relay, FIN | ACK), Action::None);
    lab.expect(client.sends(remote(7), SYN), Action::Reset, &[FlowEvent::Conflict]);
    lab.hears(&client, FIN | ACK, relay, &[]);
    lab.expect(client.sends(remote(7), SYN), Action::Relay, &[FlowEvent::Opened]);
    // Redirected first: what is approved passes, and the other hears nothing of its answers.
    let client = lab.established("203.0.113.80", 40_014, remote(7));
    lab.passes_untouched(client.sends(relay, SYN), Action::None);
    lab.hears(&client, SYN | ACK, relay, &[]);
    lab.expect(client.sends(remote(7), ACK), Action::Drop, &[FlowEvent::Stray]);
    // The relay's own answers meet the policy like those of any remote.
    let answer = Ipv4::tcp([192, 0, 2, 25].into(), [203, 0, 113, 80].into(), &Tcp::new(25, 40_014, ACK));
    let run = lab.runner.run(Direction::Return, &Link::new().carry(answer)).expect("a test-run");
    assert_eq!(run.verdict.map(|verdict| verdict.reason), Some(Reason::Relay));
    // An open one that is displaced is counted.
    let client = lab.established("203.0.113.80", 40_016, remote(7));
    let before = lab.events();
    lab.passes_untouched(client.sends(relay, SYN), Action::None);
    assert_eq!(lab.events()[FlowEvent::Conflict as usize], before[FlowEvent::Conflict as usize] + 1);
    // One that began before the gate did has no entry, and needs none.
    let old = lab.client("203.0.113.80", 40_015);
    lab.passes_untouched(old.sends(relay, ACK), Action::None);
    lab.hears(&old, ACK, relay, &[]);
}

/// Only what could be the same connection at the target is noted: the same address, and port 25.
#[test]
fn what_is_approved_elsewhere_takes_no_port() {
    let mut lab = Lab::new();
    let client = lab.client("203.0.113.80", 40_016);
    lab.passes_untouched(client.sends("192.0.2.77".parse().expect("one"), SYN), Action::None);
    lab.expect(client.sends(remote(7), SYN), Action::Relay, &[FlowEvent::Opened]);
    // In IPv6 connections are led to the relay's port 587.
    let client = lab.client("2001:db8:101::10", 40_016);
    lab.passes_untouched(client.sends("2001:db8:25::25".parse().expect("one"), SYN), Action::None);
    let stranger = "2001:db8:bad::25".parse().expect("one");
    lab.expect(client.sends(stranger, SYN), Action::Relay, &[FlowEvent::Opened]);
}

/// A SYN to the same remote from the same port: a retransmission, or another connection.
#[test]
fn a_port_is_used_again_for_the_same_remote() {
    let mut lab = Lab::new();
    let client = lab.established("203.0.113.10", 40_017, remote(7));
    lab.expect(client.sends(remote(7), SYN), Action::Notice, &[]);
    lab.expect(client.sends(remote(7), FIN | ACK), Action::Notice, &[]);
    lab.expect(client.sends(remote(7), SYN), Action::Notice, &[FlowEvent::Opened]);
    // Where the target is another now, established connections keep theirs, and a SYN goes to the new one.
    let old = lab.established("203.0.113.10", 40_018, remote(7));
    lab.move_targets(1);
    lab.expect(old.sends(remote(7), ACK), Action::Notice, &[]);
    lab.hears(&old, ACK, remote(7), &[]);
    lab.expect(old.sends(remote(7), SYN), Action::Notice, &[FlowEvent::Opened]);
    let mut new = lab.client("203.0.113.10", 40_018);
    new.target.1 += 1;
    lab.hears(&new, SYN | ACK, remote(7), &[]);
    lab.expect(new.sends(remote(7), ACK), Action::Notice, &[FlowEvent::Established]);
}

/// Of the target's address and port, whole, and to the subscriber's port: all else is none of the connection's.
#[test]
fn what_is_not_of_the_connection_is_left_as_it_is() {
    let mut lab = Lab::new();
    let client = lab.established("203.0.113.10", 40_019, remote(7));
    let to = [203, 0, 113, 10].into();
    let answer = |source| Tcp::new(source, 40_019, ACK);
    for frame in [
        Ipv4::tcp([192, 0, 2, 27].into(), to, &answer(2525)),
        Ipv4::tcp([192, 0, 2, 26].into(), to, &answer(25)),
        Ipv4::tcp([192, 0, 2, 26].into(), to, &Tcp::new(2525, 40_020, ACK)),
        Ipv4 { fragment: Ipv4::MORE, ..Ipv4::tcp([192, 0, 2, 26].into(), to, &answer(2525)) },
    ] {
        let frame = Link::new().carry(frame);
        let run = lab.runner.run(Direction::Return, &frame).expect("a test-run");
        assert_eq!((run.code, run.frame), (Code::Pass, frame));
    }
    lab.hears(&client, ACK, remote(7), &[]);
}

/// A subscriber who was redirected may later mean the target itself, at a port that is not the gate's business.
#[test]
fn a_connection_that_has_ended_claims_no_answers_of_another() {
    let mut lab = Lab::new();
    for name in ["203.0.113.10", "2001:db8:100::10"] {
        let stranger: IpAddr =
            if name.contains(':') { "2001:db8:bad::25".parse().expect("one") } else { remote(7) };
        for refused in [false, true] {
            let client = lab.established(name, 40_017 + u16::from(refused), stranger);
            lab.run(client.sends(stranger, FIN | ACK));
            lab.hears(&client, FIN | ACK, stranger, &[]);
            // The answer to another SYN, whose sequence number was another.
            lab.hears_itself(&client, if refused { RST | ACK } else { SYN | ACK });
            if !refused {
                lab.hears_itself(&client, ACK);
            }
        }
    }
}

#[test]
fn a_family_without_an_endpoint_is_reset() {
    let mut lab = Lab::new();
    let ipv6 = lab.client("2001:db8:104::10", 40_010);
    lab.expect(ipv6.sends("2001:db8:bad::25".parse().expect("one"), SYN), Action::Reset, &[]);
    let ipv4 = lab.client("198.18.0.10", 40_010);
    lab.expect(ipv4.sends(remote(7), SYN), Action::Relay, &[FlowEvent::Opened]);
}

#[test]
fn a_zone_that_monitors_redirects_nothing() {
    let mut lab = Lab::new();
    let client = lab.client("198.18.1.10", 40_011);
    lab.passes_untouched(client.sends(remote(7), SYN), Action::Notice);
    lab.passes_untouched(client.sends(remote(7), ACK), Action::Drop);
    let mut fragment = Ipv4::tcp([198, 18, 1, 10].into(), [198, 51, 100, 7].into(), &Tcp::syn(40_011, 25));
    fragment.fragment = Ipv4::MORE;
    lab.passes_untouched(Link::new().carry(fragment), Action::Drop);
    let whole = client.sends(remote(7), SYN);
    lab.passes_untouched(whole[..whole.len() - 1].to_vec(), Action::Drop);
    assert_eq!(lab.events(), [0; FlowEvent::ALL.len()]);
}
