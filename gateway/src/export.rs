//! The policy at an instant for other tools: nftables, other routers' prefix lists, a DNS list.
//!
//! `plan` says it once, from the policy's own words and not from the compiler's tables; each format only writes that
//! down. The same policy and instant give the same octets, so that an export can be kept under version control.

mod nftables;
mod notes;
mod plan;
mod prefixes;
mod rbldnsd;
mod sets;

use crate::policy::Policy;
use jiff::Timestamp;
use std::fmt::Write as _;

/// For whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A ruleset for nft -f that decides the same
    Nftables,
    /// Lists of prefixes, and rules over them, for other routers
    Prefixes,
    /// The addresses that send no mail themselves, as a DNS list
    Rbldnsd,
}

/// What is wanted of a policy.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// In which form.
    pub format: Format,
    /// As of when.
    pub at: Timestamp,
    /// Whether a ruleset goes on from there, so that its exceptions end when they do; else it stays as it is at `at`.
    pub goes_on: bool,
    /// Names were looked up, and are among the policy's addresses.
    pub knows_names: bool,
    /// Subscriber interfaces of a ruleset; none is every interface.
    pub interfaces: Vec<String>,
}

/// A policy for another tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// The whole file.
    pub text: String,
    /// What of the policy is not in it; the file's head has it, too.
    pub warnings: Vec<String>,
}

/// Writes a policy down for another tool.
#[must_use]
pub fn export(policy: &Policy, wanted: &Wanted) -> Export {
    let Wanted { format, at, goes_on, ref interfaces, .. } = *wanted;
    let dated = match format {
        Format::Nftables => goes_on,
        Format::Prefixes => true,
        Format::Rbldnsd => false,
    };
    let parts = plan::parts(policy, at, dated);
    let warnings = notes::notes(policy, wanted, dated);
    let (title, about): (&str, &[&str]) = match format {
        Format::Nftables => ("an nftables ruleset", &nftables::ABOUT),
        Format::Prefixes => ("prefixes for other routers", &prefixes::ABOUT),
        Format::Rbldnsd => ("addresses that send no mail themselves, for rbldnsd", &rbldnsd::ABOUT),
    };
    let mut text = format!(
        "# Port-25 policy: {title}, made by gate25 {}\n# policy {}\n# at {at:.0}\n#\n",
        env!("CARGO_PKG_VERSION"),
        policy.digest
    );
    for line in about {
        let _ = writeln!(text, "# {line}");
    }
    if !warnings.is_empty() {
        text.push_str("#\n# Not as gate25 does it:\n");
    }
    for warning in &warnings {
        let _ = writeln!(text, "# - {warning}");
    }
    text.push('\n');
    text.push_str(&match format {
        Format::Nftables => nftables::ruleset(&parts, interfaces),
        Format::Prefixes => prefixes::lines(&parts),
        Format::Rbldnsd => rbldnsd::dataset(&parts),
    });
    Export { text, warnings }
}
