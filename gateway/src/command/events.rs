//! `gate25 events`: what happened, as the running controller tells it.

use super::keys::Until;
use crate::control::{Filter, Newest, Request, client};
use crate::datapath::fault::Fault;
use crate::events::Record;
use serde::Deserialize;
use std::io::{ErrorKind, Write};
use std::path::Path;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// A line of the controller's.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Error {
        error: String,
    },
    Missed {
        missed: u64,
    },
    Following {
        #[serde(rename = "following")]
        _following: bool,
    },
    Event(Box<Record>),
}

/// Shows the newest events that the controller at that socket has kept.
pub fn newest(control: &Path, filter: Filter, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let newest: Newest = client::ask(control, &Request::Events(filter), client::PATIENCE)?
        .map_err(|error| client::refused(control, error))?;
    for event in &newest.events {
        show(event, json, out)?;
    }
    Ok(())
}

/// Shows events from now on, until the user ends it.
pub fn follow(control: &Path, filter: Filter, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut until = Until::interrupted()?;
        let stream = UnixStream::connect(control).await.map_err(|error| client::fault(control, &error))?;
        let mut stream = BufReader::new(stream);
        let mut request = serde_json::to_string(&Request::Follow(filter))?;
        request.push('\n');
        match stream.write_all(request.as_bytes()).await {
            // It has no place for us; what it says is read below.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error.into()),
            _ => {}
        }
        let mut lines = stream.lines();
        loop {
            let line = tokio::select! {
                () = until.ended() => return Ok(()),
                line = lines.next_line() => line?,
            };
            let Some(line) = line else {
                let remedy = "it can be followed again when it runs again; enforcement goes on meanwhile";
                return Err(Fault::new("control", control.display(), "the controller ended", remedy).into());
            };
            match serde_json::from_str(&line)? {
                Line::Error { error } => return Err(client::refused(control, error).into()),
                Line::Missed { missed } => eprintln!("{missed} events were missed here, read too slowly"),
                Line::Following { .. } => {}
                Line::Event(event) => show(&event, json, out)?,
            }
            out.flush()?;
        }
    })
}

fn show(event: &Record, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    if json {
        serde_json::to_writer(&mut *out, event)?;
        writeln!(out)?;
    } else {
        writeln!(out, "{event}")?;
    }
    Ok(())
}
