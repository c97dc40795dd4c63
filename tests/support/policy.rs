//! Policies for labs.

use anyhow::{Context as _, Result};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Zone west, where alice is and a blocked connection is reset; and a relay. Entries of the last key, `exceptions`, may
/// follow; bob is in no zone.
pub const WEST: &str = r#"version: 1
zones:
  - id: west
    subscribers: ["203.0.113.0/25", "2001:db8:100::/48"]
    mode: enforce
    action: reset
relays:
  - id: outbound
    addresses: ["192.0.2.25", "2001:db8:25::/64"]
"#;

/// The lab's university, as a list in YAML.
pub const UNIVERSITY: &str = r#"["198.51.100.0/24", "2001:db8:51::/48"]"#;

/// [`WEST`], and everybody may reach the university.
#[must_use]
pub fn open() -> String {
    format!("{WEST}exceptions:\n{}", exception("campus", "permanent: true"))
}

/// An exception for the university, for as long as `term` says.
#[must_use]
pub fn exception(id: &str, term: &str) -> String {
    format!("  - {{id: {id}, destinations: {UNIVERSITY}, owner: noc, reason: lab, {term}}}\n")
}

/// Puts a file in place as careful people do: beside it, then renamed over it.
pub fn put(file: &Path, text: &str) -> Result<()> {
    let new = file.with_extension("new");
    fs::write(&new, text).with_context(|| new.display().to_string())?;
    fs::rename(&new, file).with_context(|| file.display().to_string())
}

/// A policy file in that folder.
pub fn write(folder: &Path, text: &str) -> Result<PathBuf> {
    let file = folder.join("policy.yaml");
    put(&file, text)?;
    Ok(file)
}
