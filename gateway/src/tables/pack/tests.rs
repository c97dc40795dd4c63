use super::pack;
use crate::tables::{Prefixes, Tables};
use gate25_common::abi::{Cell, CellKey, Subscriber};
use gate25_common::address::Address;
use gate25_common::table::{self, Line, Lines, PROBES, Table, node};
use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

struct Memory(Vec<Line>);

impl Lines for Memory {
    fn line(&self, number: u32) -> Option<&Line> {
        self.0.get(number as usize)
    }
}

impl Memory {
    fn cell(&self, key: CellKey) -> Option<&Cell> {
        table::cell(self, key)
    }

    fn find(&self, table: Table, address: IpAddr) -> u32 {
        table::find(self, table, address.into())
    }
}

fn prefix(address: IpAddr, length: u8) -> IpNetwork {
    match address {
        IpAddr::V4(address) => {
            let prefix = Ipv4Network::new(address, length % 33).expect("a length");
            Ipv4Network::new(prefix.network(), prefix.prefix()).expect("a length").into()
        }
        IpAddr::V6(address) => {
            let prefix = Ipv6Network::new(address, length % 129).expect("a length");
            Ipv6Network::new(prefix.network(), prefix.prefix()).expect("a length").into()
        }
    }
}

/// The most specific one, found by asking all.
fn slowly(prefixes: &[(IpNetwork, u32)], address: IpAddr) -> u32 {
    let holds =
        |(prefix, _): &&(IpNetwork, u32)| prefix.is_ipv6() == address.is_ipv6() && prefix.contains(address);
    prefixes.iter().filter(holds).max_by_key(|(prefix, _)| prefix.prefix()).map_or(0, |(_, value)| *value)
}

