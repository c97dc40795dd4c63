//! Where things are pinned, and whether they can be.

use super::fault::Fault;
use gate25_common::abi::ABI_VERSION;
use rustix::fs::{FlockOperation, flock, statfs};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// `BPF_FS_MAGIC` of `linux/magic.h`.
const BPF_FS_MAGIC: i64 = 0xcafe_4a11;

/// The directory tree below the node's `pin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pins {
    root: PathBuf,
}

impl Pins {
    /// Takes `root`, which must lie below a mounted bpffs (it need not exist yet).
    pub fn below(root: &Path) -> Result<Self, Fault> {
        let magic = |path: &Path| statfs(path).ok().map(|found| found.f_type);
        let mount = root.ancestors().skip(1).find(|folder| folder.exists()).unwrap_or(Path::new("/"));
        if magic(mount) == Some(BPF_FS_MAGIC)
            && let Some(name) = root.file_name()
        {
            if name.to_string_lossy().contains('.') {
                let cause = "has a dot in its name, which a bpffs does not take";
                return Err(Fault::new("pin", root.display(), cause, "name it otherwise, as gate25"));
            }
            return Ok(Self { root: root.to_owned() });
        }
        if magic(root) == Some(BPF_FS_MAGIC) {
            let remedy = format!("name a folder in it, as {}", root.join("gate25").display());
            return Err(Fault::new("pin", root.display(), "is the root of a bpffs, not below it", remedy));
        }
        let parent = root.parent().unwrap_or(root);
        let remedy = format!("mount -t bpf bpf {}", parent.display());
        Err(Fault::new("pin", root.display(), "is not on a bpffs", remedy))
    }

    /// The root, which `detach` removes.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Tables that all interfaces share.
    #[must_use]
    pub fn tables(&self) -> PathBuf {
        self.abi().join("tables")
    }

    /// An interface's counters.
    #[must_use]
    pub fn interface(&self, name: &str) -> PathBuf {
        self.abi().join(format!("interface:{}", encode(name)))
    }

    /// The zone counters of all interfaces.
    #[must_use]
    pub fn counts(&self) -> Vec<PathBuf> {
        let folders = fs::read_dir(self.abi()).into_iter().flatten().flatten().map(|entry| entry.path());
        folders.map(|folder| folder.join("COUNTS")).filter(|path| path.exists()).collect()
    }

    /// An interface's link.
    #[must_use]
    pub fn link(&self, name: &str) -> PathBuf {
        self.links().join(encode(name))
    }

    /// An interface's program.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs().join(encode(name))
    }

    /// All programs.
    #[must_use]
    pub fn programs(&self) -> PathBuf {
        self.root.join("programs")
    }

    /// All links.
    #[must_use]
    pub fn links(&self) -> PathBuf {
        self.root.join("links")
    }

    /// The links of the way back.
    #[must_use]
    pub fn return_links(&self) -> PathBuf {
        self.root.join("return-links")
    }

    /// An interface's link of the way back.
    #[must_use]
    pub fn return_link(&self, name: &str) -> PathBuf {
        self.return_links().join(encode(name))
    }

    /// The programs of the way back that clsact has.
    #[must_use]
    pub fn return_filters(&self) -> PathBuf {
        self.root.join("return-filters")
    }

    /// An interface's program of the way back, where clsact has it.
    #[must_use]
    pub fn return_filter(&self, name: &str) -> PathBuf {
        self.return_filters().join(encode(name))
    }

    fn abi(&self) -> PathBuf {
        self.root.join(format!("abi{ABI_VERSION}"))
    }

    /// Makes a folder and what is above it.
    pub fn make(&self, folder: &Path) -> Result<(), Fault> {
        fs::create_dir_all(folder).map_err(|error| {
            Fault::new("pin", folder.display(), error, "gate25 must be able to write there, as root can")
        })
    }

    /// Everything that is there now, `pin` itself included.
    #[must_use]
    pub fn list(&self) -> BTreeSet<PathBuf> {
        let mut found = BTreeSet::new();
        let mut next: Vec<PathBuf> = self.root.exists().then(|| self.root.clone()).into_iter().collect();
        while let Some(path) = next.pop() {
            next.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
            found.insert(path);
        }
        found
    }

    /// Removes what is there beyond that, as far as it goes.
    pub fn restore(&self, before: &BTreeSet<PathBuf>) {
        // What is in a folder sorts behind it.
        for path in self.list().iter().rev().filter(|path| !before.contains(*path)) {
            let removed = if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) };
            if let Err(error) = removed {
                tracing::warn!("{}: {error}: is left behind", path.display());
            }
        }
    }

    /// Removes what is gate25's, and `pin` itself if nothing else is in it. Says whether there was anything of ours.
    pub fn remove(&self) -> Result<bool, Fault> {
        let failed = |path: &Path, error| Fault::new("pin", path.display(), error, "remove it as root");
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let ours: Vec<PathBuf> =
            entries.filter(|entry| is_ours(&entry.file_name())).map(|entry| entry.path()).collect();
        for folder in &ours {
            fs::remove_dir_all(folder).map_err(|error| failed(folder, error))?;
        }
        match fs::remove_dir(&self.root) {
            Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => {
                Err(failed(&self.root, error))
            }
            _ => Ok(!ours.is_empty()),
        }
    }

    /// Takes `pin` for this process, until the lock is dropped: one controller works there at a time.
    pub fn lock(&self) -> Result<Lock, Fault> {
        self.make(&self.root)?;
        let failed = |error: std::io::Error| {
            Fault::new("pin", self.root.display(), error, "gate25 must be able to open it")
        };
        let folder = File::open(&self.root).map_err(failed)?;
        flock(&folder, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            Errno::WOULDBLOCK => {
                let remedy = "end that one first, or give this one a `pin` of its own";
                Fault::new("pin", self.root.display(), "another controller works there", remedy)
            }
            error => failed(error.into()),
        })?;
        Ok(Lock { _folder: folder })
    }
}

/// Holds `pin`, see [`Pins::lock`].
#[derive(Debug)]
pub struct Lock {
    _folder: File,
}

/// The folders that this and other versions make in `pin`.
fn is_ours(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let abi = name.strip_prefix("abi").is_some_and(|version| version.parse::<u32>().is_ok());
    abi || ["links", "return-links", "return-filters", "programs"].contains(&name.as_ref())
}

/// bpffs takes no dot in a name; an interface's name has no colon.
fn encode(interface: &str) -> String {
    interface.replace('.', ":")
}

/// The interface's name of a link's file.
#[must_use]
pub fn decode(file: &str) -> String {
    file.replace(':', ".")
}
