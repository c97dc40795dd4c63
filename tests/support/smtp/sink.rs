//! A mail server that takes everything and keeps nothing.

use crate::namespace::Namespace;
use anyhow::{Context as _, Result};
use nix::sys::socket::{Shutdown, shutdown};
use std::{
    io::{BufRead as _, BufReader, Result as IoResult, Write as _},
    net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::AsRawFd as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// How long a silent client is kept.
const PATIENCE: Duration = Duration::from_secs(15);

/// A mail server on all addresses of a namespace; closed when dropped.
#[derive(Debug)]
pub struct Sink {
    listeners: Vec<(TcpListener, JoinHandle<()>)>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    connections: AtomicU64,
    mails: AtomicU64,
}

impl Sink {
    /// Listens on these ports, IPv4 and IPv6; its banner is `220 <name> …`.
    pub fn start(namespace: &Namespace, name: &str, ports: &[u16]) -> Result<Self> {
        let mut sink = Self { listeners: Vec::new(), counts: Arc::default() };
        for &port in ports {
            let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
            let listener = namespace
                .run(|| TcpListener::bind(address))
                .with_context(|| format!("{name}: cannot listen on port {port}"))?;
            let (ours, counts, name) = (listener.try_clone()?, Arc::clone(&sink.counts), name.to_owned());
            let acceptor = thread::spawn(move || {
                for stream in ours.incoming() {
                    let Ok(stream) = stream else { break };
                    counts.connections.fetch_add(1, Ordering::Relaxed);
                    let (counts, name) = (Arc::clone(&counts), name.clone());
                    // A client that goes away is its own affair.
                    thread::spawn(move || serve(&stream, &name, &counts).ok());
                }
            });
            sink.listeners.push((listener, acceptor));
        }
        Ok(sink)
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.counts.connections.load(Ordering::Relaxed)
    }

    /// Mails taken so far.
    #[must_use]
    pub fn mails(&self) -> u64 {
        self.counts.mails.load(Ordering::Relaxed)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        for (listener, acceptor) in self.listeners.drain(..) {
            // On Linux this ends a waiting accept.
            let _ = shutdown(listener.as_raw_fd(), Shutdown::Both);
            let _ = acceptor.join();
        }
    }
}

/// One session.
fn serve(stream: &TcpStream, name: &str, counts: &Counts) -> IoResult<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // Otherwise the second half of a line waits for the client's delayed acknowledgement of the first, 40 ms.
    stream.set_nodelay(true)?;
    let mut output = stream;
    let mut lines = BufReader::new(stream).lines();
    write!(output, "220 {name} ESMTP\r\n")?;
    while let Some(line) = lines.next().transpose()? {
        let verb = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        let answer = match verb.as_str() {
            "EHLO" | "HELO" => format!("250 {name}"),
            "MAIL" | "RCPT" | "RSET" | "NOOP" => "250 OK".to_owned(),
            "DATA" => {
                write!(output, "354 End with a dot\r\n")?;
                while lines.next().transpose()?.is_some_and(|line| line != ".") {}
                counts.mails.fetch_add(1, Ordering::Relaxed);
                "250 Taken".to_owned()
            }
            "QUIT" => "221 Bye".to_owned(),
            _ => "502 Not here".to_owned(),
        };
        write!(output, "{answer}\r\n")?;
        if verb == "QUIT" {
            break;
        }
    }
    Ok(())
}
