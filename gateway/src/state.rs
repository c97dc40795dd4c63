//! What is kept across restarts and reboots, in the folder `state`: the files of the last policy in force, for when they
//! cannot be read, and the newest time seen, for when the clock was set back.
//!
//! What cannot be written is said, and tried again; what cannot be read is said, and then as if it were not there.
//! Neither is a reason not to enforce.

mod archive;
mod newest;
mod write;

use crate::datapath::fault::Fault;
use crate::memory;
use crate::policy::Kept;
use crate::policy::compile::Clock;
use crate::policy::kept::place;
use crate::privilege;
pub use archive::Archived;
use jiff::Timestamp;
use newest::Newest;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};
use tracing::{info, warn};
use write::Written;

/// The archive of the policy's files.
const POLICY: &str = "policy.tar";
/// The newest time seen.
const CLOCK: &str = "clock.json";
/// How old the newest time in the folder may get.
const REFRESH: Duration = Duration::from_mins(1);
/// Nothing is written more often.
const PACE: Duration = Duration::from_secs(1);
/// The most octets of policy that are kept.
const MAX_POLICY: u64 = 1 << 30;
/// The most octets of one file in the folder: a policy, and what its files are called.
const MAX_FILE: u64 = 2 * MAX_POLICY;

/// How often it was tried to write what was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Writes {
    /// All of it could be written.
    pub done: u64,
    /// Something could not.
    pub failed: u64,
}

/// The folder, and what is to be written into it.
#[derive(Debug)]
pub struct State {
    folder: PathBuf,
    /// Whose state it is. Absolute.
    policy: PathBuf,
    newest: Option<Newest>,
    /// The files of the policy in force and its digest, until they are in the folder.
    unwritten: Option<Arc<(Kept, String)>>,
    is_due: bool,
    /// When writing was tried the last time.
    tried: Option<Instant>,
    /// Why it failed.
    fault: Option<String>,
    writes: Writes,
    /// Writes: a disk may take its time, and the controller has other things to do.
    writing: Option<JoinHandle<Written>>,
}

impl State {
    /// What that folder holds for the policy at that path.
    #[must_use]
    pub fn read(folder: &Path, policy: &Path) -> Self {
        let policy = place(policy);
        let newest = read(&folder.join(CLOCK), newest::read).unwrap_or_else(|fault| {
            warn!("{fault}: the newest time seen is not known, the wall clock is trusted");
            None
        });
        Self {
            folder: folder.to_owned(),
            newest: newest.filter(|newest| newest.policy == policy),
            policy,
            unwritten: None,
            is_due: false,
            tried: None,
            fault: None,
            writes: Writes::default(),
            writing: None,
        }
    }

    /// The files of the last policy in force, if it came from the same path.
    pub fn kept(&self) -> Result<Option<Archived>, Fault> {
        let archived = read(&self.folder.join(POLICY), archive::read)?;
        Ok(archived.filter(|archived| archived.kept.policy == self.policy))
    }

    /// What was kept is of no use.
    #[must_use]
    pub fn damaged(&self, cause: &str) -> Fault {
        damaged(&self.folder.join(POLICY), cause)
    }

    /// The clocks, with the newest time that was seen while a policy of that [`sense`](crate::policy::Policy::sense) was in
    /// force.
    #[must_use]
    pub fn clock(&self, now: Clock, sense: &str) -> Clock {
        match &self.newest {
            Some(newest) if newest.sense == sense => now.having_seen(newest.time),
            _ => now,
        }
    }

    /// A policy was put into force, or its dates were worked out again, by those clocks.
    pub fn installed(&mut self, clock: Clock, sense: &str) {
        let (policy, sense) = (self.policy.clone(), sense.to_owned());
        self.newest = Some(Newest { time: clock.newest, policy, sense });
        self.is_due = true;
    }

    /// Keeps the files of a policy that was put into force. They are written at the next [`tick`](Self::tick), unless they
    /// are there already.
    pub fn keep(&mut self, kept: Kept, digest: &str) {
        let size: u64 = kept.files.values().map(|octets| octets.len() as u64).sum();
        self.unwritten = None;
        if size <= MAX_POLICY {
            self.unwritten = Some(Arc::new((kept, digest.to_owned())));
        } else {
            self.fail(&format!("more than {} MiB of policy", MAX_POLICY >> 20));
        }
    }

