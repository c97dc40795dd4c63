//! Health probes of what connections are redirected to: a target that does not greet as it should gets none.

use std::collections::{HashMap, HashSet};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Octets of a greeting that are read.
const MAX_GREETING: usize = 4096;

/// What kind of server is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Greets with 554.
    Notice,
    /// Greets with 220.
    Relay,
}

impl Kind {
    fn greeting(self) -> &'static [u8] {
        match self {
            Self::Notice => b"554",
            Self::Relay => b"220",
        }
    }
}

/// One thing to probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Probe {
    /// Where it should listen.
    pub address: SocketAddr,
    /// What it should be.
    pub kind: Kind,
}

/// How often and how patiently is probed.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// From one probe of a responder to the next.
    pub notice: Duration,
    /// From one probe of a relay to the next; a mail server logs each.
    pub relay: Duration,
    /// From a probe that failed for the first time to the next.
    pub again: Duration,
    /// What connecting may take, and the greeting of a responder.
    pub patience: Duration,
    /// What the greeting of a relay may take: some wait for clients that talk too soon.
    pub relay_patience: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            notice: Duration::from_secs(1),
            relay: Duration::from_secs(10),
            again: Duration::from_secs(1),
            patience: Duration::from_secs(1),
            relay_patience: Duration::from_secs(8),
        }
    }
}

/// Hears of changes: the first result of a probe, and whenever it is another.
type Report = dyn Fn(Probe, bool) + Send + Sync;

/// Probes all targets, each for itself, so that a dead one delays none.
pub struct Prober {
    runtime: Handle,
    pace: Pace,
    report: Arc<Report>,
    tasks: HashMap<Probe, AbortHandle>,
}

impl Prober {
    /// Probes nothing yet.
    pub fn new(runtime: Handle, pace: Pace, report: impl Fn(Probe, bool) + Send + Sync + 'static) -> Self {
        Self { runtime, pace, report: Arc::new(report), tasks: HashMap::new() }
    }

    /// Probes exactly these from now on; new ones at once.
    pub fn follow(&mut self, wanted: &HashSet<Probe>) {
        self.tasks.retain(|probe, task| {
            let stays = wanted.contains(probe);
            if !stays {
                task.abort();
            }
            stays
        });
        for probe in wanted {
            let task = || self.runtime.spawn(watch(*probe, self.pace, self.report.clone())).abort_handle();
            self.tasks.entry(*probe).or_insert_with(task);
        }
    }
}

async fn watch(probe: Probe, pace: Pace, report: Arc<Report>) {
    let mut every = interval(match probe.kind {
        Kind::Notice => pace.notice,
        Kind::Relay => pace.relay,
    });
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut reported, mut failures) = (None, 0);
    loop {
        every.tick().await;
        let is_up = match once(probe, pace).await {
            Ok(()) => {
                failures = 0;
                true
            }
            Err(error) => {
                failures += 1;
                // One that is lost on the way is no failure yet; that nobody listens is sure.
                if failures < 2 && error.kind() != ErrorKind::ConnectionRefused {
                    every.reset_after(pace.again);
                    continue;
                }
                false
            }
        };
        if reported != Some(is_up) {
            reported = Some(is_up);
            report(probe, is_up);
        }
    }
}

async fn once(probe: Probe, pace: Pace) -> io::Result<()> {
    let patience = match probe.kind {
        Kind::Notice => pace.patience,
        Kind::Relay => pace.relay_patience,
    };
    let mut stream = timeout(pace.patience, TcpStream::connect(probe.address)).await??;
    let mut greeting = Vec::new();
    let complete = timeout(patience, read_greeting(&mut stream, &mut greeting)).await;
    if !greeting.starts_with(probe.kind.greeting()) || !greeting.contains(&b'\n') {
        return Err(io::Error::other("another greeting, or none in time"));
    }
    // It is there; the rest is manners. A server that has not ended its greeting takes QUIT for a fault.
    if let Ok(Ok(())) = complete {
        let farewell = async {
            stream.write_all(b"QUIT\r\n").await?;
            tokio::io::copy(&mut stream.take(MAX_GREETING as u64), &mut tokio::io::sink()).await
        };
        let _ = timeout(pace.patience, farewell).await;
    }
    Ok(())
}

/// Reads to the end of a reply's last line, the first one that has no hyphen behind its code.
async fn read_greeting(stream: &mut TcpStream, greeting: &mut Vec<u8>) -> io::Result<()> {
    let is_last = |line: &[u8]| line.ends_with(b"\n") && line.get(3) != Some(&b'-');
    while greeting.len() < MAX_GREETING && !greeting.split_inclusive(|octet| *octet == b'\n').any(is_last) {
        if stream.read_buf(greeting).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
