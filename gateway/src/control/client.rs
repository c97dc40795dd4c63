//! Asks a running controller, once.

use super::Request;
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
    let exchange = || {
        let mut stream = UnixStream::connect(control)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        stream.write_all(line.as_bytes())?;
        line.clear();
        match BufReader::new(stream).read_line(&mut line)? {
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
        _ => fault(control, &error),
    })?;
    Ok(super::read(&line))
}

/// Why nobody can be asked there.
pub(crate) fn fault(control: &Path, error: &std::io::Error) -> Fault {
    match error.kind() {
        ErrorKind::PermissionDenied => {
            Fault::new("control", control.display(), error, "be root, or in the group gate25")
        }
        _ => Fault::new(
            "control",
            control.display(),
            "no controller answers",
            "start gate25, or name its socket with --control",
        ),
    }
}
