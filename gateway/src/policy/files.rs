//! The files of a policy: which there are, what is in them, and the lists they name.

use super::kept::{Kept, place};
use super::problem::{Fault, Position, Problem, Report, Why};
use super::validate::{self, Source, prefix};
use super::{Policy, yaml};
use ipnetwork::IpNetwork;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The most octets of one file that are read.
pub(crate) const MAX_FILE: u64 = 64 << 20;

/// A valid policy and what to say about it all the same.
#[derive(Debug)]
pub struct Loaded {
    /// The policy.
    pub policy: Policy,
    /// What does not stop it.
    pub warnings: Vec<Problem>,
    /// What it was made of.
    pub kept: Kept,
}

/// Why there is no policy.
#[derive(Debug)]
pub struct Refused {
    /// Every problem; never empty. Over [`super::problem::MAX_LISTED`], the rest is counted in one last entry.
    pub problems: Vec<Problem>,
    /// What would not have stopped it.
    pub warnings: Vec<Problem>,
    /// Every file that was read or could not be, the policy's own first: a change of any can mend the policy.
    pub sources: Vec<PathBuf>,
    /// Nothing is known to be wrong with the policy: it cannot be read. A list that is not there is a mistake of the
    /// policy that names it.
    pub is_unreadable: bool,
}

/// Reads and checks a policy: one file, or a directory whose `*.yaml` and `*.yml` files are merged in name order.
pub fn load(path: &Path) -> Result<Loaded, Refused> {
    load_from(path, None)
}

/// Checks a policy whose files were kept, as if they were in their places.
pub fn load_kept(kept: &Kept) -> Result<Loaded, Refused> {
    load_from(&kept.policy, Some(kept))
}

fn load_from(path: &Path, kept: Option<&Kept>) -> Result<Loaded, Refused> {
    let mut report = Report::default();
    let mut inputs = Inputs { kept, ..Inputs::default() };
    let mut files = Vec::new();
    let mut complete = true;
    for file in list(path, &mut inputs, &mut report) {
        let read = inputs.slurp(&file).map_err(|unread| {
            inputs.unreadable += usize::from(unread.error.is_some());
            unread.fault
        });
        let read = read.and_then(|text| Ok((yaml::parse(&text)?, text)));
        inputs.add(&file);
        match read {
            Ok((root, text)) => files.push(Source::read(file, text, root, &mut report)),
            Err(fault) => {
                complete = false;
                report.refuse(&file, fault);
            }
        }
    }
    complete &= !report.is_refused() || !files.is_empty();
    let mut policy = validate::validate(&files, complete, &mut inputs, &mut report);
    let Inputs { sources, hasher, sense, files: lists, unreadable, .. } = inputs;
    let refused = report.is_refused();
    let is_unreadable = unreadable > 0 && unreadable == report.refusals();
    let (problems, warnings) = report.finish(path, &sources);
    if refused {
        return Err(Refused { problems, warnings, sources, is_unreadable });
    }
    policy.digest = hex(hasher);
    policy.sense = hex(sense);
    policy.sources = sources;
    let files = files.into_iter().map(|source| (place(&source.path), source.octets)).chain(lists).collect();
    Ok(Loaded { policy, warnings, kept: Kept { policy: place(path), files } })
}

/// In lower case.
fn hex(hasher: Sha256) -> String {
    let octets = hasher.finalize();
    let halves = octets.iter().flat_map(|octet| [octet >> 4, octet & 15]);
    halves.filter_map(|half| char::from_digit(half.into(), 16)).collect()
}

/// Whether a file of a policy directory belongs to the policy, by its name.
#[must_use]
pub fn is_policy(name: &OsStr) -> bool {
    let octets = name.as_encoded_bytes();
    !octets.starts_with(b".") && (octets.ends_with(b".yaml") || octets.ends_with(b".yml"))
}

/// The policy files at `path`, which is a file itself or a directory.
fn list(path: &Path, inputs: &mut Inputs, report: &mut Report) -> Vec<PathBuf> {
    let is_folder = inputs.kept.map_or_else(|| path.is_dir(), Kept::is_folder);
    if !is_folder {
        return vec![path.to_owned()];
    }
    inputs.add(path);
    let mut names = match inputs.kept.map_or_else(|| names(path), |kept| Ok(kept.names())) {
        Ok(names) => names,
        Err(error) => {
            inputs.unreadable += 1;
            report.refuse(path, whole_file(path, unreadable(path, &error)));
            return Vec::new();
        }
    };
    names.retain(|name| is_policy(name));
    names.sort();
    let files: Vec<PathBuf> = names
        .iter()
        .map(|name| path.join(name))
        .filter(|file| inputs.kept.is_some() || !file.is_dir())
        .collect();
    if files.is_empty() {
        let why = Why::new("is a directory without *.yaml or *.yml files", "put a policy file into it");
        report.refuse(path, whole_file(path, why));
    }
    files
}

fn names(folder: &Path) -> io::Result<Vec<OsString>> {
    fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
}

/// What a policy is made of, as it is read: the order of `sources` is that of the digest.
#[derive(Default)]
pub(super) struct Inputs<'a> {
    /// Where files are read from, if not from the disk.
    kept: Option<&'a Kept>,
    /// The lists that were read.
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// How many files the system did not let us read.
    unreadable: usize,
    sources: Vec<PathBuf>,
    hasher: Sha256,
    digested: usize,
    /// Of the same without comments and empty lines.
    sense: Sha256,
    lists: HashMap<PathBuf, Option<Rc<[IpNetwork]>>>,
}

