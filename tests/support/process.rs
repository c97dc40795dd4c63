//! Child processes that do not outlive what started them.

use anyhow::{Context as _, Result};
use nix::{
    sys::{prctl, signal},
    unistd::Pid,
};
use std::{
    os::unix::process::CommandExt as _,
    process::{Child, Command, ExitStatus},
    time::Duration,
};

pub use signal::Signal;

/// A child process; killed when dropped.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        let child =
            command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Self(child))
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Sends a signal; one that has ended does not mind.
    pub fn signal(&self, signal: Signal) {
        let _ = signal::kill(Pid::from_raw(self.0.id().cast_signed()), signal);
    }

    /// How it ended; `None` while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().ok().flatten()
    }

    /// Awaits its end; `None` when it still runs after that time.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        crate::wait::until(limit, || self.ended())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The command gets SIGTERM when the thread that starts it ends, however that comes about.
pub fn die_with_parent(command: &mut Command) {
    // SAFETY: between fork and exec there is one system call, which takes no lock and allocates nothing.
    unsafe { command.pre_exec(|| Ok(prctl::set_pdeathsig(Signal::SIGTERM)?)) };
}
