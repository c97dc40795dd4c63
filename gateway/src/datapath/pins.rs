//! Where things are pinned, and whether they can be.

use super::fault::Fault;
use gate25_common::abi::ABI_VERSION;
use rustix::fs::statfs;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
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
        self.abi().join(format!("{INTERFACE}{}", encode(name)))
    }

    /// The zone counters of all interfaces.
    #[must_use]
    pub fn counts(&self) -> Vec<PathBuf> {
        let folders = interfaces(&self.abi()).into_iter();
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

    /// What becomes of that folder as `detach` begins: no controller attaches anything again from then on.
    #[must_use]
    pub fn detached(&self) -> PathBuf {
        self.root.join("detached")
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

    /// The programs of those links.
    #[must_use]
    pub fn return_programs(&self) -> PathBuf {
        self.root.join("return-programs")
    }

    /// An interface's program of the way back.
    #[must_use]
    pub fn return_program(&self, name: &str) -> PathBuf {
        self.return_programs().join(encode(name))
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

    /// The tables and counters of this version.
    fn abi(&self) -> PathBuf {
        self.root.join(format!("abi{ABI_VERSION}"))
    }

    /// The tables and counters of every version, by version.
    #[must_use]
    pub fn trees(&self) -> BTreeMap<u32, PathBuf> {
        let version = |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix("abi")?.parse().ok();
        let folders = entries(&self.root).into_iter().filter(|path| path.is_dir());
        folders.filter_map(|path| Some((version(&path)?, path))).collect()
    }

    /// Those of other versions.
    #[must_use]
    pub fn other_trees(&self) -> BTreeMap<u32, PathBuf> {
        self.trees().into_iter().filter(|(version, _)| *version != ABI_VERSION).collect()
    }

    /// Makes all folders that an interface needs.
    pub fn make_all(&self, name: &str) -> Result<(), Fault> {
        let own = [self.tables(), self.interface(name), self.links(), self.programs()];
        own.iter()
            .chain(&[self.return_links(), self.return_programs(), self.return_filters()])
            .try_for_each(|folder| self.make(folder))
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
}

/// What is in a folder, in order; nothing if there is no such folder.
#[must_use]
pub fn entries(folder: &Path) -> Vec<PathBuf> {
    let found: BTreeSet<_> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    found.into_iter().collect()
}

/// The folders of interfaces' counters in a tree of any version.
#[must_use]
pub fn interfaces(tree: &Path) -> Vec<PathBuf> {
    let is_one = |path: &PathBuf| {
        path.is_dir() && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(INTERFACE))
    };
    entries(tree).into_iter().filter(is_one).collect()
}

/// The interface's name of such a folder.
#[must_use]
pub fn interface_of(folder: &Path) -> String {
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.strip_prefix(INTERFACE).unwrap_or(&name).replace(':', ".")
}

/// How the folder of an interface's counters begins.
const INTERFACE: &str = "interface:";

/// bpffs takes no dot in a name; an interface's name has no colon.
fn encode(interface: &str) -> String {
    interface.replace('.', ":")
}

/// The interface's name of a pin's.
#[must_use]
pub fn decode(pin: &Path) -> String {
    pin.file_name().map(|file| file.to_string_lossy().replace(':', ".")).unwrap_or_default()
}
