//! The newest time seen, as a file.

use super::Found;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::PathBuf;

/// The newest that the wall clock was while a policy was in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Newest {
    /// That time.
    pub(super) time: Timestamp,
    /// Where the policy came from. Absolute.
    pub(super) policy: PathBuf,
    /// See [`crate::policy::Policy::sense`].
    pub(super) sense: String,
}

pub(super) fn read(Found { octets, .. }: Found) -> Result<Newest, String> {
    serde_json::from_slice(&octets).map_err(|error| error.to_string())
}

pub(super) fn write(newest: &Newest) -> io::Result<Vec<u8>> {
    let mut octets = serde_json::to_vec(newest)?;
    octets.push(b'\n');
    Ok(octets)
}