impl Inputs<'_> {
    fn slurp(&self, file: &Path) -> Result<Vec<u8>, Box<Unread>> {
        match self.kept {
            None => slurp(file),
            Some(kept) => kept.files.get(&place(file)).cloned().ok_or_else(|| {
                Box::new(Unread {
                    fault: whole_file(file, Why::new("was not kept", "make the file readable")),
                    error: None,
                })
            }),
        }
    }

    fn add(&mut self, file: &Path) {
        if !self.sources.iter().any(|source| source == file) {
            self.sources.push(file.to_owned());
        }
    }

    /// Adds a file's octets to the digest, which of a single file is the plain SHA-256. NUL, which no file may hold,
    /// keeps files apart: a line that moves from one list to the next is a change.
    pub(super) fn digest(&mut self, octets: &[u8]) {
        if self.digested > 0 {
            self.hasher.update([0]);
        }
        self.hasher.update(octets);
        self.digested += 1;
        // A `#` inside quotes is taken for a comment, too: then a change behind it counts for none.
        for line in octets.split(|octet| *octet == b'\n') {
            let comment = (0..line.len())
                .find(|at| line[*at] == b'#' && (*at == 0 || line[*at - 1].is_ascii_whitespace()));
            let said = line[..comment.unwrap_or(line.len())].trim_ascii_end();
            if !said.is_empty() {
                self.sense.update(said);
                self.sense.update([b'\n']);
            }
        }
    }

    /// The prefixes in a list file; `None` when it has been refused.
    pub(super) fn list(&mut self, file: &Path, report: &mut Report) -> Option<Rc<[IpNetwork]>> {
        if let Some(list) = self.lists.get(file) {
            return list.clone();
        }
        self.add(file);
        let list = match self.slurp(file) {
            Ok(octets) => {
                self.digest(&octets);
                let list = prefixes(file, &octets, report);
                self.files.insert(place(file), octets);
                list
            }
            Err(unread) => {
                self.unreadable += usize::from(unread.error.is_some_and(|kind| kind != ErrorKind::NotFound));
                report.refuse(file, unread.fault);
                None
            }
        };
        self.lists.insert(file.to_owned(), list.clone());
        list
    }
}

/// One prefix a line; `#` begins a comment.
fn prefixes(file: &Path, octets: &[u8], report: &mut Report) -> Option<Rc<[IpNetwork]>> {
    let octets = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
    let mut list = Vec::new();
    let mut sound = true;
    for (index, line) in octets.split(|&octet| octet == b'\n').enumerate() {
        let line = String::from_utf8_lossy(line);
        let written = line.split('#').next().unwrap_or_default();
        let text = written.trim();
        if text.is_empty() {
            continue;
        }
        match prefix::parse(text) {
            Ok(prefix) => list.push(prefix),
            Err(why) => {
                sound = false;
                let column = written.chars().take_while(|c| c.is_whitespace()).count() + 1;
                let at = Position { line: index + 1, column };
                let place = format!("line {}", at.line);
                report.refuse(file, Fault { at, place, value: text.to_owned(), why });
            }
        }
    }
    sound.then(|| list.into())
}

/// A file that cannot be used.
struct Unread {
    fault: Fault,
    /// What the system said, where it is the system that did not let us read.
    error: Option<ErrorKind>,
}

/// A regular file's octets. Nothing else is opened: reading a FIFO would wait, a device might never end.
fn slurp(path: &Path) -> Result<Vec<u8>, Box<Unread>> {
    let read = || -> io::Result<Result<Vec<u8>, Why>> {
        let metadata = fs::metadata(path)?;
        if metadata.is_dir() {
            return Ok(Err(Why::new("is a directory, not a file", "name a file")));
        }
        if !metadata.is_file() {
            return Ok(Err(Why::new("is not a regular file", "put what it gives into a file")));
        }
        let mut octets = Vec::new();
        File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut octets)?;
        if octets.len() as u64 > MAX_FILE {
            let cause = format!("is larger than {} MiB", MAX_FILE >> 20);
            return Ok(Err(Why::new(cause, "split it, and keep long lists of prefixes in *_file lists")));
        }
        Ok(Ok(octets))
    };
    let unread = |why, error| Box::new(Unread { fault: whole_file(path, why), error });
    match read() {
        Ok(octets) => octets.map_err(|why| unread(why, None)),
        Err(error) => Err(unread(unreadable(path, &error), Some(error.kind()))),
    }
}

fn whole_file(path: &Path, why: Why) -> Fault {
    Fault { at: Position::START, place: "file".into(), value: path.display().to_string(), why }
}

fn unreadable(path: &Path, error: &io::Error) -> Why {
    match error.kind() {
        ErrorKind::NotFound => fs::read_link(path).map_or_else(
            |_| Why::new("does not exist", "check the path"),
            |target| Why::new(format!("is a symlink to nothing: {}", target.display()), "mend the symlink"),
        ),
        ErrorKind::PermissionDenied => Why::new(
            "may not be read",
            "make it and the directories above it readable for the user gate25 runs as",
        ),
        _ => {
            let text = error.to_string().to_lowercase();
            let cause = text.split(" (os error").next().unwrap_or_default();
            Why::new(format!("cannot be read: {cause}"), "check the path and the file system")
        }
    }
}
