//! What `gate25 status` shows: the answer to [`Request::Status`](super::Request::Status).

use crate::policy::Policy;
use crate::status::{Interface, Refusal, Status};
use gate25_common::verdict::{Action, Mode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;

/// The state of a running controller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Of the controller.
    pub version: Cow<'static, str>,
    /// Its process.
    pub pid: u32,
    /// Since when it runs.
    pub started: Timestamp,
    /// `enforce` of the node.
    pub enforce: bool,
    /// Whether every interface enforces, or monitors with `enforce: false`.
    pub healthy: bool,
    /// Where the policy is.
    pub policy: PathBuf,
    /// SHA-256 of the policy in force.
    pub digest: String,
    /// Its generation.
    pub generation: u32,
    /// When it was loaded.
    pub loaded: Option<Timestamp>,
    /// How long ago, in seconds.
    pub age_seconds: u64,
    /// When it was kept, if it is the one kept in `state`, for its path could not be read.
    pub kept_since: Option<Timestamp>,
    /// How many relays, exceptions and blocks it has.
    pub rules: usize,
    /// When a rule begins or ends next.
    pub next_change: Option<Timestamp>,
    /// The last policy that was refused.
    pub last_refusal: Option<Refusal>,
    /// By how much the wall clock is behind the newest time seen.
    pub clock_behind_seconds: f64,
    /// A line an interface.
    pub interfaces: Vec<Interface>,
    /// A line a zone.
    pub zones: Vec<ZoneReport>,
}

/// A zone of the policy in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ZoneReport {
    /// Its id.
    pub zone: String,
    /// What it does here: `monitor` on a node that does not enforce.
    pub mode: Cow<'static, str>,
    /// What a blocked connection gets.
    pub action: Cow<'static, str>,
    /// Of those that it redirects to, what does not answer.
    pub down: Vec<String>,
    /// New connections that were blocked (or would have been), a minute: over the last minute.
    pub blocked_per_minute: f64,
    /// New connections that were not.
    pub passed_per_minute: f64,
}

impl Report {
    /// Of a controller that has a policy in force.
    #[must_use]
    pub fn new(status: &Status) -> Self {
        let installed = status.installed.clone().unwrap_or_default();
        let node = &status.node;
        let slots: HashMap<&str, u32> =
            installed.zones.iter().map(|(slot, zone)| (zone.as_str(), *slot)).collect();
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            started: node.started,
            enforce: node.enforce,
            healthy: status.is_healthy(),
            policy: node.policy.clone(),
            digest: installed.digest.clone(),
            generation: installed.active.generation(),
            loaded: installed.loaded,
            age_seconds: installed.since.map_or(0, |since| since.elapsed().as_secs()),
            kept_since: status.kept_since,
            rules: installed.rules.len(),
            next_change: installed.next_change,
            last_refusal: status.refusal.clone(),
            clock_behind_seconds: status.clock_behind,
            interfaces: status.interfaces.clone(),
            zones: zones(&installed.policy, status, &slots),
        }
    }
}

fn zones(policy: &Policy, status: &Status, slots: &HashMap<&str, u32>) -> Vec<ZoneReport> {
    let report = |zone: &crate::policy::Zone| {
        let rate = slots.get(zone.id.as_str()).and_then(|slot| status.rates.get(slot)).copied();
        let down = status.redirects.iter().filter(|redirect| redirect.zone == zone.id && !redirect.is_up);
        let mode = if status.node.enforce { zone.mode } else { Mode::Monitor };
        ZoneReport {
            zone: zone.id.clone(),
            mode: mode.label().into(),
            action: zone.action.label().into(),
            down: down.map(|redirect| redirect.address.to_string()).collect(),
            blocked_per_minute: rate.unwrap_or_default().blocked,
            passed_per_minute: rate.unwrap_or_default().passed,
        }
    };
    policy.zones.iter().map(report).collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let never = || "none".to_owned();
        let state = match (self.healthy, self.enforce) {
            (true, true) => "enforcing",
            (true, false) => "monitoring (the node says enforce: false)",
            (false, _) => "NOT ENFORCING",
        };
        let kept = self.kept_since.map_or_else(String::new, |since| {
            format!(" (unreadable: the one kept in `state` at {since:.0} is in force)")
        });
        let loaded = self.loaded.map_or_else(never, |loaded| {
            format!("{loaded:.0}, {} ago; generation {}", ago(self.age_seconds), self.generation)
        });
        let refusal = self.last_refusal.as_ref().map_or_else(never, |refusal| {
            let first = refusal.problems.first().map_or("", String::as_str);
            let more = match refusal.problems.len() {
                0 | 1 => String::new(),
                problems => format!(" (and {} more)", problems - 1),
            };
            format!("{:.0}: {first}{more}", refusal.time)
        });
        let mut rows = vec![
            ("state", state.to_owned()),
            ("controller", format!("{}, pid {}, since {:.0}", self.version, self.pid, self.started)),
            ("policy", format!("{}{kept}", self.policy.display())),
            ("loaded", loaded),
            ("digest", self.digest.clone()),
            ("rules", self.rules.to_string()),
            ("next change", self.next_change.map_or_else(never, |instant| instant.to_string())),
            ("last refusal", refusal),
        ];
        if self.clock_behind_seconds > 0.0 {
            let behind = format!("{:.0} s behind the newest time seen", self.clock_behind_seconds);
            rows.push((
                "clock",
                format!("{behind}: what has ended stays ended (gate25 reload --trust-clock)"),
            ));
        }
        rows.iter().try_for_each(|(name, value)| writeln!(f, "{name:<13} {value}"))?;
        writeln!(f, "\n{:<15} {:<8} STATE", "INTERFACE", "MODE")?;
        for Interface { name, mode, why, .. } in &self.interfaces {
            writeln!(f, "{name:<15} {:<8} {}", mode.label(), why.as_deref().unwrap_or("attached"))?;
        }
        let width = self.zones.iter().map(|zone| zone.zone.chars().count()).max().unwrap_or(0).max(15);
        writeln!(
            f,
            "\n{:<width$} {:<8} {:<7} {:>12} {:>11}",
            "ZONE", "MODE", "ACTION", "BLOCKED/MIN", "PASSED/MIN"
        )?;
        for zone in &self.zones {
            let ZoneReport { zone, mode, action, down, blocked_per_minute, passed_per_minute } = zone;
            let instead = if action == Action::Drop.label() { "" } else { ", reset instead" };
            let down = match down.as_slice() {
                [] => String::new(),
                down => format!("  {} does not answer{instead}", down.join(", ")),
            };
            writeln!(
                f,
                "{zone:<width$} {mode:<8} {action:<7} {blocked_per_minute:>12.1} {passed_per_minute:>11.1}{down}"
            )?;
        }
        Ok(())
    }
}

/// `3 d 4 h`, `12 min`, `7 s`.
fn ago(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}
