//! The same policy for netfilter: nftables at two hooks, and iptables-legacy with ipset.

use crate::policies::{self, Prefix};
use anyhow::{Context as _, Result};
use gate25_tests::lab::{INTERFACE, Lab};
use std::{fmt::Write as _, fs, path::Path, process::Command};

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Netfilter {
    /// nftables, before anything else sees the packet.
    Ingress,
    /// nftables, in front of routing.
    Prerouting,
    /// iptables-legacy, table raw.
    Iptables,
}

/// A policy as they can say it: who is in the zone, who of them may send anywhere, and to where all of them may.
pub(crate) struct Policy<'a> {
    pub(crate) zone: &'a str,
    pub(crate) businesses: &'a [Prefix],
    pub(crate) listed: &'a [Prefix],
}

impl Netfilter {
    pub(crate) const ALL: [Self; 3] = [Self::Ingress, Self::Prerouting, Self::Iptables];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ingress => "nft ingress",
            Self::Prerouting => "nft prerouting",
            Self::Iptables => "iptables + ipset",
        }
    }

    /// Writes what is to be loaded, and gives the commands that load it, each with the file for its input.
    pub(crate) fn prepare(self, folder: &Path, policy: &Policy<'_>) -> Result<Vec<Command>> {
        let file = folder.join(self.name().replace(' ', "-"));
        let (text, mut commands) = match self {
            Self::Ingress | Self::Prerouting => (self.ruleset(policy), vec![words("nft -f")]),
            Self::Iptables => (sets(policy), vec![words("ipset restore -file")]),
        };
        fs::write(&file, text).with_context(|| file.display().to_string())?;
        commands[0].arg(&file);
        if self == Self::Iptables {
            commands.push(words(&format!(
                "iptables-legacy -t raw -A PREROUTING -i {INTERFACE} -p tcp --dport 25 -m set --match-set zone src -m set \
                 ! --match-set businesses src -m set ! --match-set listed dst -j DROP"
            )));
        }
        Ok(commands)
    }

    /// Loads it at the lab's edge.
    pub(crate) fn start(self, lab: &Lab, policy: &Policy<'_>) -> Result<()> {
        for command in self.prepare(lab.folder(), policy)? {
            lab.edge.output(command)?;
        }
        Ok(())
    }

    fn ruleset(self, policy: &Policy<'_>) -> String {
        let (family, hook) = match self {
            Self::Ingress => ("netdev", format!("hook ingress device {INTERFACE} priority -500")),
            _ => ("inet", "hook prerouting priority raw".to_owned()),
        };
        let mut text = format!("table {family} gate {{\n");
        let lists = [
            ("zone", format!("elements = {{ {} }}", policy.zone)),
            ("businesses", elements(policy.businesses)),
            ("listed", elements(policy.listed)),
        ];
        for (name, elements) in lists {
            let _ = writeln!(text, "set {name} {{ type ipv4_addr; flags interval; auto-merge; {elements} }}");
        }
        let _ = writeln!(
            text,
            "chain in {{ type filter {hook}; policy accept; iifname {INTERFACE} tcp dport 25 ip saddr @zone ip saddr != \
             @businesses ip daddr != @listed drop; }}\n}}"
        );
        text
    }
}

fn elements(prefixes: &[Prefix]) -> String {
    if prefixes.is_empty() {
        return String::new();
    }
    format!("elements = {{ {} }}", policies::lines(prefixes).trim_end().replace('\n', ",\n"))
}

fn sets(policy: &Policy<'_>) -> String {
    let mut text = format!("create zone hash:net\nadd zone {}\n", policy.zone);
    for (name, list) in [("businesses", policy.businesses), ("listed", policy.listed)] {
        let room = list.len().max(65_536);
        let _ = writeln!(text, "create {name} hash:net maxelem {room}");
        policies::lines(list).lines().for_each(|line| {
            let _ = writeln!(text, "add {name} {line}");
        });
    }
    text
}

fn words(line: &str) -> Command {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    command
}
