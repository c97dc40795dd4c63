//! What the kernel complains of meanwhile.

use anyhow::{Context as _, Result};
use std::{
    fs::File,
    io::{ErrorKind, Read as _, Seek as _, SeekFrom},
    os::unix::fs::OpenOptionsExt as _,
};

const LOG: &str = "/dev/kmsg";
/// Of what its watchdogs say: of soft and hard lock-ups, of RCU (and its rivals), of tasks.
const COMPLAINTS: [&str; 4] = ["lockup", "stall", "hung", "blocked for more than"];

/// The kernel's log from a moment on.
pub(crate) struct KernelLog(File);

impl KernelLog {
    /// From now on.
    pub(crate) fn from_now() -> Result<Self> {
        let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(LOG);
        let mut file = file.context(LOG)?;
        file.seek(SeekFrom::End(0)).context(LOG)?;
        Ok(Self(file))
    }

    /// The lines since then in which it complains.
    pub(crate) fn complaints(mut self) -> Result<Vec<String>> {
        let mut all = Vec::new();
        let mut record = vec![0; 8192];
        loop {
            match self.0.read(&mut record) {
                Ok(length) => {
                    let text = String::from_utf8_lossy(&record[..length]).into_owned();
                    all.extend(COMPLAINTS.iter().any(|word| text.contains(word)).then_some(text));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(all),
                // Some were written over before they were read.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                Err(error) => return Err(error).context(LOG),
            }
        }
    }
}
