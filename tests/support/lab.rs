//! The lab: two subscribers, the edge where the gate runs, and three mail servers beyond it.

use crate::{
    namespace::Namespace,
    reaper::{self, Reaper},
    topology, wait,
};
use anyhow::{Context as _, Result, ensure};
use nix::mount::{MsFlags, mount};
use std::{
    fmt, fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::OwnedFd,
    os::linux::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
    str::FromStr,
    sync::{
        Arc, Once,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// The subscriber interface in [`Lab::edge`], where the gate belongs.
pub const INTERFACE: &str = "eth1";

/// A machine with one interface, `eth0`, and one address a family.
#[derive(Debug)]
pub struct Host {
    /// What people call it.
    pub name: &'static str,
    /// Where to run things on it.
    pub namespace: Namespace,
    /// Its IPv4 address.
    pub v4: Ipv4Addr,
    /// Its IPv6 address.
    pub v6: Ipv6Addr,
}

impl Host {
    /// Both its addresses, IPv4 first.
    #[must_use]
    pub fn addresses(&self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }
}

/// What [`Lab::second_interface`] added.
#[derive(Debug)]
pub struct SecondInterface {
    /// The subscriber behind it.
    pub host: Host,
    _pass: OwnedFd,
}

/// A lab; it and everything running in it is gone after the drop, or soon after the process, however that ends.
#[derive(Debug)]
pub struct Lab {
    /// A subscriber in 203.0.113.0/25 and `2001:db8:100::/48`.
    pub alice: Host,
    /// A subscriber in 203.0.113.128/25 and `2001:db8:101::/48`.
    pub bob: Host,
    /// The router between the two sides; the subscribers are behind its [`INTERFACE`].
    pub edge: Namespace,
    /// A mail server in 192.0.2.0/25 and `2001:db8:25::/48`.
    pub relay: Host,
    /// A mail server in 198.51.100.0/24 and `2001:db8:51::/48`.
    pub university: Host,
    /// A mail server in 192.0.2.128/25 and `2001:db8:bad::/48`.
    pub stranger: Host,
    folder: PathBuf,
    traces: Traces,
    /// Subscribers added later.
    subscribers: AtomicU32,
    /// What has to stay: the two switches, and the pass program on one's port.
    kept: (Namespace, Namespace, OwnedFd),
    /// The last field, as fields are dropped in order.
    reaper: Arc<Reaper>,
}

impl Lab {
    /// Builds the lab; a fraction of a second. Needs root.
    pub fn new() -> Result<Self> {
        static SWEPT: Once = Once::new();
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        ensure!(
            nix::unistd::geteuid().is_root(),
            "lab: not root: cannot make network namespaces (run as root)"
        );
        let mut swept = Ok(());
        SWEPT.call_once(|| swept = reaper::sweep());
        swept?;

        let mark = reaper::mark(NUMBER.fetch_add(1, Ordering::Relaxed));
        let reaper = Arc::new(Reaper::start(&mark)?);
        let folder = reaper::folder(&mark);
        let bpffs = folder.join("bpf");
        fs::create_dir_all(&bpffs).with_context(|| bpffs.display().to_string())?;
        mount(Some("bpf"), &bpffs, Some("bpf"), MsFlags::empty(), None::<&str>)
            .with_context(|| format!("{}: cannot mount a bpffs", bpffs.display()))?;

        let namespace = |name: &str| Namespace::add(format!("{mark}-{name}"));
        let host = |name, v4: [u8; 4], v6: [u16; 8]| {
            Ok::<_, anyhow::Error>(Host { name, namespace: namespace(name)?, v4: v4.into(), v6: v6.into() })
        };
        let alice = host("alice", [203, 0, 113, 10], [0x2001, 0xdb8, 0x100, 0, 0, 0, 0, 0x10])?;
        let bob = host("bob", [203, 0, 113, 140], [0x2001, 0xdb8, 0x101, 0, 0, 0, 0, 0x10])?;
        let relay = host("relay", [192, 0, 2, 25], [0x2001, 0xdb8, 0x25, 0, 0, 0, 0, 0x25])?;
        let university = host("university", [198, 51, 100, 25], [0x2001, 0xdb8, 0x51, 0, 0, 0, 0, 0x25])?;
        let stranger = host("stranger", [192, 0, 2, 200], [0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 0x25])?;
        let (access, edge, internet) = (namespace("access")?, namespace("edge")?, namespace("internet")?);
        let servers = [&relay, &university, &stranger];
        let pass = topology::connect(&[&alice, &bob], &access, &edge, &internet, &servers)?;

        let hosts = [&alice, &bob].into_iter().chain(servers).map(|host| &host.namespace);
        let inodes = hosts.chain([&access, &edge, &internet]).map(Namespace::inode).collect::<Result<_>>()?;
        let traces = Traces { mark, folder: folder.clone(), inodes };
        let kept = (access, internet, pass);
        let subscribers = AtomicU32::new(0);
        Ok(Self { alice, bob, edge, relay, university, stranger, folder, traces, subscribers, kept, reaper })
    }

    /// One more subscriber, carol, in 100.64.2.0/24 and `2001:db8:102::/64`, directly behind another interface of the
    /// edge: `eth2`. Once that was deleted, it can be made again.
    pub fn second_interface(&self) -> Result<SecondInterface> {
        let number = self.subscribers.fetch_add(1, Ordering::Relaxed);
        let host = Host {
            name: "carol",
            namespace: Namespace::add(format!("{}-carol{number}", self.traces.mark))?,
            v4: [100, 64, 2, 10].into(),
            v6: [0x2001, 0xdb8, 0x102, 0, 0, 0, 0, 0x10].into(),
        };
        let pass = topology::connect_directly(&host, &self.edge)?;
        Ok(SecondInterface { host, _pass: pass })
    }

    /// From now on the servers and the edge send frames to each other as a cable carries them, as on the subscribers' side
    /// from the beginning; instead of super-packets with unfinished checksums.
    pub fn plain_servers(&self) -> Result<()> {
        let servers = [&self.relay, &self.university, &self.stranger].map(|host| &host.namespace);
        servers.into_iter().chain([&self.edge]).try_for_each(|end| topology::plain_frames(end, "eth0"))
    }

    /// The switch before the edge, on whose port `edge` frames arrive from all subscribers.
    #[must_use]
    pub fn access(&self) -> &Namespace {
        &self.kept.0
    }

    /// Makes frames wait for room in the ring of the edge's [`INTERFACE`], as a switch with flow control would; without
    /// that (and before Linux 6.16) the lab loses what comes while the edge is busy.
    pub fn with_flow_control(&self) -> Result<()> {
        let mut command = Command::new("tc");
        command.args(["qdisc", "add", "dev", "edge", "root", "pfifo", "limit", "100000"]);
        self.access().output(command).map(drop)
    }

    /// A folder for files, removed with the lab.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the gate may pin: a folder, not there yet, of a bpffs that everyone in this mount namespace sees.
    #[must_use]
    pub fn pin(&self) -> PathBuf {
        self.folder.join("bpf/gate25")
    }

    /// What the names of all that is made for this lab begin with.
    pub(crate) fn mark(&self) -> &str {
        &self.traces.mark
    }

    /// A hold on the removal, for whoever must be able to do it at any time (a signal, say).
    #[must_use]
    pub fn reaper(&self) -> Arc<Reaper> {
        Arc::clone(&self.reaper)
    }

    /// What to look for once the lab is gone.
    #[must_use]
    pub fn traces(&self) -> Traces {
        self.traces.clone()
    }
}

impl Drop for Lab {
    /// Also when somebody else still holds the reaper.
    fn drop(&mut self) {
        self.reaper.close();
    }
}

/// By what a lab that is gone could still be noticed.
#[derive(Debug, Clone)]
pub struct Traces {
    mark: String,
    folder: PathBuf,
    inodes: Vec<u64>,
}

impl fmt::Display for Traces {
    /// In one word; [`Self::from_str`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.mark)?;
        self.inodes.iter().try_for_each(|inode| write!(f, ",{inode}"))
    }
}

impl FromStr for Traces {
    type Err = anyhow::Error;

    fn from_str(word: &str) -> Result<Self> {
        let mut parts = word.split(',');
        let mark = parts.next().unwrap_or_default().to_owned();
        let inodes = parts.map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self { folder: reaper::folder(&mark), mark, inodes })
    }
}

