//! One network namespace, entered by a thread or by a child: the mount namespace stays, so a bpffs stays in sight
//! (`ip netns exec` would hide it).

use crate::process::Process;
use anyhow::{Context as _, Result, ensure};
use nix::sched::{CloneFlags, setns};
use std::{
    fs::File,
    io::Write as _,
    os::{fd::AsRawFd as _, linux::fs::MetadataExt as _, unix::process::CommandExt as _},
    panic::resume_unwind,
    process::{Command, Output, Stdio},
    thread,
};

/// A network namespace with a name.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    file: File,
}

impl Namespace {
    pub(crate) fn add(name: String) -> Result<Self> {
        checked(Command::new("ip").args(["netns", "add", &name]))?;
        let file = File::open(format!("/run/netns/{name}")).with_context(|| name.clone())?;
        Ok(Self { name, file })
    }

    /// The name `ip netns` knows.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The inode, by which `/proc/*/ns/net` tells who is in it.
    pub(crate) fn inode(&self) -> Result<u64> {
        Ok(self.file.metadata()?.st_ino())
    }

    /// Runs the work on a thread of its own in this namespace. Sockets made there stay in it, wherever they are used.
    ///
    /// # Panics
    /// When the work does, or when the namespace cannot be entered.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            if let Err(error) = setns(&self.file, CloneFlags::CLONE_NEWNET) {
                panic!("{}: cannot enter the network namespace: {error}", self.name);
            }
            work()
        };
        thread::scope(|scope| scope.spawn(inside).join()).unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Starts a child process in this namespace; killed when the result is dropped, or the lab.
    pub fn spawn(&self, mut command: Command) -> Result<Process> {
        Process::spawn(self.enter(&mut command))
    }

    /// Runs a command in this namespace to its end; an error, with what it wrote to stderr, when it fails.
    pub fn output(&self, mut command: Command) -> Result<Output> {
        checked(self.enter(&mut command))
    }

    /// Commands for `ip`, one a line, carried out in this namespace.
    pub fn ip(&self, lines: &str) -> Result<()> {
        ip(&["-netns", &self.name], lines)
    }

    fn enter<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let file = self.file.as_raw_fd();
        // SAFETY: between fork and exec there is one system call, which takes no lock and allocates nothing; the
        // descriptor is open there because `self` outlives the spawn.
        unsafe {
            command.pre_exec(move || match libc::setns(file, libc::CLONE_NEWNET) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            })
        }
    }
}

/// Commands for `ip`, one a line.
pub(crate) fn ip(options: &[&str], lines: &str) -> Result<()> {
    let mut command = Command::new("ip");
    command.args(options).args(["-batch", "-"]);
    let mut child =
        command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().context("cannot start ip")?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(lines.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "ip: {}in:\n{lines}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Runs a command to its end; an error, with what it wrote to stderr, when it fails.
pub(crate) fn checked(command: &mut Command) -> Result<Output> {
    let output =
        command.output().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    Ok(output)
}
