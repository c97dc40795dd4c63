use super::super::classes::Member;
use super::Sweep;
use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use proptest::prelude::*;
use std::collections::{BTreeSet, HashMap};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Prefixes of any length about few addresses, so that they nest; or everything.
fn prefix() -> impl Strategy<Value = IpNetwork> {
    let bits = (prop::sample::select(vec![0, 1 << 127, 0x2001_0db8 << 96]), 0..8_u128, 0..3_u32);
    let host_bits = prop_oneof![0..4_u8, 0..=128_u8];
    (bits, any::<bool>(), host_bits).prop_map(|((base, number, far), ipv6, host_bits)| {
        let bits = base | number << (far * 40);
        if ipv6 {
            let length = 128 - host_bits;
            let network = Ipv6Network::new(Ipv6Addr::from_bits(bits), length).expect("a length");
            Ipv6Network::new(network.network(), length).expect("a length").into()
        } else {
            let length = 32 - host_bits % 33;
            let address = Ipv4Addr::from_bits((bits >> 96) as u32 | number as u32);
            let network = Ipv4Network::new(address, length).expect("a length");
            Ipv4Network::new(network.network(), length).expect("a length").into()
        }
    })
}

fn contains(outer: &IpNetwork, inner: &IpNetwork) -> bool {
    outer.is_ipv6() == inner.is_ipv6() && outer.prefix() <= inner.prefix() && outer.contains(inner.ip())
}

/// The longest of them that contains it.
fn longest(listed: &[IpNetwork], prefix: &IpNetwork) -> Option<u8> {
    listed.iter().filter(|outer| contains(outer, prefix)).map(IpNetwork::prefix).max()
}

proptest! {
    /// Each prefix is held by what asking each zone and each rule gives.
    #[test]
    fn a_sweep_finds_what_asking_everybody_does(
        zones in prop::collection::vec(prop::collection::btree_set(prefix(), 0..6), 0..4),
        rules in prop::collection::vec(prop::collection::vec(prefix(), 0..10), 0..6),
    ) {
        // No prefix is in two zones.
        let mut taken = BTreeSet::new();
        let zones: Vec<Vec<IpNetwork>> = zones
            .into_iter()
            .map(|zone| zone.into_iter().filter(|prefix| taken.insert(*prefix)).collect())
            .collect();
        let mut sweep = Sweep::default();
        for (rule, listed) in rules.iter().enumerate() {
            for prefix in listed {
                sweep.member(*prefix, rule);
            }
        }
        for (zone, listed) in zones.iter().enumerate() {
            for prefix in listed {
                sweep.zone(*prefix, zone);
            }
        }
        let (mut found, mut sets) = (Vec::new(), HashMap::new());
        sweep
            .run(|held| {
                found.push((held.prefix, held.zone, held.members.to_vec()));
                let number = *sets.entry(held.members.to_vec()).or_insert(held.set);
                assert_eq!(number, held.set, "the same members");
            })
            .expect("few overlaps");
        let numbers: BTreeSet<_> = sets.values().collect();
        prop_assert_eq!(numbers.len(), sets.len());

        // In the order of families, addresses and lengths.
        let all: BTreeSet<IpNetwork> = zones.iter().chain(&rules).flatten().copied().collect();
        let wanted: Vec<_> = all
            .into_iter()
            .map(|prefix| {
                let zone = (0..zones.len())
                    .filter_map(|zone| Some((longest(&zones[zone], &prefix)?, zone)))
                    .max()
                    .map(|(_, zone)| zone);
                let members = (0..rules.len()).filter_map(|rule| {
                    Some(Member { rule, length: longest(&rules[rule], &prefix)? })
                });
                (prefix, zone, members.collect::<Vec<_>>())
            })
            .collect();
        prop_assert_eq!(found, wanted);
    }
}
