//! A client that delivers one mail, or says what came instead.

use crate::lab::Host;
use socket2::{Domain, Socket, Type};
use std::{
    fmt,
    io::{BufRead as _, BufReader, Error, ErrorKind, Result as IoResult, Write as _},
    net::{IpAddr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

/// What became of the mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The server took it; its banner.
    Delivered(String),
    /// The connection was reset or refused.
    Refused,
    /// Nothing came.
    TimedOut,
    /// The network said it cannot be reached.
    Unreachable,
    /// The transaction broke off; how.
    Broken(String),
}

impl Outcome {
    /// The mail arrived.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        matches!(self, Self::Delivered(_))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delivered(_) => f.write_str("delivered"),
            Self::Refused => f.write_str("refused"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Unreachable => f.write_str("unreachable"),
            Self::Broken(how) => write!(f, "broke off: {how}"),
        }
    }
}

/// What became of the mail, and how long the first answer took (the banner, the refusal; or the wait in vain).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What became of it.
    pub outcome: Outcome,
    /// The time to the first answer.
    pub took: Duration,
}

/// Sends one mail from this thread's network namespace (see [`crate::namespace::Namespace::run`]). Each step, the
/// connection for one, may take `limit`.
#[must_use]
pub fn send(server: SocketAddr, limit: Duration) -> Report {
    let start = Instant::now();
    let mut answered = None;
    let outcome = match deliver(server, limit, || answered = Some(start.elapsed())) {
        Ok(banner) => Outcome::Delivered(banner),
        Err(error) => match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Outcome::Refused,
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Outcome::TimedOut,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Outcome::Unreachable,
            _ => Outcome::Broken(error.to_string()),
        },
    };
    Report { outcome, took: answered.unwrap_or_else(|| start.elapsed()) }
}

/// One mail from a host to port 25 of another, over both families: what came of them. A silent drop takes `limit`.
#[must_use]
pub fn knock(from: &Host, to: &Host, limit: Duration) -> [Outcome; 2] {
    to.addresses().map(|address| mail(from, address, limit))
}

/// One mail from a host to port 25 of an address.
#[must_use]
pub fn mail(from: &Host, to: IpAddr, limit: Duration) -> Outcome {
    from.namespace.run(|| send(SocketAddr::new(to, 25), limit)).outcome
}

/// The whole transaction; `answered` is called at the banner, which is the result.
fn deliver(server: SocketAddr, limit: Duration, answered: impl FnOnce()) -> IoResult<String> {
    let stream = TcpStream::connect_timeout(&server, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    let mut input = BufReader::new(&stream);
    let banner = expect(&mut input, "220")?;
    answered();
    for (say, code) in [
        ("EHLO subscriber.example.net", "250"),
        ("MAIL FROM:<alice@example.net>", "250"),
        ("RCPT TO:<postmaster@example.org>", "250"),
        ("DATA", "354"),
        ("Subject: through the gate\r\n\r\nHello.\r\n.", "250"),
        ("QUIT", "221"),
    ] {
        (&stream).write_all(format!("{say}\r\n").as_bytes())?;
        expect(&mut input, code)?;
    }
    Ok(banner)
}

/// A reply with that code, its last line.
fn expect(input: &mut BufReader<&TcpStream>, code: &str) -> IoResult<String> {
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Err(Error::other("closed by the server"));
        }
        let line = line.trim_end();
        if !line.starts_with(code) {
            return Err(Error::other(format!("{line} instead of {code}")));
        }
        if line.as_bytes().get(code.len()) != Some(&b'-') {
            return Ok(line.to_owned());
        }
    }
}

/// What a client heard first: a greeting of one or more lines, or an error.
#[derive(Debug)]
pub struct Heard {
    said: IoResult<String>,
    /// Until then.
    pub took: Duration,
}

impl Heard {
    /// The kind of error, where there was no greeting.
    #[must_use]
    pub fn error(&self) -> Option<ErrorKind> {
        self.said.as_ref().err().map(Error::kind)
    }
}

impl fmt::Display for Heard {
    /// The greeting's lines, or the system's words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.said {
            Ok(greeting) => f.write_str(greeting),
            Err(error) => write!(f, "{error}"),
        }
    }
}

/// Connects from an address of this thread's network namespace and reads the greeting.
#[must_use]
pub fn hear(from: IpAddr, server: SocketAddr, limit: Duration) -> Heard {
    let start = Instant::now();
    let said = greeting(from, server, limit);
    Heard { said, took: start.elapsed() }
}

fn greeting(from: IpAddr, server: SocketAddr, limit: Duration) -> IoResult<String> {
    let domain = if from.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.connect_timeout(&server.into(), limit)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(limit))?;
    let mut lines = Vec::new();
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let is_last = line.as_bytes().get(3) != Some(&b'-');
        lines.push(line);
        if is_last {
            break;
        }
    }
    Ok(lines.join("\n"))
}
