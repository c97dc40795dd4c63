//! A GET.

use std::{
    io::{Error, Read as _, Result, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Status and body of `path`, asked from this thread's network namespace; each step may take 10 s, which is
/// Prometheus' patience.
pub fn get(server: SocketAddr, path: &str) -> Result<(u16, String)> {
    const LIMIT: Duration = Duration::from_secs(10);
    let mut stream = TcpStream::connect_timeout(&server, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    // With 1.0 the answer ends where the connection does.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {server}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let parts = answer.split_once("\r\n\r\n").and_then(|(head, body)| {
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    });
    parts.ok_or_else(|| Error::other(format!("{path}: not an HTTP answer")))
}
