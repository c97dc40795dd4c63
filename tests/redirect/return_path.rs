//! Packets from port 25 toward subscribers: the policy with roles swapped.

use crate::Lab;
use gate25::datapath::testrun::Code;
use gate25_common::verdict::{Action, Decision, Direction, Reason};
use gate25_tests::packet::{ACK, Extension, Ipv4, Ipv6, Link, RST, SYN, Tcp, packet, protocol, udp};
use std::net::IpAddr;

/// From a remote address and port to a subscriber.
fn toward(remote: &str, port: u16, subscriber: &str, flags: u8) -> Vec<u8> {
    let [remote, subscriber] =
        [remote, subscriber].map(|address| address.parse::<IpAddr>().expect("an address"));
    Link::new().carry(packet(remote, subscriber, &Tcp::new(port, 40_000, flags)))
}

/// Decision, reason and whether it is enforced; nothing for `not-smtp`.
type Judgement = Option<(Decision, Reason, bool)>;

/// Verdict, reason, enforced and code of each frame, which is never changed.
fn judged(frames: &[(Vec<u8>, Judgement)]) {
    let mut lab = Lab::new();
    for (number, (frame, expected)) in frames.iter().enumerate() {
        let run = lab.runner.run(Direction::Return, frame).expect("a test-run");
        let seen = run.verdict.map(|verdict| (verdict.decision, verdict.reason, verdict.enforced));
        assert_eq!(seen, *expected, "frame {number}");
        let dropped = expected.is_some_and(|(.., enforced)| enforced);
        assert_eq!(run.code, if dropped { Code::Drop } else { Code::Pass }, "frame {number}");
        assert_eq!(&run.frame, frame, "frame {number}");
        if let Some(verdict) = run.verdict {
            let action = if verdict.decision == Decision::Block { Action::Drop } else { Action::None };
            assert_eq!(verdict.action, action, "frame {number}");
        }
    }
}

const BLOCKED: Judgement = Some((Decision::Block, Reason::Default, true));
const UNMANAGED: Judgement = Some((Decision::Pass, Reason::Unmanaged, false));

#[test]
fn the_policy_holds_with_roles_swapped() {
    judged(&[
        // Whatever the flags: the decision is per packet.
        (toward("198.51.100.7", 25, "203.0.113.140", SYN | ACK), BLOCKED),
        (toward("198.51.100.7", 25, "203.0.113.140", ACK), BLOCKED),
        (toward("198.51.100.7", 25, "203.0.113.140", RST), BLOCKED),
        (toward("198.51.100.7", 25, "203.0.113.140", SYN), BLOCKED),
        (toward("2001:db8:bad::25", 25, "2001:db8:102::10", SYN | ACK), BLOCKED),
        // An exempt subscriber, and an approved relay.
        (
            toward("198.51.100.7", 25, "203.0.113.150", SYN | ACK),
            Some((Decision::Pass, Reason::Exception, false)),
        ),
        (toward("192.0.2.25", 25, "203.0.113.140", SYN | ACK), Some((Decision::Pass, Reason::Relay, false))),
        // Zones that monitor, that do not look, and no zone.
        (
            toward("198.51.100.7", 25, "203.0.113.200", SYN | ACK),
            Some((Decision::Block, Reason::Default, false)),
        ),
        (toward("198.51.100.7", 25, "203.0.113.10", SYN | ACK), UNMANAGED),
        (toward("198.51.100.7", 25, "192.0.2.200", SYN | ACK), UNMANAGED),
    ]);
}

#[test]
fn what_is_not_from_port_25_passes() {
    let (remote, subscriber) = ([198, 51, 100, 7].into(), [203, 0, 113, 140].into());
    let later_fragment = |mut packet: Ipv4| {
        packet.fragment = 1;
        packet
    };
    let datagram = Ipv4::new(remote, subscriber, protocol::UDP, udp(25, 25, b"x"));
    let to_smtp = Tcp::new(40_000, 25, SYN);
    judged(&[
        (toward("198.51.100.7", 80, "203.0.113.140", SYN | ACK), None),
        (toward("198.51.100.7", 465, "203.0.113.140", SYN | ACK), None),
        (toward("198.51.100.7", 587, "203.0.113.140", SYN | ACK), None),
        // Of a target's port, but of no connection that was redirected.
        (toward("192.0.2.26", 2525, "203.0.113.10", SYN | ACK), None),
        // A mail server behind the interface is connected to.
        (Link::new().carry(Ipv4::tcp(remote, subscriber, &to_smtp)), None),
        (Link::new().carry(datagram), None),
        (Link::new().carry(later_fragment(Ipv4::tcp(remote, subscriber, &Tcp::new(25, 40_000, ACK)))), None),
    ]);
}

#[test]
fn what_cannot_be_read_is_judged_by_its_destination() {
    let [remote, subscriber] =
        ["2001:db8:bad::25", "2001:db8:102::10"].map(|name| name.parse().expect("one"));
    let watching = "2001:db8:103::10".parse().expect("one");
    let not_looking = "2001:db8:100::10".parse().expect("one");
    let chain = |to| {
        let chain: Vec<_> = (0..9).map(|_| Extension::destination()).collect();
        Link::new().carry(Ipv6::tcp(remote, to, &Tcp::new(25, 40_000, SYN | ACK)).with(chain))
    };
    let malformed = |enforced| Some((Decision::Block, Reason::Malformed, enforced));
    judged(&[
        (chain(subscriber), malformed(true)),
        (chain(watching), malformed(false)),
        // As one of no zone, which nothing on the way back blocks.
        (chain(not_looking), malformed(false)),
        (chain("2001:db8:ffff::1".parse().expect("one")), malformed(false)),
    ]);
}

#[test]
fn ones_own_redirected_connection_passes_from_port_25() {
    let mut lab = Lab::new();
    // The relay of zone `half` is not approved: only as the target of a connection may it speak.
    let client = lab.established("198.18.0.10", 40_000, crate::remote(7));
    lab.hears(&client, ACK, crate::remote(7), &[]);
    judged(&[(toward("192.0.2.99", 25, "198.18.0.10", ACK), BLOCKED)]);
    // Also of one that was led to the very server it asked for.
    let target = "192.0.2.99".parse().expect("an address");
    let own = lab.established("198.18.0.10", 40_001, target);
    lab.hears(&own, ACK, target, &[]);
    let stranger = toward("198.51.100.7", 25, "198.18.0.10", SYN | ACK);
    assert_eq!(lab.runner.run(Direction::Return, &stranger).expect("a test-run").code, Code::Drop);
}
