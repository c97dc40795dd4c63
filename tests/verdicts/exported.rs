//! The table's rows from subscribers, through the policy's nftables ruleset: those packets that nftables reads as the program
//! does, plain TCP on Ethernet. What is let through there must be what the program lets through.

use crate::bench::{Bench, Row};
use crate::expect::{exception, reset};
use crate::frames::connect;
use crate::host::parsed;
use crate::policies::{MAIN, load};
use gate25::export::{Format, Wanted, export};
use gate25::policy::Policy;
use gate25_common::parse::{Parsed, Segment};
use gate25_common::verdict::{Direction, Reason};
use gate25_tests::lab::Lab;
use gate25_tests::netfilter::{self, Pair, Side, observe};
use gate25_tests::packet::{Ipv4, Link, Tcp, protocol, udp};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};

/// The longest frame of the lab's interfaces.
const LONGEST: usize = 1514;

/// What the ruleset does otherwise than the rows say.
pub(crate) fn faults(policy: &Policy, rows: &[&Row]) -> Vec<String> {
    static LAB: LazyLock<Mutex<Lab>> = LazyLock::new(|| Mutex::new(Lab::new().expect("a lab")));
    let told: BTreeMap<Pair, &Row> = rows.iter().filter_map(|row| Some((read(row)?, *row))).collect();
    if told.is_empty() {
        return Vec::new();
    }
    let at = Timestamp::now();
    let wanted = Wanted {
        format: Format::Nftables,
        at,
        goes_on: true,
        knows_names: true,
        interfaces: vec!["eth1".to_owned()],
    };
    let ruleset = export(policy, &wanted).text;
    let lab = LAB.lock().unwrap_or_else(PoisonError::into_inner);
    netfilter::load(&lab, &ruleset).expect("a ruleset that loads");
    let frames: Vec<_> = told.values().map(|row| row.frame.clone()).collect();
    let payload = udp(9, 9, b"last");
    let last = Ipv4::tcp([203, 0, 113, 10].into(), [198, 51, 100, 25].into(), &Tcp::syn(9, 9));
    let last = Link::new().carry(Ipv4 { protocol: protocol::UDP, payload, ..last });
    let observed = observe(&lab, Side::Subscribers, &frames, &last).expect("observed");
    let differs = |(pair, row): (&Pair, &&Row)| {
        let passes = observed.passed.contains(pair);
        let differs = observed.arrived.contains(pair) && passes == row.expect.enforced;
        differs.then(|| format!("{}: {pair:?} passes the ruleset: {passes}\n{ruleset}", row.name))
    };
    told.iter().filter_map(differs).collect()
}

/// The addresses of a row that nftables reads.
fn read(row: &Row) -> Option<Pair> {
    let Parsed::Smtp(Segment { subscriber, remote, fragment: false, .. }) = parsed(row.direction, &row.frame)
    else {
        return None;
    };
    let is_plain = match row.frame.get(12..24)? {
        [0x08, 0x00, .., protocol] => *protocol == protocol::TCP,
        [0x86, 0xdd, _, _, _, _, _, _, next, ..] => *next == protocol::TCP,
        _ => false,
    };
    (is_plain && row.frame.len() <= LONGEST && row.direction == Direction::Egress)
        .then(|| (subscriber.into(), remote.into()))
}

#[test]
fn what_the_ruleset_does_otherwise_is_found() {
    let row = |to, expect| crate::bench::row(to, connect("203.0.113.7", to), expect);
    let (campus, stranger) = ("198.51.100.1", "9.9.9.9");
    let (open, shut) = (exception("west", "campus"), reset(Reason::Default, "west"));
    let faults = |rows: [Row; 2]| faults(&load(MAIN), &[&rows[0], &rows[1]]).len();
    assert_eq!(faults([row(campus, open), row(stranger, shut)]), 0);
    assert_eq!(faults([row(campus, shut), row(stranger, shut)]), 1);
    assert_eq!(faults([row(campus, open), row(stranger, open)]), 1);
    Bench::main().check([row(campus, open), row(stranger, shut)]);
}
