//! A name server that says what it is told to, or fails as it is told to; and commands in whose sight it is the system's.

use crate::namespace::Namespace;
use anyhow::{Context as _, Result};
use std::{
    collections::HashMap,
    fmt, fs,
    net::{IpAddr, SocketAddr, UdpSocket},
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

const A: u16 = 1;
const AAAA: u16 = 28;
const MX: u16 = 15;

/// What comes of questions for a name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Answer {
    /// There is no such name (NXDOMAIN).
    #[default]
    Missing,
    /// It has these records.
    Has {
        /// Of both families.
        addresses: Vec<IpAddr>,
        /// Names of exchangers; "" is the root.
        exchangers: Vec<String>,
    },
    /// SERVFAIL.
    Failure,
    /// Nothing is sent.
    Silence,
}

impl Answer {
    /// A host with these addresses.
    pub fn host(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        Self::Has { addresses: addresses.into_iter().collect(), exchangers: Vec::new() }
    }

    /// A domain with these exchangers, and no address.
    pub fn domain<'a>(exchangers: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Has { addresses: Vec::new(), exchangers: exchangers.into_iter().map(str::to_owned).collect() }
    }
}

/// What the server says, from one question to the next.
#[derive(Debug, Default)]
struct Zone {
    answers: HashMap<String, Answer>,
    /// Before any answer.
    delay: Duration,
    ttl: u32,
    /// Asks nobody: it is as if it were not there.
    is_silent: bool,
}

/// A running name server; it ends when dropped.
pub struct NameServer {
    zone: Arc<Mutex<Zone>>,
    asked: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for NameServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.zone())
    }
}

impl NameServer {
    /// Serves on UDP port 53 of that address, with answers that hold for so many seconds.
    pub fn start(namespace: &Namespace, address: IpAddr, ttl: u32) -> Result<Self> {
        let socket = namespace.run(|| UdpSocket::bind(SocketAddr::new(address, 53)))?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let (zone, asked, stop) =
            (Arc::new(Mutex::new(Zone { ttl, ..Zone::default() })), Arc::default(), Arc::default());
        let serve = {
            let (zone, asked, stop) = (Arc::clone(&zone), Arc::clone(&asked), Arc::clone(&stop));
            move || serve(&Arc::new(socket), &zone, &asked, &stop)
        };
        Ok(Self { zone, asked, stop, thread: Some(thread::spawn(serve)) })
    }

    /// From now on that is the answer for the name, which is in lower case and without a dot at its end.
    pub fn set(&self, name: &str, answer: Answer) {
        self.zone().answers.insert(name.to_owned(), answer);
    }

    /// From now on it answers nobody, or does again.
    pub fn silence(&self, is_silent: bool) {
        self.zone().is_silent = is_silent;
    }

    /// From now on it takes so long for each answer.
    pub fn delay(&self, delay: Duration) {
        self.zone().delay = delay;
    }

    /// Questions so far.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    fn zone(&self) -> MutexGuard<'_, Zone> {
        self.zone.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The command, in whose sight the file is `/etc/resolv.conf`, written so that it names these servers.
pub fn asking(file: &Path, servers: &[IpAddr], command: &Command) -> Result<Command> {
    let lines: Vec<String> = servers.iter().map(|server| format!("nameserver {server}\n")).collect();
    fs::write(file, lines.concat()).with_context(|| file.display().to_string())?;
    let mut inside = Command::new("unshare");
    inside.args(["--mount", "sh", "-c", r#"mount --bind "$1" /etc/resolv.conf && shift && exec "$@""#, "sh"]);
    inside.arg(file).arg(command.get_program()).args(command.get_args());
    Ok(inside)
}

fn serve(socket: &Arc<UdpSocket>, zone: &Mutex<Zone>, asked: &AtomicU64, stop: &AtomicBool) {
    let mut query = [0; 1500];
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, client)) = socket.recv_from(&mut query) else { continue };
        asked.fetch_add(1, Ordering::Relaxed);
        let (answer, delay) = {
            let zone = zone.lock().unwrap_or_else(PoisonError::into_inner);
            if zone.is_silent {
                continue;
            }
            (answer(&query[..length], &zone), zone.delay)
        };
        let Some(answer) = answer else { continue };
        if delay.is_zero() {
            let _ = socket.send_to(&answer, client);
        } else {
            let socket = Arc::clone(socket);
            thread::spawn(move || {
                thread::sleep(delay);
                socket.send_to(&answer, client)
            });
        }
    }
}

/// The answer to a query (RFC 1035 section 4.1), with the question in it and compressed names behind.
fn answer(query: &[u8], zone: &Zone) -> Option<Vec<u8>> {
    let (name, end) = question(query)?;
    let kind = u16::from_be_bytes(query.get(end..end + 2)?.try_into().ok()?);
    let mut records: Vec<(u16, Vec<u8>)> = Vec::new();
    let code = match zone.answers.get(&name).cloned().unwrap_or_default() {
        Answer::Missing => 3,
        Answer::Failure => 2,
        Answer::Silence => return None,
        Answer::Has { addresses, exchangers } => {
            records.extend(addresses.into_iter().map(|address| match address {
                IpAddr::V4(v4) => (A, v4.octets().to_vec()),
                IpAddr::V6(v6) => (AAAA, v6.octets().to_vec()),
            }));
            records.extend(exchangers.iter().map(|host| (MX, [vec![0, 10], encoded(host)].concat())));
            records.retain(|(found, _)| *found == kind);
            0
        }
    };
    let mut octets = query.get(..2)?.to_vec();
    octets.extend([0x81, 0x80 | code, 0, 1]);
    octets.extend(u16::try_from(records.len()).ok()?.to_be_bytes());
    octets.extend([0; 4]);
    octets.extend(query.get(12..end + 4)?);
    for (kind, data) in records {
        octets.extend([0xc0, 12]);
        octets.extend(kind.to_be_bytes());
        octets.extend([0, 1]);
        octets.extend(zone.ttl.to_be_bytes());
        octets.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
        octets.extend(data);
    }
    Some(octets)
}

/// The name of the question, in lower case, and where its type stands.
fn question(query: &[u8]) -> Option<(String, usize)> {
    let (mut labels, mut place) = (Vec::new(), 12);
    loop {
        let length = usize::from(*query.get(place)?);
        place += 1;
        if length == 0 {
            return Some((labels.join("."), place));
        }
        labels.push(String::from_utf8_lossy(query.get(place..place + length)?).to_ascii_lowercase());
        place += length;
    }
}

fn encoded(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut octets: Vec<u8> =
        labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
    octets.push(0);
    octets
}
