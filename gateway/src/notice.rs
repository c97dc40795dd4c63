//! The notice responder: greets connections that the gate redirected, says why, and takes nothing. It needs no privilege.

pub mod greeting;
pub mod limits;
mod lookup;
pub mod metrics;
mod pages;
pub mod session;

use crate::datapath::fault::Fault;
use greeting::Texts;
use limits::{Full, Limits};
use lookup::Lookup;
use metrics::{Connected, Metrics};
use rustix::net::sockopt::{set_ipv6_v6only, set_socket_linger};
use session::Bounds;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

/// Connections that wait to be taken; the kernel may allow fewer (`net.core.somaxconn`).
const BACKLOG: u32 = 4096;

/// What a responder is told once.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its name in the greeting.
    pub host: String,
    /// The controller's socket.
    pub control: PathBuf,
    /// Connections in total.
    pub connections: usize,
    /// Connections from one address.
    pub per_address: usize,
    /// Bounds of each.
    pub bounds: Bounds,
}

/// Listens and answers, on a thread of its own.
pub struct Responder {
    runtime: Handle,
    state: Arc<State>,
    listeners: BTreeMap<SocketAddr, (SocketAddr, AbortHandle)>,
}

/// What all connections share.
struct State {
    host: String,
    bounds: Bounds,
    limits: Arc<Limits>,
    lookup: Lookup,
    metrics: Metrics,
    texts: Mutex<Arc<Texts>>,
    /// Where it should listen and does not.
    missing: Mutex<Vec<SocketAddr>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Responder {
    /// Listens nowhere yet.
    pub fn new(settings: Settings) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let lookup = {
            let _inside = handle.enter();
            Lookup::at(settings.control)
        };
        thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        let state = State {
            host: settings.host,
            bounds: settings.bounds,
            limits: Limits::new(settings.connections, settings.per_address),
            lookup,
            metrics: Metrics::new()?,
            texts: Mutex::default(),
            missing: Mutex::default(),
        };
        Ok(Self { runtime: handle, state: Arc::new(state), listeners: BTreeMap::new() })
    }

    /// Where asynchronous work of this process runs.
    #[must_use]
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// What is said from now on.
    pub fn say(&self, texts: Texts) {
        *lock(&self.state.texts) = Arc::new(texts);
    }

    /// Counts a policy that was taken or refused.
    pub fn reloaded(&self, is_ok: bool) {
        self.state.metrics.reloaded(is_ok);
    }

    /// Listens at exactly these addresses, as far as that can be done. Connections that are open stay.
    pub fn listen(&mut self, wanted: &BTreeSet<SocketAddr>) -> Vec<Fault> {
        self.listeners.retain(|address, (_, task)| {
            let stays = wanted.contains(address);
            if !stays {
                task.abort();
            }
            stays
        });
        let mut faults = Vec::new();
        for address in wanted {
            if self.listeners.contains_key(address) {
                continue;
            }
            match self.open(*address) {
                Ok(listener) => drop(self.listeners.insert(*address, listener)),
                Err(error) => {
                    let remedy = "give that address to this host, or name another in `notice.address`";
                    faults.push(Fault::new("notice", address, error, remedy));
                }
            }
        }
        *lock(&self.state.missing) =
            wanted.iter().filter(|address| !self.listeners.contains_key(*address)).copied().collect();
        faults
    }

    /// Where it listens.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.values().map(|(address, _)| *address)
    }

    /// Serves `/metrics` and `/healthz` there.
    pub fn serve(&self, listener: TcpListener) {
        let pages = pages::pages(self.state.clone());
        self.runtime.spawn(async move {
            if let Err(error) = crate::http::serve(listener, pages).await {
                tracing::warn!("listen: {error}: /metrics and /healthz are gone; notices go on");
            }
        });
    }

    fn open(&self, address: SocketAddr) -> io::Result<(SocketAddr, AbortHandle)> {
        let _inside = self.runtime.enter();
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if address.is_ipv6() {
            set_ipv6_v6only(&socket, true)?;
        }
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let bound = listener.local_addr()?;
        let state = self.state.clone();
        let task = self.runtime.spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, client)) => state.welcome(stream, client),
                    // Out of descriptors, most likely; that passes.
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        });
        Ok((bound, task.abort_handle()))
    }
}

impl State {
    fn welcome(self: &Arc<Self>, stream: TcpStream, client: SocketAddr) {
        let is_subscriber = lock(&self.texts).has(client.ip());
        let place = match self.limits.admit(client.ip(), is_subscriber) {
            Ok(place) => place,
            Err(full) => {
                self.metrics.connected(match full {
                    Full::Total => Connected::RefusedTotal,
                    Full::Address => Connected::RefusedPerAddress,
                });
                // Closed so, it is reset, and the kernel keeps nothing of it.
                let _ = set_socket_linger(&stream, Some(Duration::ZERO));
                return;
            }
        };
        let state = self.clone();
        tokio::spawn(async move {
            state.attend(stream, client).await;
            drop(place);
        });
    }

    async fn attend(&self, mut stream: TcpStream, client: SocketAddr) {
        let begin = Instant::now();
        let _ = stream.set_nodelay(true);
        if !matches!(self.greet(&mut stream, client).await, Ok(Ok(()))) {
            self.metrics.connected(Connected::Failed);
            return;
        }
        self.metrics.connected(Connected::Greeted);
        self.metrics.greeted_after(begin.elapsed());
        let deadline = begin + self.bounds.time;
        let heard = |command| self.metrics.heard(command);
        let closed = session::answer(&mut stream, &self.bounds, deadline, heard).await;
        self.metrics.closed(closed);
        session::close(&mut stream, &self.bounds).await;
    }

    async fn greet(
        &self,
        stream: &mut TcpStream,
        client: SocketAddr,
    ) -> Result<io::Result<()>, tokio::time::error::Elapsed> {
        let (looked, answer) = self.lookup.ask(client).await;
        self.metrics.looked(looked);
        let texts = lock(&self.texts).clone();
        let greeting = texts.greeting(&self.host, client.ip(), answer.as_ref());
        timeout(self.bounds.greeting, stream.write_all(greeting.as_bytes())).await
    }
}
