//! The thread that writes events.

use super::file::Rotated;
use super::{Counts, Told};
use crate::cap::Cap;
use crate::datapath::fault::in_our_words;
use crate::datapath::tallies::Tally;
use gate25_common::verdict::EventKind;
use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Instant;
use tracing::{info, warn};

/// Lines a second that events may write to the log.
const LINES: u64 = 20;

/// Where events are written.
#[derive(Debug)]
pub enum Sink {
    /// A file.
    File(Rotated),
    /// Standard output.
    Output,
    /// The log, with at most twenty lines a second.
    Log,
}

/// What the thread gets.
#[derive(Debug)]
pub(super) enum Message {
    Event(Arc<Told>),
    /// All before this is written.
    End(SyncSender<()>),
}

/// Writes until nobody can tell any more.
pub(super) fn write(mut sink: Sink, messages: &Receiver<Message>, counts: &Counts) {
    let (mut cap, mut lost) = (Cap::new(LINES), 0_u64);
    for message in messages {
        let told = match message {
            Message::Event(told) => told,
            Message::End(done) => {
                let _ = done.send(());
                continue;
            }
        };
        match sink.write(&told, &mut cap) {
            Ok(()) if lost > 0 => {
                info!("events: {sink}: can be written again; {lost} could not be");
                lost = 0;
            }
            Ok(()) => {}
            Err(error) => {
                if lost == 0 {
                    let cause = in_our_words(&error);
                    warn!("events: {sink}: {cause}: events are lost, and counted, until it can be written");
                }
                lost += 1;
                counts.add(Tally::EventsLost);
            }
        }
    }
}

impl Sink {
    fn write(&mut self, told: &Told, cap: &mut Cap) -> io::Result<()> {
        match self {
            Self::File(file) => file.write(&told.line),
            Self::Output => {
                // Not `io::stdout()`, whose lock the command has as long as it runs.
                let mut output = File::from(rustix::stdio::stdout().try_clone_to_owned()?);
                output.write_all(format!("{}\n", told.line).as_bytes())
            }
            // That is there already.
            Self::Log if told.record.kind == EventKind::Policy.label() => Ok(()),
            Self::Log => {
                if let Some(suppressed) = cap.admit(Instant::now()) {
                    let suppressed = (suppressed > 0).then_some(suppressed);
                    info!(suppressed, "event: {}", told.record);
                }
                Ok(())
            }
        }
    }
}

impl std::fmt::Display for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(file) => write!(f, "{}", file.path().display()),
            Self::Output => f.write_str("-"),
            Self::Log => f.write_str("log"),
        }
    }
}
