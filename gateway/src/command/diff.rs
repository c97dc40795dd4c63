//! `gate25 diff` for people: who is enforced, who loses and gains what, in a size that is read.

use crate::diff::{Affected, Change, Cover, Difference, Line, Outcome, Size, ZoneChange};
use crate::policy::problem::grouped;
use std::fmt;

/// Lines of each change that are shown; the others are counted.
const LINES: usize = 20;
/// Prefixes of a set that are shown.
const PREFIXES: usize = 4;
/// Names in a list that are shown.
const NAMES: usize = 10;

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return writeln!(f, "nothing changes");
        }
        writeln!(f, "at {}", self.at)?;
        for turn in &self.enforcement {
            let (word, meaning) = match turn.change {
                "begins" => ("ENFORCEMENT BEGINS", "what is blocked there was only counted"),
                _ => ("ENFORCEMENT ENDS", "what is blocked there is only counted, or passes"),
            };
            writeln!(
                f,
                "{word}: {}: {} ({}): {meaning}",
                zone(turn.zone.as_ref()),
                turn.size,
                short(&turn.subscribers)
            )?;
        }
        self.zones.iter().try_for_each(|change| writeln!(f, "{change}"))?;
        for moved in &self.moved {
            let (from, to) = (zone(moved.old_zone.as_ref()), zone(moved.zone.as_ref()));
            writeln!(f, "moved: {from} -> {to}: {} ({})", moved.size, short(&moved.subscribers))?;
        }
        for change in ["added", "removed", "changed"] {
            let rules = self.rules.iter().filter(|rule| rule.change == change).map(|rule| {
                let keys = rule.keys.join(", ");
                if keys.is_empty() {
                    format!("{} {}", rule.kind, rule.id)
                } else {
                    format!("{} {} ({keys})", rule.kind, rule.id)
                }
            });
            let rules: Vec<String> = rules.collect();
            if !rules.is_empty() {
                writeln!(f, "rules {change}: {}", some(&rules, NAMES, ", "))?;
            }
        }
        writeln!(f, "lose access: {}", self.summary.lose)?;
        writeln!(f, "gain access: {}", self.summary.gain)?;
        table(&self.changes, f)
    }
}

/// The first lines of each change, in columns.
fn table(changes: &[Line], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut rows = vec![["change", "zone", "subscribers", "destinations", "was", "is"].map(str::to_owned)];
    let mut left_out = Vec::new();
    for change in [Change::Lose, Change::Gain, Change::Why] {
        let lines: Vec<&Line> = changes.iter().filter(|line| line.change == change).collect();
        rows.extend(lines.iter().take(LINES).map(|line| {
            let who = line.zone.clone().unwrap_or_else(|| "-".to_owned());
            [
                change.label().to_owned(),
                who,
                short(&line.subscribers),
                short(&line.destinations),
                line.old.to_string(),
                line.new.to_string(),
            ]
        }));
        if lines.len() > LINES {
            left_out.push(format!("{} more of {}", grouped(lines.len() - LINES), change.label()));
        }
    }
    if changes.is_empty() {
        return Ok(());
    }
    writeln!(f)?;
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    if !left_out.is_empty() {
        writeln!(f, "({}; --json has all)", left_out.join(", "))?;
    }
    Ok(())
}

/// `west`, or what a subscriber of no zone is.
fn zone(id: Option<&String>) -> String {
    id.map_or_else(|| "no zone (passes)".to_owned(), |id| format!("zone {id}"))
}

/// The first prefixes of a set.
fn short(set: &Cover) -> String {
    let list = |list: &[ipnetwork::IpNetwork]| {
        some(&list.iter().map(ToString::to_string).collect::<Vec<_>>(), PREFIXES, " ")
    };
    let without =
        if set.except.is_empty() { String::new() } else { format!(" except {}", list(&set.except)) };
    format!("{}{without}", list(&set.prefixes))
}

fn some(list: &[String], most: usize, between: &str) -> String {
    let shown = list[..list.len().min(most)].join(between);
    if list.len() <= most {
        shown
    } else {
        format!("{shown}{between}and {} more", grouped(list.len() - most))
    }
}

impl fmt::Display for ZoneChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = "-".to_owned();
        let words = self.keys.iter().map(|(key, words)| {
            let (old, new) = (words.old.as_ref().unwrap_or(&none), words.new.as_ref().unwrap_or(&none));
            match self.change {
                "changed" => format!("{key} {old} -> {new}"),
                "removed" => format!("{key} {old}"),
                _ => format!("{key} {new}"),
            }
        });
        write!(f, "zone {}: {} ({})", self.change, self.zone, words.collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |number: u64, one: &str, more: &str| {
            (number > 0)
                .then(|| format!("{} {}", grouped(number as usize), if number == 1 { one } else { more }))
        };
        let parts = [
            number(self.ipv4_addresses, "IPv4 address", "IPv4 addresses"),
            number(self.ipv6_networks, "IPv6 /64", "IPv6 /64s"),
        ];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(" and "))
    }
}

impl fmt::Display for Affected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.zones.is_empty() {
            return f.write_str("nobody");
        }
        let zones: Vec<String> =
            self.zones.iter().map(|id| id.clone().unwrap_or_else(|| "no zone".to_owned())).collect();
        write!(f, "{} in {}", self.subscribers, some(&zones, NAMES, ", "))
    }
}

impl fmt::Display for Outcome {
    /// `exception campus`, `default, reset`, `expired campus (ended 2004-07-28T07:00:00Z), monitored`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason)?;
        if let Some(rule) = &self.rule {
            write!(f, " {rule}")?;
        }
        if let (Some(until), "expired") = (self.until, self.reason) {
            write!(f, " (ended {until})")?;
        }
        match (self.verdict, self.enforced) {
            ("block", true) => write!(f, ", {}", self.action),
            ("block", false) => f.write_str(", monitored"),
            _ => Ok(()),
        }
    }
}
