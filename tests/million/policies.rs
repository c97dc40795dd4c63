//! Two policies of a million prefixes that are numbered so differently that no verdict of a mixture is one of theirs.
//!
//! Prefixes are dealt out to groups, a rule each; the rules of one half are of zone west, of the other of zone east. A class is
//! numbered where it occurs first, and a scope where its zone does: the two policies differ in the order of their zones, and
//! of a few prefixes in front of all others, so that a group, or a zone, of one has the number that its opposite has in the
//! other. All else lies at the same places. Who reads the number of a class (or scope) here and its cell there, finds what holds
//! for the other zone: nothing.

use anyhow::{Context as _, Result};
use ipnetwork::IpNetwork;
use std::{
    fmt::Write as _,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

/// Of which each policy has that many, and a few more.
pub(crate) const MILLION: u32 = 1_000_000;
/// So many that their cells lie behind the prefixes.
const GROUPS: u32 = 64;
/// Of each family a host and a wider prefix.
pub(crate) const KINDS: [u32; 4] = [0, 1, 2, 3];

/// A host, and the other three kinds.
pub(crate) fn prefix(number: u32, kind: u32) -> String {
    let ipv4 = |low| Ipv4Addr::from_bits(0x1000_0000 + number * 8 + low);
    let ipv6 = |low: u64| {
        let high = 0x2a00_0000_0000_0000 | (u64::from(number) * 2 + low);
        Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low))
    };
    match kind {
        0 => format!("{}", ipv4(1)),
        1 => format!("{}/30", ipv4(4)),
        2 => format!("{}", ipv6(1)),
        _ => format!("{}/64", ipv6(0)),
    }
}

/// Addresses toward the end of the first group of so many prefixes: a host, and one inside a wider prefix of IPv6.
pub(crate) fn destinations(count: u32) -> Result<[IpAddr; 2]> {
    let number = count / 4 / GROUPS * GROUPS;
    let wide: IpNetwork = prefix(number, 3).parse()?;
    Ok([prefix(number, 0).parse()?, wide.iter().nth(25).context("its addresses")?])
}

/// Writes the lists of all groups, a file each, of so many prefixes together.
pub(crate) fn write_lists(folder: &Path, count: u32) -> Result<()> {
    for group in 0..GROUPS {
        let mut text = String::new();
        for number in (GROUPS + group..GROUPS + count / 4).step_by(GROUPS as usize) {
            for kind in KINDS {
                writeln!(text, "{}", prefix(number, kind))?;
            }
        }
        fs::write(folder.join(list(group)), text)?;
    }
    Ok(())
}

fn list(group: u32) -> String {
    format!("group{group}.txt")
}

/// One of the two policies; the other one, where `turned`. To the destinations ([`destinations`]) west may send by the rule
/// `here`, or `there`; east may not.
pub(crate) fn text(turned: bool) -> String {
    let mut zones = [
        r#"  - {id: west, subscribers: ["203.0.113.0/25", "2001:db8:100::/48"], mode: enforce}"#,
        r#"  - {id: east, subscribers: ["203.0.113.128/25", "2001:db8:101::/48"], mode: enforce}"#,
    ];
    let mut rules = ["here", "there"];
    if turned {
        zones.reverse();
        rules.reverse();
    }
    let [first, idle] = rules;
    let of = |group: u32| {
        let place = if turned { GROUPS - 1 - group } else { group };
        let front = KINDS.map(|kind| format!("{:?}", prefix(place, kind)));
        let id = if group == 0 { first.to_owned() } else { format!("group{group}") };
        let zone = if group < GROUPS / 2 { "west" } else { "east" };
        exception(&id, zone, &format!("[{}], destinations_file: {}", front.join(", "), list(group)))
    };
    let groups: String = (0..GROUPS).map(of).collect();
    let idle = exception(idle, "west", r#"["192.0.2.77"]"#);
    format!("version: 1\nzones:\n{}\nexceptions:\n{groups}{idle}", zones.join("\n"))
}

fn exception(id: &str, zone: &str, destinations: &str) -> String {
    format!(
        "  - {{id: {id}, zones: [{zone}], destinations: {destinations}, permanent: true, owner: noc, reason: lab}}\n"
    )
}