    /// Notes how late it is, and begins to write what is due.
    pub fn tick(&mut self, clock: Clock) {
        if let Some(newest) = &mut self.newest {
            newest.time = newest.time.max(clock.wall);
        }
        if self.writing.as_ref().is_some_and(|writing| !writing.is_finished()) {
            return;
        }
        self.finish();
        let since = self.tried.map_or(Duration::MAX, |tried| tried.elapsed());
        let is_due = self.is_due || self.unwritten.is_some();
        if since >= if is_due { PACE } else { REFRESH } {
            self.begin();
        }
    }

    /// Writes everything, now.
    pub fn write(&mut self) {
        self.finish();
        self.begin();
        self.finish();
    }

    fn begin(&mut self) {
        self.tried = Some(Instant::now());
        self.is_due = false;
        let (folder, policy, newest) = (self.folder.clone(), self.unwritten.clone(), self.newest.clone());
        let writing = Builder::new().name("state".into()).spawn(move || {
            privilege::drop_all();
            write::all(&folder, policy, newest)
        });
        match writing {
            Ok(writing) => self.writing = Some(writing),
            Err(error) => {
                self.is_due = true;
                self.failed(&error);
            }
        }
    }

    /// Takes what came of writing, for which it waits.
    fn finish(&mut self) {
        let Some(writing) = self.writing.take() else { return };
        let Ok(Written { policy, kept, newest }) = writing.join() else { return };
        if policy.is_ok() && kept.is_some() {
            // By now there may be another one.
            self.unwritten
                .take_if(|unwritten| kept.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, unwritten)));
            drop(kept);
            memory::give_back();
        }
        self.is_due |= newest.is_err();
        if let Err(error) = policy.and(newest) {
            self.failed(&error);
        } else {
            self.writes.done += 1;
            if self.fault.take().is_some() {
                info!("state: {}: can be written again", self.folder.display());
            }
        }
    }

    fn failed(&mut self, error: &io::Error) {
        self.writes.failed += 1;
        self.fail(&error.to_string());
    }

    /// How often it was written.
    #[must_use]
    pub fn writes(&self) -> Writes {
        self.writes
    }

    /// Says so, once.
    fn fail(&mut self, cause: &str) {
        if self.fault.as_deref() != Some(cause) {
            let remedy = "make room there, and let gate25 write; or set `state` to another folder";
            let fault = Fault::new("state", self.folder.display(), cause, remedy);
            warn!("{fault}: what was kept before stays, a reboot would find that; enforcement goes on");
            self.fault = Some(cause.to_owned());
        }
    }
}

/// A file of ours with when it was written; `None` when there is none.
struct Found {
    octets: Vec<u8>,
    written: Timestamp,
}

/// Reads a file, whatever is there: it may be damaged, somebody else's, or no file at all.
fn read<T>(path: &Path, parse: impl FnOnce(Found) -> Result<T, String>) -> Result<Option<T>, Fault> {
    let found = || -> io::Result<Found> {
        let metadata = fs::metadata(path)?;
        if !metadata.is_file() || metadata.len() > MAX_FILE {
            return Err(io::Error::other("is no file of gate25"));
        }
        let mut octets = Vec::new();
        File::open(path)?.take(MAX_FILE).read_to_end(&mut octets)?;
        let written = Timestamp::try_from(metadata.modified()?).unwrap_or_default();
        Ok(Found { octets, written })
    };
    match found() {
        Ok(found) => parse(found).map(Some).map_err(|cause| damaged(path, &cause)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(Fault::new("state", path.display(), error, "make it readable for gate25, or remove it"))
        }
    }
}

fn damaged(path: &Path, cause: &str) -> Fault {
    Fault::new(
        "state",
        path.display(),
        format!("is damaged: {cause}"),
        "gate25 writes it anew with the next policy; or remove it",
    )
}

#[cfg(test)]
mod tests;
