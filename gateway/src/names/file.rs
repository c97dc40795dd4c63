//! Answers across a restart: `names.json` in the node's `state`. What is not there, or not as it was written, is as if
//! nothing had been known.

use super::answers::{Answers, Kept, Known};
use super::ask::unfit;
use crate::datapath::fault::Fault;
use crate::policy::compile::Clock;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::net::IpAddr;
use std::path::Path;

/// The most octets that are read: some times what the most names with the most addresses take.
const MAX_FILE: u64 = 32 << 20;

/// The file.
#[derive(Default, Serialize, Deserialize)]
struct Document {
    version: u32,
    hosts: BTreeMap<String, Host>,
    domains: BTreeMap<String, Part<String>>,
}

#[derive(Serialize, Deserialize)]
struct Host {
    #[serde(skip_serializing_if = "Option::is_none")]
    ipv4: Option<Part<IpAddr>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ipv6: Option<Part<IpAddr>>,
}

#[derive(Serialize, Deserialize)]
struct Part<T> {
    values: Vec<T>,
    confirmed: Timestamp,
}

/// Reads what was known; nothing where there is no file.
pub fn read(file: &Path, now: Clock) -> Result<Answers, Fault> {
    let mut octets = Vec::new();
    let read = fs::metadata(file).and_then(|found| {
        // Opening a FIFO would wait.
        let opened =
            if found.is_file() { File::open(file)? } else { return Err(io::Error::other("is no file")) };
        opened.take(MAX_FILE).read_to_end(&mut octets)
    });
    match read {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Answers::default()),
        Err(error) => {
            return Err(Fault::new("state", file.display(), error, "make it a file that gate25 may read"));
        }
        Ok(_) => {}
    }
    let document: Document = serde_json::from_slice(&octets)
        .ok()
        .filter(|document: &Document| document.version == 1)
        .ok_or_else(|| {
            Fault::new("state", file.display(), "is not as gate25 wrote it", "nothing to do: it is made anew")
        })?;
    let mut answers = Answers::default();
    for (name, Host { ipv4, ipv6 }) in document.hosts {
        let parts = [ipv4, ipv6].map(|part| {
            part.map(|mut part| {
                part.values.retain(|address| unfit(*address).is_none());
                kept(part, now)
            })
        });
        answers.hosts.insert(name, Known::before(parts));
    }
    for (name, part) in document.domains {
        answers.domains.insert(name, Known::before([Some(kept(part, now))]));
    }
    Ok(answers)
}

/// What was confirmed in the future was confirmed just now, by a clock that was wrong then or is now.
fn kept<T: Ord>(Part { values, confirmed }: Part<T>, now: Clock) -> Kept<T> {
    let age = (now.wall.as_nanosecond() - confirmed.as_nanosecond()).max(0);
    let age_from = i128::from(now.boot) - age;
    Kept { values: values.into_iter().collect(), confirmed, age_from, is_current: false }
}

/// Writes what is known beside the file, then puts it in its place: it is there whole, or as it was.
pub fn write(file: &Path, answers: &Answers) -> Result<(), Fault> {
    fn part<T: Clone>(kept: &Kept<T>) -> Part<T> {
        Part { values: kept.values.iter().cloned().collect(), confirmed: kept.confirmed }
    }
    let hosts = answers.hosts.iter().map(|(name, known)| {
        let [ipv4, ipv6] = known.parts.each_ref().map(|kept| kept.as_ref().map(part));
        (name.clone(), Host { ipv4, ipv6 })
    });
    let domains = answers
        .domains
        .iter()
        .filter_map(|(name, known)| Some((name.clone(), part(known.parts[0].as_ref()?))));
    let document = Document { version: 1, hosts: hosts.collect(), domains: domains.collect() };
    replace(file, &document).map_err(|error| {
        Fault::new("state", file.display(), error, "make room, or its folder writable for gate25")
    })
}

fn replace(file: &Path, document: &Document) -> io::Result<()> {
    let new = file.with_extension("json.new");
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut written = File::create(&new)?;
    written.write_all(&serde_json::to_vec(document)?)?;
    written.sync_all()?;
    fs::rename(&new, file)
}
