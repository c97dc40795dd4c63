//! What a host's TCP has under way, as its kernel tells.

use crate::{
    lab::{Host, Lab},
    wait,
};
use anyhow::{Context as _, Result, bail};
use std::{fs, time::Duration};

/// How long closing connections may take on a busy machine, some segments sent again.
const PATIENCE: Duration = Duration::from_secs(30);
/// As `/proc/net/tcp` writes states: `TIME_WAIT` and `LISTEN`, in which nothing is sent of oneself, and nothing awaited.
const AT_REST: [&str; 2] = ["06", "0A"];

impl Lab {
    /// Awaits that every connection of the lab's five hosts is over on both sides, so that none of its packets is still
    /// under way: who closes last leaves `LAST_ACK` only when the very last one has arrived. What counts packets is exact
    /// from then on.
    pub fn settle(&self) -> Result<()> {
        let mut open = Vec::new();
        wait::until(PATIENCE, || {
            let hosts = [&self.alice, &self.bob, &self.relay, &self.university, &self.stranger];
            open = hosts.into_iter().flat_map(Host::connections).collect();
            open.is_empty().then_some(())
        })
        .with_context(|| format!("connections are not over after {PATIENCE:?}: {open:#?}"))
    }
}

impl Host {
    /// The kernel's lines about connections that are not over, or why they could not be read.
    fn connections(&self) -> Vec<String> {
        let read = |table| fs::read_to_string(format!("/proc/thread-self/net/{table}"));
        let of = |text: String| -> Vec<String> {
            let lines = text.lines().skip(1);
            let open = lines
                .filter(|line| line.split_whitespace().nth(3).is_none_or(|state| !AT_REST.contains(&state)));
            open.map(|line| format!("{}: {line}", self.name)).collect()
        };
        let tables = self.namespace.run(|| ["tcp", "tcp6"].map(read));
        tables.into_iter().flat_map(|text| text.map_or_else(|error| vec![error.to_string()], of)).collect()
    }

    /// One of the kernel's counters of TCP (`netstat --statistics`, in the kernel's own words), `TCPSynRetrans` for one.
    pub fn counter(&self, name: &str) -> Result<u64> {
        let read = |table| fs::read_to_string(format!("/proc/thread-self/net/{table}"));
        let text = self.namespace.run(|| anyhow::Ok(read("snmp")? + &read("netstat")?))?;
        // Lines of names, and behind each the line of their values.
        let mut lines = text.lines().filter(|line| line.starts_with("Tcp")).map(|line| line.split(' '));
        while let (Some(mut names), Some(mut values)) = (lines.next(), lines.next()) {
            if let Some(value) = names.position(|found| found == name).and_then(|place| values.nth(place)) {
                return Ok(value.parse()?);
            }
        }
        bail!("{name}: no counter of TCP's")
    }
}
