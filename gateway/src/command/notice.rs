//! `gate25 notice`: the SMTP notice responder.

use super::signals::Signals;
use crate::controller::Failure;
use crate::datapath::fault::Fault;
use crate::http;
use crate::notice::greeting::Texts;
use crate::notice::limits::RESERVE;
use crate::notice::{Responder, Settings};
use crate::policy::{Loaded, Refused};
use crate::progress::Progress;
use crate::watch::Watch;
use anyhow::Context;
use rustix::process::{Resource, getrlimit, setrlimit};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use tracing::{error, info, warn};

/// How often files are looked at, and missing addresses tried again.
const TICK: Duration = Duration::from_millis(200);
/// Descriptors for anything but clients.
const OTHERS: usize = 128;

/// What the command is told.
#[derive(Debug, Clone)]
pub struct Options {
    /// The policy: addresses and texts.
    pub policy: PathBuf,
    /// Where to listen instead of the policy's addresses, unless empty.
    pub addresses: BTreeSet<SocketAddr>,
    /// Where `/metrics` and `/healthz` are served.
    pub listen: SocketAddr,
    /// The rest.
    pub settings: Settings,
}

#[derive(Debug, Clone, Copy)]
enum Input {
    Reload,
    Stop,
}

/// Answers until SIGTERM or SIGINT.
pub fn notice(mut options: Options) -> Result<(), Failure> {
    let progress = Progress::logged();
    let (loaded, watch) = Watch::load(&options.policy);
    drop(progress);
    let Loaded { policy, warnings, .. } = loaded.map_err(Failure::Policy)?;
    for warning in warnings {
        warn!("{warning}");
    }
    options.settings.connections = room(options.settings.connections);
    let pages = http::bind(options.listen)?;
    let listen = pages.local_addr().context("listen")?;
    let responder = Responder::new(options.settings)?;
    let (inputs, received) = channel();
    {
        let _inside = responder.runtime().enter();
        let signals = Signals::new().context("signals")?;
        responder.runtime().spawn(signals.forward(inputs, || Input::Reload, || Input::Stop));
    }
    let texts = Texts::of(&policy.zones);
    drop(policy);
    let mut follower = Follower {
        policy: options.policy,
        watch,
        responder,
        addresses: options.addresses,
        wanted: BTreeSet::new(),
    };
    if let Some(fault) = follower.take(texts).into_iter().next() {
        return Err(fault.into());
    }
    if follower.wanted.is_empty() {
        let remedy = "give a zone `action: notice` and `notice.address`, or name one with --address";
        let policy = follower.policy.display();
        return Err(Fault::new("notice", policy, "no zone has an address to listen on", remedy).into());
    }
    follower.responder.serve(pages);
    info!(%listen, "notices at {}", joined(follower.responder.addresses()));
    loop {
        match received.recv_timeout(TICK) {
            Ok(Input::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Ok(Input::Reload) => follower.reload("SIGHUP"),
            Err(RecvTimeoutError::Timeout) => follower.tick(),
        }
    }
}

/// Keeps a responder to what the policy says.
struct Follower {
    policy: PathBuf,
    watch: Watch,
    responder: Responder,
    /// Instead of the policy's, unless empty.
    addresses: BTreeSet<SocketAddr>,
    wanted: BTreeSet<SocketAddr>,
}

impl Follower {
    fn tick(&mut self) {
        if self.watch.changed() {
            self.reload("the policy changed on disk");
        } else {
            let before = self.responder.addresses().count();
            self.responder.listen(&self.wanted);
            if self.responder.addresses().count() > before {
                info!("notices at {}", joined(self.responder.addresses()));
            }
        }
    }

    fn reload(&mut self, why: &str) {
        let progress = Progress::logged();
        let (loaded, watch) = Watch::load(&self.policy);
        drop(progress);
        self.watch = watch;
        self.responder.reloaded(loaded.is_ok());
        match loaded {
            Ok(Loaded { policy, warnings, .. }) => {
                for warning in warnings {
                    warn!("{warning}");
                }
                for fault in self.take(Texts::of(&policy.zones)) {
                    error!("{fault}");
                }
                info!("{why}: notices at {}", joined(self.responder.addresses()));
            }
            Err(Refused { problems, .. }) => {
                for problem in problems {
                    error!("{problem}");
                }
                error!("{why}: the new policy is refused, the last good one is followed");
            }
        }
    }

    fn take(&mut self, texts: Texts) -> Vec<Fault> {
        self.wanted = if self.addresses.is_empty() { texts.addresses() } else { self.addresses.clone() };
        self.responder.say(texts);
        self.responder.listen(&self.wanted)
    }
}

fn joined(addresses: impl Iterator<Item = SocketAddr>) -> String {
    addresses.map(|address| address.to_string()).collect::<Vec<_>>().join(", ")
}

/// Raises the limit of descriptors to what is allowed; so many connections fit in it.
fn room(connections: usize) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        warn!("descriptors: {error}");
    }
    let most = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |most| most as usize);
    let fit = most.saturating_sub(RESERVE + OTHERS);
    if fit < connections {
        warn!("connections: {connections}: only {fit} fit in {most} descriptors (raise LimitNOFILE)");
    }
    connections.min(fit)
}

/// The system's name for itself.
pub fn system_host() -> Result<String, Fault> {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    host(&name).map_err(|cause| Fault::new("hostname", name, cause, "name this host with --hostname"))
}

/// A host name as it may stand in a greeting.
pub fn host(name: &str) -> Result<String, String> {
    let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-._".contains(&octet);
    if name.is_empty() || name.len() > 255 || !name.bytes().all(is_plain) {
        return Err("is no host name, as edge1.example.net is".to_owned());
    }
    Ok(name.to_owned())
}
