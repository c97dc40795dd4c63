//! The files of a policy: which there are, what is in them, and the lists they name.

mod digest;
pub(super) mod list;
#[cfg(test)]
mod random;

use super::kept::{Kept, place};
use super::problem::{Code, Fault, Position, Problem, Report, Why};
use super::validate::{self, Source};
use super::{Policy, yaml};
use crate::heart;
use digest::Digests;
use ipnetwork::IpNetwork;
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Builder};

/// The most octets of one file that are read.
pub(crate) const MAX_FILE: u64 = 64 << 20;
/// From so many octets on, a thread of its own is worth its while.
const LARGE: usize = 1 << 20;

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
    /// What of it could be read.
    pub kept: Box<Kept>,
}

/// Reads and checks a policy: one file, or a directory whose `*.yaml` and `*.yml` files are merged in name order.
pub fn load(path: &Path) -> Result<Loaded, Refused> {
    load_seeing(path, &mut |_| {})
}

/// The same, with advice on a valid policy, as it is at that instant: what in it is of no use, or soon will be.
pub fn load_advised(path: &Path, at: Timestamp) -> Result<Loaded, Refused> {
    load_from(path, None, &mut |_| {}, Some(at))
}

/// The same as [`load`]; `see` is called with each file and folder right before anything of it is read.
pub fn load_seeing(path: &Path, see: &mut dyn FnMut(&Path)) -> Result<Loaded, Refused> {
    load_from(path, None, see, None)
}

/// Checks a policy whose files were kept, as if they were in their places.
pub fn load_kept(kept: &Kept) -> Result<Loaded, Refused> {
    load_from(&kept.policy, Some(kept), &mut |_| {}, None)
}

fn load_from(
    path: &Path,
    kept: Option<&Kept>,
    see: &mut dyn FnMut(&Path),
    advised: Option<Timestamp>,
) -> Result<Loaded, Refused> {
    let mut report = Report::default();
    let mut inputs = Inputs {
        kept,
        see,
        files: BTreeMap::new(),
        unreadable: 0,
        sources: Vec::new(),
        seen: HashSet::new(),
        digests: Digests::default(),
        lists: HashMap::new(),
        listed: 0,
    };
    let mut files = Vec::new();
    let mut complete = true;
    for file in list(path, &mut inputs, &mut report) {
        inputs.add(&file);
        let fault = match inputs.slurp(&file) {
            Ok(octets) => match yaml::parse(&octets) {
                Ok(root) => {
                    files.push(Source::read(file, octets, root, &mut report));
                    continue;
                }
                Err(fault) => {
                    inputs.files.insert(place(&file), octets);
                    fault
                }
            },
            Err(unread) => {
                inputs.unreadable += usize::from(unread.error.is_some());
                unread.fault
            }
        };
        complete = false;
        report.refuse(&file, fault);
    }
    complete &= !report.is_refused() || !files.is_empty();
    let mut policy = validate::validate(&files, complete, &mut inputs, &mut report);
    let refused = report.is_refused();
    if let (Some(at), false) = (advised, refused) {
        validate::advise(&files, &policy, &inputs, at, &mut report);
    }
    let Inputs { sources, digests, files: lists, unreadable, .. } = inputs;
    let files = files.into_iter().map(|source| (place(&source.path), source.octets)).chain(lists).collect();
    let kept = Kept { policy: place(path), files };
    let is_unreadable = unreadable > 0 && unreadable == report.refusals();
    let (problems, warnings) = report.finish(path, &sources);
    if refused {
        return Err(Refused { problems, warnings, sources, is_unreadable, kept: Box::new(kept) });
    }
    (policy.digest, policy.sense) = digests.finish();
    policy.sources = sources;
    Ok(Loaded { policy, warnings, kept })
}

/// Whether a file of a policy directory belongs to the policy, by its name.
#[must_use]
pub fn is_policy(name: &OsStr) -> bool {
    let octets = name.as_encoded_bytes();
    !octets.starts_with(b".") && (octets.ends_with(b".yaml") || octets.ends_with(b".yml"))
}

