//! A router for which an nftables ruleset decides: which packets go on behind it.

use crate::{lab::INTERFACE, lab::Lab, wait, wire};
use anyhow::{Context as _, Result, ensure};
use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;
use std::{collections::BTreeSet, fs, net::IpAddr, process::Command, time::Duration};

const PATIENCE: Duration = Duration::from_secs(30);

/// What looks at packets to and from port 25 in front of the ruleset and behind it, from the subscribers and toward them; a
/// datagram to port 9 comes through last.
const OBSERVER: &str = "table inet observer
delete table inet observer
table inet observer {
    counter last { }
    set arrived4 { typeof ip saddr . ip daddr; flags dynamic; size 65536; }
    set arrived6 { typeof ip6 saddr . ip6 daddr; flags dynamic; size 65536; }
    set passed4 { typeof ip saddr . ip daddr; flags dynamic; size 65536; }
    set passed6 { typeof ip6 saddr . ip6 daddr; flags dynamic; size 65536; }
    chain arrived {
        type filter hook prerouting priority -350; policy accept;
        tcp dport 25 add @arrived4 { ip saddr . ip daddr }
        tcp dport 25 add @arrived6 { ip6 saddr . ip6 daddr }
        tcp sport 25 add @arrived4 { ip saddr . ip daddr }
        tcp sport 25 add @arrived6 { ip6 saddr . ip6 daddr }
    }
    chain from_subscribers {
        type filter hook prerouting priority mangle; policy accept;
        iifname eth1 tcp dport 25 add @passed4 { ip saddr . ip daddr }
        iifname eth1 tcp dport 25 add @passed6 { ip6 saddr . ip6 daddr }
        iifname eth1 udp dport 9 counter name last
    }
    chain toward_subscribers {
        type filter hook postrouting priority 300; policy accept;
        oifname eth1 tcp sport 25 add @passed4 { ip saddr . ip daddr }
        oifname eth1 tcp sport 25 add @passed6 { ip6 saddr . ip6 daddr }
        oifname eth1 udp dport 9 counter name last
    }
}
";

/// Source and destination.
pub type Pair = (IpAddr, IpAddr);

/// Which packets to or from port 25 came to the ruleset, and which went on behind it.
#[derive(Debug, Default)]
pub struct Observed {
    /// All that the kernel did not refuse before.
    pub arrived: BTreeSet<Pair>,
    /// Those of them that were let through.
    pub passed: BTreeSet<Pair>,
}

/// Whence packets come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The subscribers'.
    Subscribers,
    /// The Internet.
    Internet,
}

/// Loads a ruleset at the lab's edge, in the place of one that is there; an error is what nft says.
pub fn load(lab: &Lab, ruleset: &str) -> Result<()> {
    let file = lab.folder().join("ruleset.nft");
    fs::write(&file, ruleset)?;
    let mut command = Command::new("nft");
    command.arg("-f").arg(&file);
    lab.edge.output(command).map(drop)
}

/// What nft lists.
pub fn list(lab: &Lab, what: &str) -> Result<String> {
    let mut command = Command::new("nft");
    command.arg("list").args(what.split(' '));
    Ok(String::from_utf8(lab.edge.output(command)?.stdout)?)
}

/// Puts frames on the wire toward the edge, whose MAC addresses they get, and says what became of them. `last` is a datagram to
/// port 9 that is let through, for what comes before it has been decided on when it is seen.
pub fn observe(lab: &Lab, side: Side, frames: &[Vec<u8>], last: &[u8]) -> Result<Observed> {
    // Frames of one processor stay in order.
    let mut only = CpuSet::new();
    only.set(sched_getcpu()?)?;
    sched_setaffinity(Pid::from_raw(0), &only)?;
    let (host, interface) = match side {
        Side::Subscribers => (&lab.alice, INTERFACE),
        Side::Internet => (&lab.stranger, "eth0"),
    };
    let (there, here) = (wire::mac(&lab.edge, interface)?, wire::mac(&host.namespace, "eth0")?);
    let wire = wire::Wire::open(&host.namespace, "eth0")?;
    // What the ruleset itself answers leaves the other way.
    let other = match side {
        Side::Subscribers => "toward_subscribers",
        Side::Internet => "from_subscribers",
    };
    load(lab, &format!("{OBSERVER}delete chain inet observer {other}\n"))?;
    let addressed = |frame: &[u8]| [&there[..], &here[..], &frame[12..]].concat();
    for some in frames.chunks(200) {
        wire.send(&some.iter().map(|frame| addressed(frame)).collect::<Vec<_>>())?;
        wire.send(&[addressed(last)])?;
        wait::until(PATIENCE, || {
            let counter = list(lab, "counter inet observer last").ok()?;
            (!counter.contains("packets 0 ")).then_some(())
        })
        .context("the last datagram did not come through")?;
        let mut reset = Command::new("nft");
        reset.args(["reset", "counter", "inet", "observer", "last"]);
        lab.edge.output(reset)?;
    }
    let sets = |names: [&str; 2]| -> Result<BTreeSet<Pair>> {
        let mut all = BTreeSet::new();
        for name in names {
            let listed = list(lab, &format!("set inet observer {name}"))?;
            let elements = listed.split_once("elements = {").map_or("", |(_, rest)| rest);
            let elements = elements.split('}').next().unwrap_or_default();
            for element in elements.split(',').map(str::trim).filter(|element| !element.is_empty()) {
                let (source, destination) = element.split_once(" . ").with_context(|| listed.clone())?;
                all.insert((source.parse()?, destination.parse()?));
            }
        }
        Ok(all)
    };
    let observed =
        Observed { arrived: sets(["arrived4", "arrived6"])?, passed: sets(["passed4", "passed6"])? };
    ensure!(observed.passed.is_subset(&observed.arrived), "passed, but never came: {observed:?}");
    Ok(observed)
}
