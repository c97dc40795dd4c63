//! Where things are pinned, and whether they can be.

use super::fault::Fault;
use gate25_common::abi::ABI_VERSION;
use rustix::fs::statfs;
use std::collections::BTreeSet;
use std::fs;
use std::io;
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
        if magic(mount) == Some(BPF_FS_MAGIC) && root.file_name().is_some() {
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

    /// Removes everything, `pin` itself included. Says whether there was anything.
    pub fn remove(&self) -> Result<bool, Fault> {
        match fs::remove_dir_all(&self.root) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Fault::new("pin", self.root.display(), error, "remove it as root")),
        }
    }
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
