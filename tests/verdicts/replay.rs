//! `gate25 replay --json`, contract section 3: one line a packet, in order.

use crate::frames::{connect, ipv4, plain, relayed, syn};
use crate::policies;
use gate25::command::replay::replay;
use gate25_common::verdict::Direction;
use gate25_tests::packet::{ACK, Ipv4, Link, RST, Tcp, arp};
use jiff::Timestamp;
use std::fs;
use std::path::{Path, PathBuf};

/// A capture in the older format (libpcap's, microseconds, this machine's byte order), of Ethernet.
fn pcap(name: &str, frames: &[Vec<u8>]) -> PathBuf {
    let mut octets = Vec::new();
    octets.extend(0xa1b2_c3d4_u32.to_ne_bytes());
    octets.extend([2_u16, 4].map(u16::to_ne_bytes).concat());
    octets.extend([0_u32, 0, 262_144, 1].map(u32::to_ne_bytes).concat());
    for frame in frames {
        let length = frame.len() as u32;
        octets.extend([1, 0, length, length].map(u32::to_ne_bytes).concat());
        octets.extend(frame);
    }
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.pcap", std::process::id()));
    fs::write(&file, octets).expect("a capture");
    file
}

fn lines(policy: &str, at: &str, direction: Direction, frames: &[Vec<u8>]) -> Vec<String> {
    let capture = pcap(&format!("replay-{at}-{}", direction.label()).replace(':', "-"), frames);
    let mut out = Vec::new();
    let at: Timestamp = at.parse().expect("an instant");
    replay(&policies::load(policy), at, direction, &capture, true, &mut out).expect("a replay");
    fs::remove_file(capture).expect("the capture");
    String::from_utf8(out).expect("text").lines().map(str::to_owned).collect()
}

#[test]
fn a_line_a_packet() {
    let rst = Tcp::new(40_000, 25, RST);
    let long = Tcp::new(40_000, 25, ACK).payload(vec![0; 60_000]);
    let frames = [
        plain(relayed()),
        plain(ipv4(&syn())),
        plain(ipv4(&rst)),
        connect("203.0.113.7", "198.51.100.1"),
        connect("203.0.113.7", "198.51.100.66"),
        connect("203.0.113.7", "198.19.8.1"),
        connect("198.18.0.1", "9.9.9.9"),
        connect("192.168.0.1", "9.9.9.9"),
        plain(Ipv4 { ihl: Some(4), ..relayed() }),
        Link::new().tags(0x8100, 5).carry(relayed()),
        plain(ipv4(&Tcp::syn(40_000, 587))),
        plain(arp()),
        plain(relayed())[..13].to_vec(),
        Vec::new(),
        plain(ipv4(&long)),
    ];
    let wanted = [
        r#""verdict":"pass","action":"none","enforced":false,"reason":"relay","zone":"west","rule":"west-relay","xdp":"pass"}"#,
        r#""verdict":"block","action":"reset","enforced":true,"reason":"default","zone":"west","rule":null,"xdp":"tx"}"#,
        r#""verdict":"block","action":"drop","enforced":true,"reason":"default","zone":"west","rule":null,"xdp":"drop"}"#,
        r#""verdict":"pass","action":"none","enforced":false,"reason":"exception","zone":"west","rule":"campus","xdp":"pass"}"#,
        r#""verdict":"block","action":"reset","enforced":true,"reason":"block-rule","zone":"west","rule":"bad-host","xdp":"tx"}"#,
        r#""verdict":"block","action":"reset","enforced":true,"reason":"expired","zone":"west","rule":"gone","xdp":"tx"}"#,
        r#""verdict":"block","action":"reset","enforced":false,"reason":"default","zone":"watch","rule":null,"xdp":"pass"}"#,
        r#""verdict":"pass","action":"none","enforced":false,"reason":"unmanaged","zone":null,"rule":null,"xdp":"pass"}"#,
        r#""verdict":"block","action":"drop","enforced":true,"reason":"malformed","zone":"west","rule":null,"xdp":"drop"}"#,
        r#""verdict":"block","action":"drop","enforced":true,"reason":"malformed","zone":null,"rule":null,"xdp":"drop"}"#,
        r#""verdict":"pass","action":"none","enforced":false,"reason":"not-smtp","zone":null,"rule":null,"xdp":"pass"}"#,
        r#""verdict":"pass","action":"none","enforced":false,"reason":"not-smtp","zone":null,"rule":null,"xdp":"pass"}"#,
        r#""verdict":"pass","action":"none","enforced":false,"reason":"not-smtp","zone":null,"rule":null,"xdp":null}"#,
        r#""verdict":"pass","action":"none","enforced":false,"reason":"not-smtp","zone":null,"rule":null,"xdp":null}"#,
        r#""verdict":"block","action":"drop","enforced":true,"reason":"default","zone":"west","rule":null,"xdp":"drop"}"#,
    ];
    let wanted: Vec<_> =
        (1..).zip(wanted).map(|(number, rest)| format!(r#"{{"packet":{number},{rest}"#)).collect();
    assert_eq!(lines(policies::MAIN, "2026-01-01T00:00:00Z", Direction::Egress, &frames), wanted);
}

/// The policy as it is at that instant, however long the replay takes: `until` is half-open.
#[test]
fn at_an_instant() {
    let frames = vec![connect("203.0.113.7", "198.19.8.1"); 3];
    let reasons = |at| {
        let lines = lines(policies::MAIN, at, Direction::Egress, &frames);
        let reason = |line: &String| {
            ["exception", "expired"].into_iter().find(|word| line.contains(&format!("\"{word}\"")))
        };
        lines.iter().map(reason).collect::<Vec<_>>()
    };
    assert_eq!(reasons("2004-07-28T06:59:59.999999999Z"), [Some("exception"); 3]);
    assert_eq!(reasons("2004-07-28T07:00:00Z"), [Some("expired"); 3]);
}