/// The policy files at `path`, which is a file itself or a directory.
fn list(path: &Path, inputs: &mut Inputs, report: &mut Report) -> Vec<PathBuf> {
    inputs.add(path);
    let is_folder = inputs.kept.map_or_else(|| heart::waiting(|| path.is_dir()), Kept::is_folder);
    if !is_folder {
        return vec![path.to_owned()];
    }
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
        .filter(|file| inputs.kept.is_some() || !heart::waiting(|| file.is_dir()))
        .collect();
    if files.is_empty() {
        let why = Why::new("is a directory without *.yaml or *.yml files", "put a policy file into it");
        report.refuse(path, whole_file(path, why));
    }
    files
}

fn names(folder: &Path) -> io::Result<Vec<OsString>> {
    heart::waiting(|| fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.file_name())).collect())
}

/// What a policy is made of, as it is read: the order of `sources` is that of the digest.
pub(super) struct Inputs<'a> {
    /// Where files are read from, if not from the disk.
    kept: Option<&'a Kept>,
    /// Told of what is about to be read.
    see: &'a mut dyn FnMut(&Path),
    /// The lists that were read.
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// How many files the system did not let us read.
    unreadable: usize,
    sources: Vec<PathBuf>,
    seen: HashSet<PathBuf>,
    digests: Digests,
    lists: HashMap<PathBuf, Option<Arc<Vec<IpNetwork>>>>,
    /// How many prefixes they have together.
    listed: usize,
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

    /// A file or folder is about to be read.
    fn add(&mut self, file: &Path) {
        if self.seen.insert(file.to_owned()) {
            (self.see)(file);
            self.sources.push(file.to_owned());
        }
    }

    /// The octets of a list that was read.
    pub(super) fn octets(&self, file: &Path) -> &[u8] {
        self.files.get(&place(file)).map_or(&[], Vec::as_slice)
    }

    /// Adds a file's octets to the digests.
    pub(super) fn digest(&mut self, octets: &[u8]) {
        self.digests.add(octets);
    }

    /// Reads a list. One that is large is digested beside that, by a thread of its own.
    fn read(&mut self, file: &Path, octets: &[u8], report: &mut Report) -> Option<Arc<Vec<IpNetwork>>> {
        let digests = Mutex::new(&mut self.digests);
        let digest = || digests.lock().unwrap_or_else(PoisonError::into_inner).add(octets);
        thread::scope(|scope| {
            let is_large = octets.len() >= LARGE;
            if !is_large || Builder::new().name("digest".into()).spawn_scoped(scope, digest).is_err() {
                digest();
            }
            list::prefixes(file, octets, self.listed, report)
        })
    }

    /// The prefixes in a list file, `None` when it has been refused; or why it cannot be read, which is for each who
    /// names it to say.
    pub(super) fn list(
        &mut self,
        file: &Path,
        report: &mut Report,
    ) -> Result<Option<Arc<Vec<IpNetwork>>>, Why> {
        if let Some(list) = self.lists.get(file) {
            return Ok(list.clone());
        }
        self.add(file);
        let octets = match self.slurp(file) {
            Ok(octets) => octets,
            Err(unread) => {
                self.unreadable += usize::from(unread.error.is_some_and(|kind| kind != ErrorKind::NotFound));
                return Err(unread.fault.why);
            }
        };
        let list = self.read(file, &octets, report);
        self.listed += list.as_ref().map_or(0, |list| list.len());
        self.files.insert(place(file), octets);
        self.lists.insert(file.to_owned(), list.clone());
        Ok(list)
    }
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
        let mut octets = Vec::with_capacity(metadata.len().min(MAX_FILE) as usize + 1);
        File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut octets)?;
        if octets.len() as u64 > MAX_FILE {
            let cause = format!("is larger than {} MiB", MAX_FILE >> 20);
            return Ok(Err(Why::new(cause, "split it, and keep long lists of prefixes in *_file lists")));
        }
        Ok(Ok(octets))
    };
    let unread = |why, error| Box::new(Unread { fault: whole_file(path, why), error });
    match heart::waiting(read) {
        Ok(octets) => octets.map_err(|why| unread(why, None)),
        Err(error) => Err(unread(unreadable(path, &error), Some(error.kind()))),
    }
}

fn whole_file(path: &Path, why: Why) -> Fault {
    let why = why.coded(Code::File);
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
