//! One controller works on a `pin` at a time; and who that is.

use super::fault::Fault;
use super::pins::Pins;
use rustix::fs::{FlockOperation, flock, major, minor};
use rustix::io::Errno;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;

/// Holds `pin`, until it is dropped.
#[derive(Debug)]
pub struct Lock {
    folder: File,
}

impl Lock {
    /// Takes `pin` for this process, or says who has it.
    pub fn take(pins: &Pins) -> Result<Self, Fault> {
        pins.make(pins.root())?;
        let failed = |error: std::io::Error| {
            Fault::new("pin", pins.root().display(), error, "gate25 must be able to open it")
        };
        let folder = File::open(pins.root()).map_err(failed)?;
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { folder }),
            Err(Errno::WOULDBLOCK) => {
                let who = holder(&folder).map(|who| format!(": {who}")).unwrap_or_default();
                let cause = format!("another controller works there{who}");
                let remedy = "end that one first, or give this one a `pin` of its own";
                Err(Fault::new("pin", pins.root().display(), cause, remedy))
            }
            Err(error) => Err(failed(error.into())),
        }
    }

    /// Says who has `pin`, as [`Self::take`] would, and takes nothing.
    pub fn look(pins: &Pins) -> Result<(), Fault> {
        if pins.root().is_dir() { Self::take(pins).map(drop) } else { Ok(()) }
    }

    /// Whether `pin` is still the folder that was taken: `detach` removes it, and the next controller makes another.
    #[must_use]
    pub fn is_of(&self, pins: &Pins) -> bool {
        let place = |found: fs::Metadata| (found.dev(), found.ino());
        let ours = self.folder.metadata().map(place);
        ours.is_ok_and(|ours| fs::metadata(pins.root()).map(place).is_ok_and(|there| there == ours))
    }
}

/// Who has locked a file, as `/proc/locks` tells: `1: FLOCK  ADVISORY  WRITE 4711 00:1f:12345 0 EOF`.
fn holder(folder: &File) -> Option<String> {
    let found = folder.metadata().ok()?;
    let place = format!("{:02x}:{:02x}:{}", major(found.dev()), minor(found.dev()), found.ino());
    let locks = fs::read_to_string("/proc/locks").ok()?;
    // What waits for a lock has an arrow before it.
    let lines = locks.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let id = lines.filter(|words| words.get(1) == Some(&"FLOCK") && words.get(5) == Some(&place.as_str()));
    process(id.filter_map(|words| words[4].parse().ok()).find(|id| *id > 0)?)
}

/// A process in words: its id, and its command as far as it fits a line.
pub(super) fn process(id: i32) -> Option<String> {
    let command = fs::read(format!("/proc/{id}/cmdline")).ok()?;
    let command = String::from_utf8_lossy(&command).replace('\0', " ");
    let command: String =
        command.trim_end().chars().filter(|letter| !letter.is_control()).take(200).collect();
    Some(format!("pid {id}, {command}"))
}
