//! Writes what is kept.

use super::newest::{self, Newest};
use super::{CLOCK, POLICY, archive};
use crate::policy::Kept;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

/// What came of it.
pub(super) struct Written {
    /// Of the policy's files,
    pub(super) policy: io::Result<()>,
    /// which are these, if there were any to write.
    pub(super) kept: Option<Arc<(Kept, String)>>,
    /// Of the newest time.
    pub(super) newest: io::Result<()>,
}

/// Writes the files of a policy with its digest, unless they are there, and the newest time.
pub(super) fn all(folder: &Path, kept: Option<Arc<(Kept, String)>>, newest: Option<Newest>) -> Written {
    let policy = kept.as_deref().map_or(Ok(()), |(kept, digest)| {
        if archive::is_at(&folder.join(POLICY), kept, digest) {
            return Ok(());
        }
        put(folder, POLICY, |file| archive::write(kept, digest, file))
    });
    let newest =
        newest.map_or(Ok(()), |newest| put(folder, CLOCK, |file| file.write_all(&newest::write(&newest)?)));
    Written { policy, kept, newest }
}

/// Puts a file in place, in one step that a crash or a full disk cannot halve.
fn put(
    folder: &Path,
    name: &str,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o750).create(folder)?;
    let new = folder.join(format!(".{name}.new"));
    let put = || {
        match fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(&new)?;
        let mut file = BufWriter::new(file);
        write(&mut file)?;
        file.into_inner()?.sync_all()?;
        fs::rename(&new, folder.join(name))?;
        File::open(folder)?.sync_all()
    };
    put().inspect_err(|_| {
        // It may be what fills the disk.
        let _ = fs::remove_file(&new);
    })
}
