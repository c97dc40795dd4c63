//! Values by prefix.

use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Values by prefix; the most specific one answers.
#[derive(Debug, Clone)]
pub struct Prefixes<T> {
    /// Of each family, in the order of their first addresses, the wider one first. No prefix twice.
    families: [Vec<(IpNetwork, T)>; 2],
    /// Lengths in use, by family, so that a look-up probes no others.
    lengths: [[bool; 129]; 2],
}

impl<T> Default for Prefixes<T> {
    fn default() -> Self {
        Self { families: Default::default(), lengths: [[false; 129]; 2] }
    }
}

impl<T> FromIterator<(IpNetwork, T)> for Prefixes<T> {
    /// Of prefixes without host bits, in any order; of a prefix that comes again, the first value stays.
    fn from_iter<I: IntoIterator<Item = (IpNetwork, T)>>(entries: I) -> Self {
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.sort_by_key(|(prefix, _)| *prefix);
        entries.dedup_by_key(|(prefix, _)| *prefix);
        let mut all = Self::default();
        for (prefix, value) in entries {
            all.push(prefix, value);
        }
        all
    }
}

impl<T> Prefixes<T> {
    /// Adds a prefix that comes behind all of its family that are there.
    pub fn push(&mut self, prefix: IpNetwork, value: T) {
        let family = usize::from(prefix.is_ipv6());
        self.families[family].push((prefix, value));
        self.lengths[family][usize::from(prefix.prefix())] = true;
    }
}

impl<T: Copy> Prefixes<T> {
    /// The value of the most specific prefix that has the address.
    #[must_use]
    pub fn get(&self, address: IpAddr) -> Option<T> {
        let family = &self.families[usize::from(address.is_ipv6())];
        let used = self.lengths[usize::from(address.is_ipv6())];
        (0..=128).rev().filter(|length| used[usize::from(*length)]).find_map(|length| {
            let prefix = covering(address, length);
            family.binary_search_by_key(&prefix, |(prefix, _)| *prefix).ok().map(|place| family[place].1)
        })
    }

    /// All of one family, in order: those that contain another come before it.
    pub fn iter(&self, ipv6: bool) -> impl Iterator<Item = (IpNetwork, T)> {
        self.families[usize::from(ipv6)].iter().copied()
    }

    /// How many of one family.
    #[must_use]
    pub fn len(&self, ipv6: bool) -> usize {
        self.families[usize::from(ipv6)].len()
    }
}

/// The prefix of that length, within the family's bounds, that has the address.
fn covering(address: IpAddr, length: u8) -> IpNetwork {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0);
            let network = Ipv4Addr::from_bits(address.to_bits() & mask);
            IpNetwork::V4(Ipv4Network::new_checked(network, length.min(32)).unwrap_or_else(|| network.into()))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0);
            let network = Ipv6Addr::from_bits(address.to_bits() & mask);
            IpNetwork::V6(
                Ipv6Network::new_checked(network, length.min(128)).unwrap_or_else(|| network.into()),
            )
        }
    }
}
