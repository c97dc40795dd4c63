//! A responder in this process, a controller that says what it is told to, and a client.

use anyhow::{Context as _, Result, ensure};
use gate25::{
    notice::{Responder, Settings, greeting::Texts, session::Bounds},
    policy::{Action, Endpoints, Mode, Notice, ReturnPath, Zone},
};
use std::sync::atomic::{AtomicU8, Ordering};
use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::net::UnixListener,
    },
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

pub(crate) const SOON: Duration = Duration::from_secs(30);
pub(crate) const HOST: &str = "edge1.example.net";
pub(crate) const URL: &str = "https://example.net/port25";

/// Zone `lo`: this host, and what to use instead.
pub(crate) fn zone() -> Zone {
    Zone {
        id: "lo".into(),
        subscribers: ["127.0.0.0/8", "::1/128"].iter().filter_map(|prefix| prefix.parse().ok()).collect(),
        mode: Mode::Enforce,
        action: Action::Notice,
        return_path: ReturnPath::Off,
        relay_to: Endpoints::default(),
        notice: Some(Notice {
            address: Endpoints::default(),
            submission: Some("smtp.example.net port 587 or 465".into()),
            url: Some(URL.into()),
        }),
        subscriber_prefix_v6: 64,
        relay_limit: None,
    }
}

/// What most tests start with.
pub(crate) fn settings(control: &Path) -> Settings {
    Settings {
        host: HOST.into(),
        control: control.to_owned(),
        connections: 1000,
        per_address: 1000,
        bounds: Bounds::default(),
    }
}

/// A responder that speaks for [`zone`] at a free port of 127.0.0.1, and where that is.
pub(crate) fn respond(settings: Settings) -> Result<(Responder, SocketAddr)> {
    let mut responder = Responder::new(settings)?;
    responder.say(Texts::of(&[zone()]));
    let faults = responder.listen(&BTreeSet::from([free()]));
    ensure!(faults.is_empty(), "{faults:?}");
    let address = responder.addresses().next().context("no address")?;
    Ok((responder, address))
}

/// A free port of 127.0.0.1.
pub(crate) fn free() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// The responder's metrics.
pub(crate) fn serve(responder: &Responder) -> Result<SocketAddr> {
    let pages = gate25::http::bind(free())?;
    let address = pages.local_addr()?;
    responder.serve(pages);
    Ok(address)
}

/// A controller that answers each question with what `answer` makes of the client's port; at `None` it hangs up.
pub(crate) fn controller(
    folder: &Path,
    answer: impl Fn(u16) -> Option<String> + Send + Clone + 'static,
) -> Result<PathBuf> {
    let path = folder.join("control.sock");
    let listener = UnixListener::bind(&path)?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            thread::spawn(move || {
                let Ok(mut writer) = stream.try_clone() else { return };
                for line in BufReader::new(stream).lines().map_while(std::result::Result::ok) {
                    let request: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                    let port = request["notice"]["port"].as_u64().unwrap_or_default();
                    let answer = answer(u16::try_from(port).unwrap_or_default());
                    if answer.is_none_or(|text| writeln!(writer, "{text}").is_err()) {
                        return;
                    }
                }
            });
        }
    });
    Ok(path)
}

/// A controller's answer whose reference tells the port.
pub(crate) fn known(port: u16) -> String {
    serde_json::json!({
        "zone": "lo", "reason": "default", "rule": null, "remote": "192.0.2.200", "reference": reference(port),
    })
    .to_string()
}

pub(crate) fn reference(port: u16) -> String {
    format!("REF{port:05}")
}

/// A client.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    pub(crate) fn to(server: SocketAddr) -> Result<Self> {
        // `connect_timeout` would fail already here where the server resets at once.
        Self::of(TcpStream::connect(server)?)
    }

    pub(crate) fn of(stream: TcpStream) -> Result<Self> {
        stream.set_read_timeout(Some(SOON))?;
        stream.set_write_timeout(Some(SOON))?;
        Ok(Self(BufReader::new(stream)))
    }

    pub(crate) fn port(&self) -> Result<u16> {
        Ok(self.stream().local_addr()?.port())
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.0.get_ref()
    }

    pub(crate) fn write(&mut self, octets: &[u8]) -> Result<()> {
        Ok(self.0.get_mut().write_all(octets)?)
    }

    /// A whole reply, all its lines.
    pub(crate) fn reply(&mut self) -> Result<String> {
        let mut reply = String::new();
        loop {
            let before = reply.len();
            ensure!(self.0.read_line(&mut reply)? > 0, "closed after {reply:?}");
            if reply.as_bytes()[before..].get(3) == Some(&b' ') {
                return Ok(reply);
            }
        }
    }

    /// Everything until the server closes; an error where it resets.
    pub(crate) fn rest(&mut self) -> Result<String> {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest)?;
        Ok(rest)
    }

    /// Whether the server resets it instead of greeting.
    pub(crate) fn is_reset(&mut self) -> Result<bool> {
        match self.0.read(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(true),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(false),
        }
    }
}

/// A connection from one address to another; to many ports there may be more of them than one address has.
pub(crate) fn connect_from(from: IpAddr, server: SocketAddr) -> Result<TcpStream> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, socket};
    let socket: OwnedFd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(from, 0)))?;
    connect(socket.as_raw_fd(), &SockaddrStorage::from(server))?;
    Ok(socket.into())
}

pub(crate) fn client_from(from: [u8; 4], server: SocketAddr) -> Result<Client> {
    Client::of(connect_from(IpAddr::from(from), server)?)
}

/// That address listens and nothing ever answers.
pub(crate) fn mute(folder: &Path) -> Result<(PathBuf, UnixListener)> {
    let path = folder.join("mute.sock");
    let listener = UnixListener::bind(&path)?;
    Ok((path, listener))
}

/// A port that somebody else has, at an address of its own, so that no test beside this one gets it once it is free.
pub(crate) fn taken() -> Result<(TcpListener, SocketAddr)> {
    static LAST: AtomicU8 = AtomicU8::new(1);
    let own = [127, 0, 25, LAST.fetch_add(1, Ordering::Relaxed)];
    let listener = TcpListener::bind(SocketAddr::from((own, 0)))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}
