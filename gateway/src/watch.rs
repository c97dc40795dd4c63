//! Notices that a policy changed on disk.
//!
//! It looks, five times a second, at what every file *is* (device, inode, size, times of change, through all links),
//! rather than asking inotify what was *done*: so an editor's rename, a swapped symlink anywhere on the way (Kubernetes,
//! config management), a bind mount and a network file system are all the same case. A change is reported once it has
//! held still from one look to the next, so that a file is not read while it is being written.

use crate::heart;
use crate::policy::{self, Loaded, Refused, files};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What a file is; nothing where there is none.
type Identity = Option<[i128; 6]>;

fn identity(path: &Path) -> Identity {
    let metadata = heart::waiting(|| fs::metadata(path)).ok()?;
    let (device, inode) = (i128::from(metadata.dev()), i128::from(metadata.ino()));
    if metadata.is_dir() {
        return Some([device, inode, i128::from(names(path)), 0, 0, 0]);
    }
    let nanoseconds = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
    Some([
        device,
        inode,
        i128::from(metadata.len()),
        i128::from(metadata.mode()),
        nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
        nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
    ])
}

/// Which policy files a directory has. What else comes and goes there is no change.
fn names(directory: &Path) -> u64 {
    let names: BTreeSet<OsString> = heart::waiting(|| {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name()).filter(|name| files::is_policy(name)).collect()
    });
    let mut hasher = DefaultHasher::new();
    names.hash(&mut hasher);
    hasher.finish()
}

/// Watches a set of files and directories.
#[derive(Debug, Default)]
pub struct Watch {
    files: Vec<PathBuf>,
    /// As they were read.
    read: Vec<Identity>,
    /// As they were at the last look.
    last: Vec<Identity>,
}

impl Watch {
    /// Looks at a file, which is about to be read.
    fn add(&mut self, file: &Path) {
        self.files.push(file.to_owned());
        self.read.push(identity(file));
    }

    /// Loads the policy. Each of its files was looked at before it was read, so that no change between the two is missed.
    pub fn load(path: &Path) -> (Result<Loaded, Refused>, Self) {
        let mut watch = Self::default();
        let loaded = policy::load_seeing(path, &mut |file| watch.add(file));
        watch.last.clone_from(&watch.read);
        (loaded, watch)
    }

    /// Whether the files are others than when they were read, and hold still.
    pub fn changed(&mut self) -> bool {
        let look = self.files.iter().map(|file| identity(file)).collect();
        let still = look == self.last;
        self.last = look;
        still && self.last != self.read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn watching(file: &Path) -> Watch {
        let mut watch = Watch::default();
        watch.add(file);
        watch.last.clone_from(&watch.read);
        watch
    }

    #[test]
    fn each_file_is_looked_at_before_it_is_read_and_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("p")).unwrap();
        fs::write(at("p/a.yaml"), "version: 1\nzones: [{id: west, subscribers: [203.0.113.0/24]}]\n")
            .unwrap();
        let rule = |id| {
            format!("- {{id: {id}, destinations_file: ../list, permanent: true, owner: o, reason: r}}\n")
        };
        fs::write(at("p/b.yaml"), format!("version: 1\nexceptions:\n{}{}", rule("a"), rule("b"))).unwrap();
        fs::write(at("list"), "198.51.100.7\n").unwrap();
        let files = ["p", "p/a.yaml", "p/b.yaml", "p/../list"].map(at);

        let (loaded, watch) = Watch::load(&at("p"));
        assert_eq!((&watch.files[..], loaded.unwrap().policy.sources), (&files[..], files.to_vec()));

        // As each is seen, it becomes another: that one is read, and the next look finds a change.
        for (number, other) in files.iter().enumerate() {
            let mut watch = Watch::default();
            let loaded = policy::load_seeing(&at("p"), &mut |file| {
                watch.add(file);
                if file == other {
                    match number {
                        0 => fs::write(at("p/c.yaml"), "version: 1\n").unwrap(),
                        _ => fs::write(file, fs::read_to_string(file).unwrap() + "# other\n").unwrap(),
                    }
                }
            });
            watch.last.clone_from(&watch.read);
            let kept = loaded.unwrap().kept;
            let is_read = match number {
                0 => kept.files.contains_key(&at("p/c.yaml")),
                _ => kept.files[other].ends_with(b"# other\n"),
            };
            assert!(is_read, "{}", other.display());
            watch.changed();
            assert!(watch.changed(), "{}", other.display());
        }
    }

    #[test]
    fn a_change_is_reported_once_it_holds_still() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.yaml");
        fs::write(&file, "one").unwrap();
        let mut watch = watching(&file);
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
        let mut watch = watching(&at("current/policy.yaml"));
        symlink(at("2"), at("next")).unwrap();
        fs::rename(at("next"), at("current")).unwrap();
        assert!(!watch.changed());
        assert!(watch.changed());
    }

    #[test]
    fn what_is_no_policy_may_come_and_go_in_a_directory() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.yaml"), "one").unwrap();
        let mut watch = watching(folder.path());
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
        let mut watch = watching(&file);
        fs::write(&file, "here").unwrap();
        assert!(!watch.changed());
        assert!(watch.changed());
        fs::remove_file(&file).unwrap();
        let mut watch = watching(&file);
        assert!(!watch.changed());
    }
}
