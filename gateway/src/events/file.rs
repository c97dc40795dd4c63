//! A file of lines, rotated by size: `events.jsonl`, before it `events.jsonl.1`, and so on.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The file of lines. Whoever moves or removes it, nothing is written to what lies elsewhere then.
#[derive(Debug)]
pub struct Rotated {
    path: PathBuf,
    max_size: u64,
    keep: u32,
    open: Option<(File, Identity)>,
}

type Identity = (u64, u64);

impl Rotated {
    /// At that path; it is rotated before it has more than `max_size` octets, and `keep` older ones stay. Opened when there
    /// is something to write.
    #[must_use]
    pub fn new(path: PathBuf, max_size: u64, keep: u32) -> Self {
        Self { path, max_size, keep, open: None }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a line, and its newline: the whole, or nothing.
    pub fn write(&mut self, line: &str) -> io::Result<()> {
        let line = format!("{line}\n");
        let is_full = |size| size > 0 && size + line.len() as u64 > self.max_size;
        if self.size().is_some_and(is_full) {
            self.rotate()?;
        }
        let (file, size) = self.current()?;
        file.write_all(line.as_bytes()).inspect_err(|_| {
            // Half a line would spoil the next one.
            let _ = file.set_len(size);
        })
    }

    /// Of the file at the path, if it is one.
    fn size(&self) -> Option<u64> {
        let there = fs::metadata(&self.path).ok().filter(fs::Metadata::is_file);
        there.map(|metadata| metadata.len())
    }

    /// What is at the path, and its size.
    fn current(&mut self) -> io::Result<(&mut File, u64)> {
        let there = fs::metadata(&self.path).ok();
        let is_ours = |(_, identity): &(File, Identity)| {
            there.as_ref().is_some_and(|there| *identity == (there.dev(), there.ino()))
        };
        let (file, identity) = match self.open.take_if(|open| is_ours(open)) {
            Some(open) => open,
            None => open(&self.path)?,
        };
        let (file, _) = self.open.insert((file, identity));
        let size = file.metadata()?.len();
        Ok((file, size))
    }

    fn rotate(&mut self) -> io::Result<()> {
        let name = |number: u32| match number {
            0 => self.path.clone(),
            number => self.path.with_added_extension(number.to_string()),
        };
        if self.keep == 0 {
            return fs::remove_file(&self.path);
        }
        for number in (0..self.keep).rev() {
            match fs::rename(name(number), name(number + 1)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<(File, Identity)> {
    let open = || OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(path);
    let mut file = open().or_else(|error| match (error.kind(), path.parent()) {
        (ErrorKind::NotFound, Some(folder)) => {
            fs::create_dir_all(folder)?;
            open()
        }
        _ => Err(error),
    })?;
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.len() > 0 {
        // Power that failed may have left half a line.
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok((file, (metadata.dev(), metadata.ino())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn lines(path: &Path) -> Vec<String> {
        fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    fn of(numbers: std::ops::Range<usize>) -> Vec<String> {
        numbers.map(|number| format!("line {number:04}")).collect()
    }

    fn write(file: &mut Rotated, numbers: std::ops::Range<usize>) {
        for line in of(numbers) {
            file.write(&line).unwrap();
        }
    }

    #[test]
    fn it_is_rotated_before_it_is_too_large() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/events.jsonl");
        // Ten lines of ten octets.
        let mut file = Rotated::new(path.clone(), 100, 2);
        write(&mut file, 0..25);
        let older = |number: &str| lines(&path.with_added_extension(number));
        assert_eq!((lines(&path), older("1"), older("2")), (of(20..25), of(10..20), of(0..10)));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        write(&mut file, 25..31);
        assert_eq!((lines(&path), older("1"), older("2")), (of(30..31), of(20..30), of(10..20)));
        assert!(!path.with_added_extension("3").exists());
        let long = "x".repeat(500);
        file.write(&long).unwrap();
        assert_eq!(
            (lines(&path), older("1")),
            (vec![long], of(30..31)),
            "a line that is too large by itself"
        );
    }

    #[test]
    fn none_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut file = Rotated::new(path.clone(), 100, 0);
        write(&mut file, 0..11);
        assert_eq!(lines(&path), of(10..11));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn somebody_else_moves_removes_or_empties_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut file = Rotated::new(path.clone(), 100, 2);
        file.write("before").unwrap();
        let moved = folder.path().join("moved");
        fs::rename(&path, &moved).unwrap();
        file.write("after").unwrap();
        assert_eq!((lines(&moved), lines(&path)), (vec!["before".to_owned()], vec!["after".to_owned()]));
        // As logrotate does with `create`.
        fs::rename(&path, &moved).unwrap();
        File::create(&path).unwrap();
        file.write("beside").unwrap();
        assert_eq!((lines(&moved), lines(&path)), (vec!["after".to_owned()], vec!["beside".to_owned()]));
        fs::remove_dir_all(folder.path()).unwrap();
        file.write("removed").unwrap();
        assert_eq!(lines(&path), ["removed"]);
        File::create(&path).unwrap();
        file.write("emptied").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "emptied\n");
        // Its size counts, too.
        fs::write(&path, "x".repeat(98) + "\n").unwrap();
        file.write("next").unwrap();
        assert_eq!(lines(&path), ["next"]);
    }

    #[test]
    fn half_a_line_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        fs::write(&path, "{\"time").unwrap();
        let mut file = Rotated::new(path.clone(), 100, 2);
        file.write("whole").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"time\nwhole\n");
    }

    #[test]
    fn what_cannot_be_written_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Rotated::new("/dev/full".into(), 100, 2).write("x").is_err());
        assert!(Rotated::new(folder.path().into(), 100, 2).write("x").is_err());
        assert!(Rotated::new("/proc/nowhere/x".into(), 100, 2).write("x").is_err());
    }
}