/// Where something may begin or end: around first and last addresses.
fn edges(prefixes: &[(IpNetwork, u32)]) -> Vec<IpAddr> {
    let mut all: Vec<IpAddr> =
        ["0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]
            .map(|address| address.parse().expect("an address"))
            .to_vec();
    for (prefix, _) in prefixes {
        match prefix {
            IpNetwork::V4(prefix) => {
                let (first, last) = (prefix.network().to_bits(), prefix.broadcast().to_bits());
                for bits in [first, last, first.wrapping_sub(1), last.wrapping_add(1), first / 2 + last / 2] {
                    all.push(Ipv4Addr::from_bits(bits).into());
                }
            }
            IpNetwork::V6(prefix) => {
                let (first, last) = (prefix.network().to_bits(), prefix.broadcast().to_bits());
                for bits in [first, last, first.wrapping_sub(1), last.wrapping_add(1), first / 2 + last / 2] {
                    all.push(Ipv6Addr::from_bits(bits).into());
                }
            }
        }
    }
    all
}

fn packed(prefixes: &[(IpNetwork, u32)]) -> (Memory, Vec<(IpNetwork, u32)>) {
    let destinations: Prefixes<u32> = prefixes.iter().copied().collect();
    let kept = destinations.iter(false).chain(destinations.iter(true)).collect();
    let tables = Tables { destinations, ..Tables::default() };
    (Memory(pack(&tables).expect("it fits")), kept)
}

fn holds(prefixes: &[(IpNetwork, u32)], others: &[IpAddr]) -> Result<(), TestCaseError> {
    let (memory, prefixes) = packed(prefixes);
    for address in edges(&prefixes).into_iter().chain(others.iter().copied()) {
        prop_assert_eq!(memory.find(Table::Destinations, address), slowly(&prefixes, address), "{}", address);
        prop_assert_eq!(memory.find(Table::Subscribers, address), 0);
    }
    Ok(())
}

/// Addresses that crowd: any bits under masks that keep a few places apart.
fn ipv4() -> impl Strategy<Value = IpAddr> {
    let mask = prop::sample::select(vec![
        u32::MAX,
        0xff,
        0xffff,
        0xc0a8_0fff,
        0xf000_000f,
        0x0101_0101,
        0x8000_0001,
    ]);
    (any::<u32>(), mask).prop_map(|(bits, mask)| Ipv4Addr::from_bits(bits & mask).into())
}

fn ipv6() -> impl Strategy<Value = IpAddr> {
    let mask = prop::sample::select(vec![
        u128::MAX,
        0xff,
        u128::MAX << 64,
        u128::MAX << 112,
        0xffff << 56,
        0xf_0000_0000_0000_000f,
        0x8000_0000_0000_0001_8000_0000_0000_0001,
    ]);
    let base = 0x2001_0db8_u128 << 96;
    (any::<u128>(), mask, any::<bool>()).prop_map(move |(bits, mask, based)| {
        Ipv6Addr::from_bits(bits & mask | if based { base } else { 0 }).into()
    })
}

fn prefixes(most: usize) -> impl Strategy<Value = Vec<(IpNetwork, u32)>> {
    let address = prop_oneof![ipv4(), ipv6()];
    let one = (address, any::<u8>(), any::<bool>(), 1..=5_u32).prop_map(|(address, length, host, value)| {
        (prefix(address, if host { if address.is_ipv6() { 128 } else { 32 } } else { length }), value)
    });
    prop::collection::vec(one, 0..most)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn few_are_found_as_by_asking_all(
        prefixes in prefixes(12),
        others in prop::collection::vec(prop_oneof![ipv4(), ipv6()], 16),
    ) {
        holds(&prefixes, &others)?;
    }

    #[test]
    fn many_are_found_as_by_asking_all(
        prefixes in prefixes(400),
        others in prop::collection::vec(prop_oneof![ipv4(), ipv6()], 16),
    ) {
        holds(&prefixes, &others)?;
    }
}

/// Boundaries at all powers of two: as crowded at one end as can be.
#[test]
fn the_deepest_tables_are_found_in_as_many_steps_as_there_are() {
    let mut all = Vec::new();
    for near in 0..128_u32 {
        for far in 0..8 {
            let bits = (1_u128 << near) + far;
            all.push((prefix(Ipv6Addr::from_bits(bits).into(), 128), near + 1));
            all.push((prefix(Ipv6Addr::from_bits(bits << 64).into(), 128), near + 200));
            let bits = (1_u32 << (near % 32)) + far as u32;
            all.push((prefix(Ipv4Addr::from_bits(bits).into(), 32), near + 1));
        }
    }
    holds(&all, &[]).expect("all of them");
}

#[test]
fn a_small_policy_has_small_tables() {
    let octets = |count: u32, host: &dyn Fn(u32) -> IpAddr, length| {
        let prefixes: Vec<_> = (0..count).map(|number| (prefix(host(number), length), 1)).collect();
        packed(&prefixes).0.0.len() * size_of::<Line>()
    };
    let ipv4 = |number: u32| Ipv4Addr::from_bits(number.wrapping_mul(0x9e37_79b9)).into();
    let ipv6 = |number: u32| {
        let half = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Ipv6Addr::from_bits(u128::from(half >> 3) << 64 | 1 << 125 | u128::from(half)).into()
    };
    // A host is two boundaries, and a root has four slots for them.
    for (host, length, each) in [(&ipv4 as &dyn Fn(u32) -> IpAddr, 32, 48), (&ipv6, 128, 100)] {
        let of = |count| octets(count, host, length);
        assert!(of(0) < 2_048, "{}", of(0));
        assert!(of(10) < 4_096, "{}", of(10));
        assert!(of(100_000) < 100_000 * each, "{}", of(100_000));
    }
}

/// Customers of providers: a few hosts in each of many networks, and networks in networks in networks.
#[test]
fn crowds_within_crowds_take_no_more_than_others() {
    let hosts = (0..30_000_u32).map(|number| {
        let network = u128::from(u64::from(number / 3).wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64;
        (prefix(Ipv6Addr::from_bits(network | u128::from(number % 3) << 40 | 5).into(), 128), 1)
    });
    let nested = (0..27_000_u32).map(|number| {
        let (provider, rest) = (number / 12, number % 12);
        let bits = u128::from(provider.wrapping_mul(0x9e37_79b9) >> 8) << 104
            | u128::from(rest / 6) << 98
            | u128::from(rest / 3 % 2) << 92
            | u128::from(rest % 3 * 77) << 66;
        (prefix(Ipv6Addr::from_bits(bits).into(), 64), 1)
    });
    for prefixes in [hosts.collect::<Vec<_>>(), nested.collect()] {
        let octets = packed(&prefixes).0.0.len() * size_of::<Line>();
        assert!(octets < prefixes.len() * 256, "{} octets a prefix", octets / prefixes.len());
        holds(&prefixes[..600], &[]).expect("all of them");
    }
}

#[test]
fn subscribers_and_cells_are_found_again() {
    let entry = |number: u32| Subscriber {
        zone: number,
        class: number * 3,
        scope: 1,
        mode: 1,
        action: 2,
        return_path: 0,
        cells: 3,
        relay_limit: number,
    };
    let subscribers =
        (0..999).map(|number| (prefix(Ipv4Addr::from_bits(number << 8).into(), 24), entry(number % 333)));
    let key = |number: u32| CellKey { subscribers: number % 7, destinations: number / 7 };
    let cells =
        (0..5_000).map(|number| (key(number), Cell { relay: number.into(), ..Cell::default() })).collect();
    let tables = Tables { subscribers: subscribers.collect(), cells, ..Tables::default() };
    let memory = Memory(pack(&tables).expect("it fits"));
    for number in 0..999 {
        let address = Address::from(IpAddr::from(Ipv4Addr::from_bits(number << 8 | 0x19)));
        let value = table::find(&memory, Table::Subscribers, address);
        assert_eq!(table::subscriber(&memory, value), Some(entry(number % 333)));
    }
    for number in 0..5_000 {
        let found = memory.cell(key(number)).map(|cell| cell.relay);
        assert_eq!(found, Some(number.into()));
    }
    assert_eq!(memory.cell(CellKey { subscribers: 7, destinations: 0 }), None);
}

/// Keys that all begin at the last place: as many as are looked at lie there and behind it; for one more there is more room.
#[test]
fn crowded_cells_get_more_room() {
    for count in [PROBES, PROBES + 1, PROBES + 4] {
        let crowd = (0..u32::MAX)
            .map(|destinations| CellKey { subscribers: 0, destinations })
            .filter(|key| table::place(*key, 255).1 == 255)
            .take(count as usize);
        let cells =
            crowd.map(|key| (key, Cell { block: 1 + u64::from(key.destinations), ..Cell::default() }));
        let tables = Tables { cells: cells.collect(), ..Tables::default() };
        let memory = Memory(pack(&tables).expect("it fits"));
        for (key, cell) in &tables.cells {
            assert_eq!(memory.cell(*key), Some(cell));
        }
        let mask = memory.0[0].0[Table::Destinations as usize + node::CELLS];
        assert_eq!(mask > 255, count > PROBES, "{count} cells in {mask}");
    }
}

/// Nothing is in front of the first address, or behind the last one, of a family; nor of a half of an IPv6 address.
#[test]
fn first_and_last_addresses() {
    let hosts = [
        "0.0.0.0",
        "255.255.255.255",
        "::",
        "::ffff:ffff:ffff:ffff",
        "0:0:0:1::",
        "ffff:ffff:ffff:fffe:ffff:ffff:ffff:ffff",
        "ffff:ffff:ffff:ffff::",
        "ffff:ffff:ffff:ffff::9",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ];
    let hosts: Vec<_> = hosts
        .iter()
        .zip(1..)
        .map(|(text, value)| (IpNetwork::from(text.parse::<IpAddr>().expect("an address")), value))
        .collect();
    let everything = ["0.0.0.0/0", "::/0", "::/1", "128.0.0.0/1", "ffff:ffff:ffff:ffff::/64"];
    let everything: Vec<_> =
        everything.iter().zip(20..).map(|(text, value)| (text.parse().expect("a prefix"), value)).collect();
    for number in 0..hosts.len() {
        let alone = &hosts[number..=number];
        for all in [alone, &[&everything, alone].concat()] {
            holds(all, &[]).expect("one host");
        }
    }
    for all in [&hosts, &everything, &[&*everything, &*hosts].concat()] {
        holds(all, &[]).expect("all of them");
    }
}

/// Where nothing changes there is no boundary.
#[test]
fn prefixes_side_by_side_that_have_the_same_value_cost_what_one_does() {
    for base in ["198.51.0.0", "2001:db8::"] {
        let base: IpAddr = base.parse().expect("an address");
        let host = |number: u16| match base {
            IpAddr::V4(base) => prefix(Ipv4Addr::from_bits(base.to_bits() + u32::from(number)).into(), 32),
            IpAddr::V6(base) => prefix(Ipv6Addr::from_bits(base.to_bits() + u128::from(number)).into(), 128),
        };
        let many: Vec<_> = (0..10_000).map(|number| (host(number), 1)).collect();
        assert_eq!(packed(&many).0.0.len(), packed(&many[..1]).0.0.len());
        holds(&many[..300], &[]).expect("they are found");
    }
}
