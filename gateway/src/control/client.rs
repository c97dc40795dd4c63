//! Asks a running controller, once.

use super::Request;
use super::places::OPEN_ALREADY;
use crate::datapath::fault::Fault;
use serde::de::DeserializeOwned;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long an answer may take that the controller has at hand.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// The controller's answer, or the error that it answers with.
pub fn ask<T: DeserializeOwned>(
    control: &Path,
    request: &Request,
    patience: Duration,
) -> Result<Result<T, String>, Fault> {
    let mut stream = UnixStream::connect(control).map_err(|error| fault(control, &error))?;
    let mut exchange = || {
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        match stream.write_all(line.as_bytes()) {
            // It asked for nothing any more, but may have said why.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error),
            _ => {}
        }
        line.clear();
        match BufReader::new(&stream).read_line(&mut line)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(line),
        }
    };
    let line = exchange().map_err(|error: std::io::Error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Fault::new(
            "control",
            control.display(),
            format!("no answer in {} s", patience.as_secs()),
            "the controller is busy or stopped; its log may tell",
        ),
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => Fault::new(
            "control",
            control.display(),
            "who listens there ended without an answer",
            "see the controller's log; it may be ending, or of another version",
        ),
        _ => Fault::new("control", control.display(), error, "see the controller's log"),
    })?;
    match super::read(&line) {
        Err(error) if error.ends_with(OPEN_ALREADY) => Err(full(control, error)),
        answer => Ok(answer),
    }
}

/// The controller has no place for us.
fn full(control: &Path, error: String) -> Fault {
    let remedy = "somebody on this host holds them; try again, or be root";
    Fault::new("control", control.display(), error, remedy)
}

/// Why a controller refuses to answer.
pub(crate) fn refused(control: &Path, error: String) -> Fault {
    if error.ends_with(OPEN_ALREADY) {
        return full(control, error);
    }
    let remedy = "see the controller's log; gate25 and its controller must be of one version";
    Fault::new("control", control.display(), error, remedy)
}

/// Why nobody can be asked there.
pub(crate) fn fault(control: &Path, error: &std::io::Error) -> Fault {
    match error.kind() {
        ErrorKind::PermissionDenied => {
            Fault::new("control", control.display(), error, "be root, or in the group gate25")
        }
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => Fault::new(
            "control",
            control.display(),
            "no controller answers",
            "start gate25, or name its socket with --control",
        ),
        _ => Fault::new("control", control.display(), error, "name the controller's socket with --control"),
    }
}
