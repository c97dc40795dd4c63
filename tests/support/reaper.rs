//! Removes a lab. One child process does it, when its input ends: the lab is gone after a drop, a panic, a Ctrl-C and
//! a `kill -9` alike.

use anyhow::{Context as _, Result};
use std::{
    collections::BTreeSet,
    env, fs,
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
};

/// `$1` is what the names of the lab's namespaces begin with, `$2` its folder, `$3` and `$4` where a machine in it would have its
/// group of processes. Without an orderly word on stdin, an
/// `ip` of the dead process may still have been at work: a second look.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
clean() {
    for path in /run/netns/"$1"-*; do
        [ -e "$path" ] || continue
        name=${path##*/}
        for process in $(ip netns pids "$name"); do kill -KILL "$process"; done
        ip netns delete "$name"
    done
    for group in "$3" "$4"; do
        [ -d "$group" ] || continue
        echo 1 > "$group/cgroup.kill"
        while ! find "$group" -depth -type d -exec rmdir {} +; do sleep 0.1; done
    done
    umount --lazy "$2/bpf" "$2/state"
    rm --recursive --force --one-file-system "$2"
}
read -r _ || { clean "$@"; sleep 0.3; }
clean "$@"
"#;

/// Of the marks `g25-<pid>-<n>` that begin the names of namespaces and folders.
const MARK: &str = "g25";

/// The child that will remove the lab.
#[derive(Debug)]
pub struct Reaper(Mutex<Option<Child>>);

impl Reaper {
    pub(crate) fn start(mark: &str) -> Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "g25-reaper", mark]).arg(folder(mark)).args(groups(mark));
        // A group of its own: Ctrl-C is for the others.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().context("cannot start sh")?;
        Ok(Self(Mutex::new(Some(child))))
    }

    /// Removes the lab and everything running in it, now; from any thread, any number of times.
    pub fn close(&self) {
        let mut child = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(mut child) = child.take() {
            let _ = child.stdin.take().map(|mut input| input.write_all(b"done\n"));
            let _ = child.wait();
        }
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.close();
    }
}

/// A mark that no other lab has.
pub(crate) fn mark(number: u32) -> String {
    format!("{MARK}-{}-{number}", std::process::id())
}

/// The folder of that lab.
pub(crate) fn folder(mark: &str) -> PathBuf {
    env::temp_dir().join(mark)
}

/// The group of a machine's processes in that lab: where the host has the second version alone, or beside the first.
pub(crate) fn groups(mark: &str) -> [PathBuf; 2] {
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(|root| Path::new(root).join(mark))
}

/// Removes what processes left behind that ended together with their reapers. Only before the first lab of this one.
pub(crate) fn sweep() -> Result<()> {
    let folders = [PathBuf::from("/run/netns"), env::temp_dir()];
    let names = folders.iter().flat_map(fs::read_dir).flatten().flatten();
    let dead: BTreeSet<String> = names.filter_map(|entry| stale(entry.file_name().to_str()?)).collect();
    dead.iter().try_for_each(|mark| Reaper::start(mark).map(drop))
}

/// The mark in that name, if it is of a process that is no more, or of an earlier one with our number.
fn stale(name: &str) -> Option<String> {
    let mut parts = name.split('-');
    let (mark, process, number) = (parts.next()?, parts.next()?, parts.next()?);
    let process: u32 = process.parse().ok()?;
    let number: u32 = number.parse().ok()?;
    let dead = process == std::process::id() || !Path::new(&format!("/proc/{process}")).exists();
    (mark == MARK && dead).then(|| format!("{MARK}-{process}-{number}"))
}
