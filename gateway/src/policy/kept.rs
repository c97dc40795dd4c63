//! The files of a policy, kept for when they cannot be read.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{self, Path, PathBuf};

/// What a policy was made of; [`super::load_kept`] makes it again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Where the policy is: a file, or a directory. Absolute.
    pub policy: PathBuf,
    /// The octets of every file, its lists too, by absolute path as it was reached.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Kept {
    /// Whether the policy is a directory.
    pub(super) fn is_folder(&self) -> bool {
        !self.files.contains_key(&self.policy)
    }

    /// The names of the files that are in the policy's directory.
    pub(super) fn names(&self) -> Vec<OsString> {
        let inside = |file: &&PathBuf| file.parent() == Some(self.policy.as_path());
        self.files.keys().filter(inside).filter_map(|file| file.file_name()).map(OsString::from).collect()
    }
}

/// The path from the root, wherever this process stands; links on the way are followed when it is used.
#[must_use]
pub fn place(path: &Path) -> PathBuf {
    path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
