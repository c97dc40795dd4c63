//! The dialogue with one client: a greeting, and no to everything. Nothing that the client sends is kept.

use super::metrics::{Closed, Command};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

/// Octets of a command, its CRLF included (RFC 5321, 4.5.3.1.4).
const MAX_COMMAND: usize = 512;
/// Octets read at a time; small, for there may be many clients.
const CHUNK: usize = 128;
/// Octets that a client may go on sending while it is closed.
const MAX_FAREWELL: u64 = 1 << 16;

const CLOSING: &[u8] = b"221 Goodbye\r\n";
const REFUSED: &[u8] = b"503 No mail is taken here; the greeting says why\r\n";

/// Bounds of a dialogue.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// From the connection to its end.
    pub time: Duration,
    /// Commands.
    pub commands: u32,
    /// What writing the greeting may take.
    pub greeting: Duration,
    /// How long the client's end is awaited, so that it can read to the last word.
    pub farewell: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            time: Duration::from_mins(1),
            commands: 20,
            greeting: Duration::from_secs(10),
            farewell: Duration::from_secs(1),
        }
    }
}

/// Answers until the client quits or a bound is reached, and says which.
pub async fn answer(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    bounds: &Bounds,
    deadline: Instant,
    heard: impl Fn(Command),
) -> Closed {
    match timeout_at(deadline, dialogue(stream, bounds.commands, heard)).await {
        Ok(Ok(closed)) => closed,
        Ok(Err(_)) => Closed::Error,
        Err(_) => Closed::Time,
    }
}

async fn dialogue(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    commands: u32,
    heard: impl Fn(Command),
) -> io::Result<Closed> {
    let (mut line, mut count, mut chunk) = (Line::default(), 0, [0; CHUNK]);
    loop {
        let read = stream.read(&mut chunk).await?;
        if read == 0 {
            return Ok(Closed::Client);
        }
        for octet in &chunk[..read] {
            let Some(command) = line.push(*octet) else { continue };
            heard(command);
            count += 1;
            if command == Command::Quit {
                stream.write_all(CLOSING).await?;
                return Ok(Closed::Quit);
            }
            stream.write_all(REFUSED).await?;
            match command {
                Command::TooLong => return Ok(Closed::Line),
                _ if count == commands => return Ok(Closed::Commands),
                _ => {}
            }
        }
    }
}

/// Ends our side and awaits the client's end for a moment: to close with something unread would be a reset, which takes
/// from the client what it has not read yet.
pub async fn close(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), bounds: &Bounds) {
    let farewell = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(MAX_FAREWELL), &mut tokio::io::sink()).await
    };
    let _ = timeout(bounds.farewell, farewell).await;
}

/// All that is remembered of a command.
#[derive(Debug, Default)]
struct Line {
    length: usize,
    start: [u8; 4],
    /// Whether anything but blanks follows.
    has_more: bool,
}

impl Line {
    /// The command that ends with this octet.
    fn push(&mut self, octet: u8) -> Option<Command> {
        if octet == b'\n' {
            let line = std::mem::take(self);
            let is_quit = line.start.eq_ignore_ascii_case(b"QUIT") && !line.has_more;
            return Some(if is_quit { Command::Quit } else { Command::Other });
        }
        match self.start.get_mut(self.length) {
            Some(place) => *place = octet,
            None => self.has_more |= !octet.is_ascii_whitespace(),
        }
        self.length += 1;
        (self.length == MAX_COMMAND).then_some(Command::TooLong)
    }
}

#[cfg(test)]
mod tests;
