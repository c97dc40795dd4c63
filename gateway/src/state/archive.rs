//! The files of a policy as one archive: a tar file that people can open, too.
//!
//! First `manifest.json`, which says where the policy was and what the files' paths were; then the files, numbered in that
//! order, each under its last name. (Their paths themselves could not all be names in an archive.)

use super::Found;
use crate::policy::Kept;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use tar::{Archive, Builder, Entries, EntryType, Header};

const MANIFEST: &str = "manifest.json";

/// An archive that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived {
    /// The files.
    pub kept: Kept,
    /// The digest of the policy that they were.
    pub digest: String,
    /// When they were written: when that policy came into force.
    pub written: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    policy: PathBuf,
    digest: String,
    files: Vec<PathBuf>,
}

/// Whether the file at `path` is the archive that would be written.
pub(super) fn is_at(path: &Path, kept: &Kept, digest: &str) -> bool {
    let is_same = || -> io::Result<bool> {
        if !fs::metadata(path)?.is_file() {
            return Ok(false);
        }
        let mut same = Same(BufReader::with_capacity(PIECE, File::open(path)?));
        write(kept, digest, &mut same)?;
        Ok(same.0.fill_buf()?.is_empty())
    };
    is_same().unwrap_or(false)
}

/// So many octets of a file are compared together.
const PIECE: usize = 1 << 16;

/// Takes what the reader has next, and nothing else.
struct Same<R>(R);

impl<R: BufRead> Write for Same<R> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let there = self.0.fill_buf()?;
        let length = there.len().min(octets.len());
        if there[..length] != octets[..length] {
            return Err(ErrorKind::InvalidData.into());
        }
        self.0.consume(length);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the archive, whose octets depend on nothing but what is in it.
pub(super) fn write(kept: &Kept, digest: &str, to: impl Write) -> io::Result<()> {
    let manifest = Manifest {
        policy: kept.policy.clone(),
        digest: digest.to_owned(),
        files: kept.files.keys().cloned().collect(),
    };
    let mut archive = Builder::new(to);
    append(&mut archive, Path::new(MANIFEST), &serde_json::to_vec_pretty(&manifest)?)?;
    for (number, (path, octets)) in kept.files.iter().enumerate() {
        append(&mut archive, &name(number, path), octets)?;
    }
    archive.finish()
}

fn append(archive: &mut Builder<impl Write>, name: &Path, octets: &[u8]) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o640);
    header.set_size(octets.len() as u64);
    archive.append_data(&mut header, name, octets)
}

fn name(number: usize, path: &Path) -> PathBuf {
    Path::new("files").join(number.to_string()).join(path.file_name().unwrap_or_default())
}

/// The archive in a file; an error says what is wrong with it.
pub(super) fn read(Found { octets, written }: Found) -> Result<Archived, String> {
    let mut archive = Archive::new(octets.as_slice());
    let mut entries = archive.entries().map_err(|error| error.to_string())?;
    let manifest = next(&mut entries, Path::new(MANIFEST))?;
    let Manifest { policy, digest, files } =
        serde_json::from_slice(&manifest).map_err(|error| format!("{MANIFEST}: {error}"))?;
    let mut kept = Kept { policy, ..Kept::default() };
    for (number, path) in files.into_iter().enumerate() {
        let octets = next(&mut entries, &name(number, &path))?;
        kept.files.insert(path, octets);
    }
    Ok(Archived { kept, digest, written })
}

/// The next entry, which must have that name.
fn next(entries: &mut Entries<'_, &[u8]>, name: &Path) -> Result<Vec<u8>, String> {
    let missing = || format!("there is no {}", name.display());
    let mut entry = entries.next().ok_or_else(missing)?.map_err(|error| error.to_string())?;
    if entry.path().map_err(|error| error.to_string())? != name {
        return Err(missing());
    }
    // What it says of its size may be wrong; there cannot be more than the archive has.
    let mut octets = Vec::new();
    entry.read_to_end(&mut octets).map_err(|error| error.to_string())?;
    if entry.size() != octets.len() as u64 {
        return Err(format!("{} is cut short", name.display()));
    }
    Ok(octets)
}
