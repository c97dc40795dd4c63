//! Notices that a policy changed on disk.
//!
//! It looks, five times a second, at what every file *is* (device, inode, size, times of change, through all links),
//! rather than asking inotify what was *done*: so an editor's rename, a swapped symlink anywhere on the way (Kubernetes,
//! config management), a bind mount and a network file system are all the same case. A change is reported once it has
//! held still from one look to the next, so that a file is not read while it is being written.

use crate::policy::{self, Loaded, Refused, files};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What the files were at one look.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look(Vec<Option<[i128; 6]>>);

impl Look {
    fn at(files: &[PathBuf]) -> Self {
        let identity = |path: &PathBuf| {
            let metadata = fs::metadata(path).ok()?;
            if metadata.is_dir() {
                return Some([
                    i128::from(metadata.dev()),
                    i128::from(metadata.ino()),
                    i128::from(names(path)),
                    0,
                    0,
                    0,
                ]);
            }
            let nanoseconds =
                |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
            Some([
                i128::from(metadata.dev()),
                i128::from(metadata.ino()),
                i128::from(metadata.len()),
                i128::from(metadata.mode()),
                nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
                nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            ])
        };
        Self(files.iter().map(identity).collect())
    }
}

/// Which policy files a directory has. What else comes and goes there is no change.
fn names(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let names: BTreeSet<OsString> = entries.filter(|name| files::is_policy(name)).collect();
    let mut hasher = DefaultHasher::new();
    names.hash(&mut hasher);
    hasher.finish()
}

/// Watches a set of files and directories.
#[derive(Debug)]
pub struct Watch {
    files: Vec<PathBuf>,
    /// As they were read.
    read: Look,
    /// As they were at the last look.
    last: Look,
}

impl Watch {
    /// Begins with what the files are now; call it before reading them.
    #[must_use]
    pub fn new(files: Vec<PathBuf>) -> Self {
        let look = Look::at(&files);
        Self { files, read: look.clone(), last: look }
    }

    /// Loads the policy with every file watched from before it was read; also those that only the policy itself names,
    /// for which it is read once more.
    pub fn load(path: &Path, known: &[PathBuf]) -> (Result<Loaded, Refused>, Self) {
        let mut files = vec![path.to_owned()];
        files.extend(known.iter().filter(|file| *file != path).cloned());
        loop {
            let watch = Self::new(files.clone());
            let loaded = policy::load(path);
            let sources = match &loaded {
                Ok(loaded) => &loaded.policy.sources,
                Err(refused) => &refused.sources,
            };
            let new: Vec<PathBuf> =
                sources.iter().filter(|source| !files.contains(source)).cloned().collect();
            if new.is_empty() {
                return (loaded, watch);
            }
            files.extend(new);
        }
    }

    /// Whether the files are others than when they were read, and hold still.
    pub fn changed(&mut self) -> bool {
        let look = Look::at(&self.files);
        let still = look == self.last;
        self.last = look;
        still && self.last != self.read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_change_is_reported_once_it_holds_still() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.yaml");
        fs::write(&file, "one").unwrap();
        let mut watch = Watch::new(vec![file.clone()]);
        assert!(!watch.changed());
        fs::write(&file, "other").unwrap();
        assert!(!watch.changed(), "still moving");
        assert!(watch.changed());
    }

    #[test]
    fn a_swapped_symlink_on_the_way_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for release in ["1", "2"] {
            fs::create_dir(at(release)).unwrap();
            fs::write(at(release).join("policy.yaml"), "same length").unwrap();
        }
        symlink(at("1"), at("current")).unwrap();
        let mut watch = Watch::new(vec![at("current/policy.yaml")]);
        symlink(at("2"), at("next")).unwrap();
        fs::rename(at("next"), at("current")).unwrap();
        assert!(!watch.changed());
        assert!(watch.changed());
    }

    #[test]
    fn what_is_no_policy_may_come_and_go_in_a_directory() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.yaml"), "one").unwrap();
        let mut watch = Watch::new(vec![folder.path().to_owned()]);
        fs::write(folder.path().join(".a.yaml.swp"), "editor").unwrap();
        assert!(!watch.changed());
        assert!(!watch.changed());
        fs::write(folder.path().join("b.yaml"), "two").unwrap();
        assert!(!watch.changed());
        fs::write(folder.path().join("noise"), "still").unwrap();
        assert!(watch.changed());
    }

    #[test]
    fn a_file_that_goes_and_one_that_comes_are_changes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.yaml");
        let mut watch = Watch::new(vec![file.clone()]);
        fs::write(&file, "here").unwrap();
        assert!(!watch.changed());
        assert!(watch.changed());
        fs::remove_file(&file).unwrap();
        let mut watch = Watch::new(vec![file]);
        assert!(!watch.changed());
    }
}
