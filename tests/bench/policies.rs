//! Policies of any size, the same in each run, and addresses to try them with.

use anyhow::{Context as _, Result};
use std::{
    collections::HashSet,
    fmt::Write as _,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

/// Everything but 0.0.0.0/8 and what is not unicast; and all of IPv6's.
pub(crate) const EVERYONE: &str = r#"["1.0.0.0/8", "2.0.0.0/7", "4.0.0.0/6", "8.0.0.0/5", "16.0.0.0/4", "32.0.0.0/3", "64.0.0.0/2", "128.0.0.0/2", "192.0.0.0/3", "2000::/3"]"#;

/// Random numbers, the same in each run (splitmix64, by Sebastiano Vigna).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn wide(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }
}

/// A prefix: its first address as a number, its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Prefix {
    bits: u128,
    length: u8,
    ipv6: bool,
}

impl Prefix {
    fn new(bits: u128, length: u8, ipv6: bool) -> Self {
        let width = if ipv6 { 128 } else { 32 };
        Self { bits: bits >> (width - length) << (width - length), length, ipv6 }
    }

    /// One of its addresses.
    fn pick(&self, random: &mut Random) -> IpAddr {
        let width = if self.ipv6 { 128 } else { 32 };
        let free = 1_u128.checked_shl(u32::from(width - self.length)).map_or(u128::MAX, |one| one - 1);
        address(self.bits | random.wide() & free, self.ipv6)
    }
}

fn address(bits: u128, ipv6: bool) -> IpAddr {
    if ipv6 { Ipv6Addr::from_bits(bits).into() } else { Ipv4Addr::from_bits(bits as u32).into() }
}

/// That many different prefixes: half of them single hosts, the rest of many lengths, anywhere in unicast space.
pub(crate) fn prefixes(count: usize, ipv6: bool) -> Vec<Prefix> {
    let mut random = Random(count as u64);
    let mut one = |number: usize| {
        if ipv6 {
            let bits = random.wide() >> 3 | 1 << 125;
            let length = if number.is_multiple_of(2) { 128 } else { 32 + random.below(33) as u8 };
            return Prefix::new(bits, length, true);
        }
        let bits = (u128::from(random.below(223)) + 1) << 24 | u128::from(random.below(1 << 24));
        let length = match random.below(100) {
            _ if number.is_multiple_of(2) => 32,
            0 => 16 + random.below(6) as u8,
            _ => 22 + random.below(10) as u8,
        };
        Prefix::new(bits, length, false)
    };
    distinct(count, &mut one)
}

/// As many different ones, all of them in the upper half of the last octet of IPv4 addresses, so that addresses with
/// another last octet are near many of them and in none.
pub(crate) fn upper_halves(count: usize, seed: u64, within: u32, free: u32) -> Vec<Prefix> {
    let mut random = Random(seed);
    let mut one = |number: usize| {
        let bits = within | random.next() as u32 & free | 0x80;
        let length = if number.is_multiple_of(2) { 32 } else { 25 + random.below(7) as u8 };
        Prefix::new(bits.into(), length, false)
    };
    distinct(count, &mut one)
}

fn distinct(count: usize, one: &mut dyn FnMut(usize) -> Prefix) -> Vec<Prefix> {
    let (mut list, mut known) = (Vec::with_capacity(count), HashSet::with_capacity(count));
    while list.len() < count {
        let prefix = one(list.len());
        if known.insert(prefix) {
            list.push(prefix);
        }
    }
    list
}

/// Addresses in prefixes drawn from the list.
pub(crate) fn inside(prefixes: &[Prefix], count: usize) -> Vec<IpAddr> {
    let mut random = Random(7);
    (0..count).map(|_| prefixes[random.below(prefixes.len() as u64) as usize].pick(&mut random)).collect()
}

/// As list files have them, one a line.
pub(crate) fn lines(prefixes: &[Prefix]) -> String {
    let mut text = String::with_capacity(prefixes.len() * 20);
    for prefix in prefixes {
        let _ = writeln!(text, "{}/{}", address(prefix.bits, prefix.ipv6), prefix.length);
    }
    text
}

/// Which table a list goes into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Subscribers,
    Destinations,
}

impl Role {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Subscribers => "subscribers",
            Self::Destinations => "destinations",
        }
    }
}

/// Writes a policy: everyone in one zone, and an exception for each list (an empty list makes none); gives its path.
pub(crate) fn write(folder: &Path, subscribers: &str, lists: &[(Role, &[Prefix])]) -> Result<PathBuf> {
    let mut text = format!(
        "version: 1\nzones:\n  - {{id: all, subscribers: {subscribers}, mode: enforce}}\nexceptions:\n  - {{id: one, \
         destinations: [\"198.51.100.25\"], permanent: true, owner: bench, reason: bench}}\n"
    );
    for (number, (role, list)) in lists.iter().enumerate().filter(|(_, (_, list))| !list.is_empty()) {
        let name = format!("list{number}.txt");
        fs::write(folder.join(&name), lines(list)).with_context(|| name.clone())?;
        let keys = match role {
            Role::Subscribers => format!("subscribers_file: {name}, destinations: any"),
            Role::Destinations => format!("destinations_file: {name}"),
        };
        writeln!(text, "  - {{id: list{number}, {keys}, permanent: true, owner: bench, reason: bench}}")?;
    }
    let file = folder.join("policy.yaml");
    fs::write(&file, text)?;
    Ok(file)
}
