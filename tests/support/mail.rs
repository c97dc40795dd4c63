//! The real mail programs from Debian, as `cargo xtask setup` leaves them, on hosts of a lab. Nothing of the machine's own
//! mail set-up is used, and all they write is in the lab's folder.

mod exim;
mod postfix;

pub use crate::program;
pub use exim::Exim;
pub use postfix::Postfix;

use anyhow::{Context as _, Result};
use std::{
    fmt::Write as _,
    fs::{self, File},
    path::{Path, PathBuf},
};

/// Exim, which Debian does not install beside Postfix, where it was unpacked; or as it is on `PATH`.
#[must_use]
pub fn exim() -> Option<PathBuf> {
    crate::find("exim4")
}

/// A message of at least so many octets, in lines of printable ASCII; some begin with a dot, none is like another.
#[must_use]
pub fn message(from: &str, to: &str, octets: usize) -> String {
    let mut text = format!("From: {from}\nTo: {to}\nSubject: through the gate\n\n");
    let mut word = 0x2545_f491_4f6c_dd1d_u64;
    while text.len() < octets {
        for part in 0..4 {
            word ^= word << 13;
            word ^= word >> 7;
            word ^= word << 17;
            let dot = if part == 0 && word.is_multiple_of(8) { "." } else { "" };
            // Writing to a string cannot fail.
            let _ = write!(text, "{dot}{word:016x}");
        }
        text.push('\n');
    }
    text
}

/// What follows a message's header, with Unix's line ends.
#[must_use]
pub fn body(message: &str) -> &str {
    message.split_once("\n\n").map_or("", |(_, body)| body)
}

/// The messages in a Maildir.
fn maildir(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder.join("new")).into_iter().flatten().flatten();
    files.filter_map(|file| fs::read_to_string(file.path()).ok()).collect()
}

/// A file with that text, open for reading.
fn file(path: &Path, text: &str) -> Result<File> {
    fs::write(path, text).with_context(|| path.display().to_string())?;
    Ok(File::open(path)?)
}