impl Traces {
    /// Everything of the lab that is still there after that time: namespaces, mounts, files, processes and threads.
    #[must_use]
    pub fn remaining(&self, limit: Duration) -> Vec<String> {
        let mut left = Vec::new();
        wait::until(limit, || {
            left = self.look();
            left.is_empty().then_some(())
        });
        left
    }

    fn look(&self) -> Vec<String> {
        let entries = |path: &str| fs::read_dir(path).into_iter().flatten().flatten();
        let begin = format!("{}-", self.mark);
        let folder = self.folder.display().to_string();
        let namespaces = entries("/run/netns")
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&begin))
            .map(|entry| format!("namespace {}", entry.file_name().display()));
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let mounts = mounts.lines().filter(|line| line.contains(&folder)).map(|line| format!("mount {line}"));
        let groups = reaper::groups(&self.mark).into_iter().filter(|group| group.exists());
        let groups = groups.map(|group| format!("group {}", group.display()));
        let files = self.folder.exists().then(|| format!("folder {folder}"));
        let tasks = entries("/proc")
            .flat_map(|process| entries(&format!("{}/task", process.path().display())))
            .filter(|task| {
                fs::metadata(task.path().join("ns/net"))
                    .is_ok_and(|namespace| self.inodes.contains(&namespace.st_ino()))
            })
            .map(|task| format!("process {}", task.path().display()));
        namespaces.chain(mounts).chain(groups).chain(files).chain(tasks).collect()
    }
}
