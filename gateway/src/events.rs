//! Events: what happened, each told once, to a file, to standard output or to the log, and to those who follow.
//!
//! Telling never waits: for the file there is a thread and a queue of its own, and what does not fit is lost, and counted.

pub mod file;
pub mod kernel;
pub mod record;
mod writer;

use crate::datapath::tallies::{Tallies, Tally};
use crate::privilege;
use gate25_common::verdict::EventKind;
use jiff::Timestamp;
pub use record::Record;
use std::collections::VecDeque;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast;
use tracing::warn;
pub use writer::Sink;
use writer::{Message, write};

/// The newest events that are kept in memory.
pub const KEPT: usize = 1000;
/// How far a follower may be behind before it misses events.
const BEHIND: usize = 4096;
/// Events that may wait to be written.
const WAITING: usize = 8192;
/// How long what waits may take to be written at the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// An event, in both shapes that somebody wants.
#[derive(Debug)]
pub struct Told {
    /// What happened.
    pub record: Record,
    /// The same as a line of JSON, without its newline.
    pub line: String,
}

/// Where events go. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Events(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    lines: Option<SyncSender<Message>>,
    newest: Mutex<VecDeque<Arc<Told>>>,
    followers: broadcast::Sender<Arc<Told>>,
    counts: Counts,
}

impl Default for Events {
    /// Kept, told to followers, and written nowhere.
    fn default() -> Self {
        Self::with(None, Counts::default())
    }
}

impl Events {
    /// Events that are written there.
    pub fn new(sink: Sink) -> std::io::Result<Self> {
        let (lines, waiting) = sync_channel(WAITING);
        let counts = Counts::default();
        let lost = counts.clone();
        std::thread::Builder::new().name("events".into()).spawn(move || {
            privilege::drop_all();
            write(sink, &waiting, &lost);
        })?;
        Ok(Self::with(Some(lines), counts))
    }

    fn with(lines: Option<SyncSender<Message>>, counts: Counts) -> Self {
        let newest = Mutex::new(VecDeque::with_capacity(KEPT));
        Self(Arc::new(Inner { lines, newest, followers: broadcast::Sender::new(BEHIND), counts }))
    }

    /// From now on events are counted there; so are those until now.
    pub fn count_in(&self, tallies: Tallies) {
        let mut counts = self.0.counts.lock();
        for tally in [Tally::EventsLost, Tally::EventsBlocked, Tally::EventsSuspect, Tally::EventsPolicy] {
            tallies.add(tally, counts.get(tally));
        }
        *counts = tallies;
    }

    /// Something about the policy changed (kind `policy`): the rule it is about, if it is about one, and what happened.
    /// Whoever tells it has it in the log already.
    pub fn policy(&self, rule: Option<&str>, message: &str) {
        self.tell(Record {
            rule: rule.map(str::to_owned),
            message: Some(message.to_owned()),
            ..Record::new(Timestamp::now(), EventKind::Policy)
        });
    }

    /// Tells an event to all.
    pub fn tell(&self, record: Record) {
        let counts = &self.0.counts;
        counts.add(match &*record.kind {
            "blocked" => Tally::EventsBlocked,
            "suspect" => Tally::EventsSuspect,
            _ => Tally::EventsPolicy,
        });
        let line = serde_json::to_string(&record).unwrap_or_default();
        let told = Arc::new(Told { record, line });
        {
            let mut newest = self.0.newest.lock().unwrap_or_else(PoisonError::into_inner);
            newest.truncate(KEPT - 1);
            newest.push_front(told.clone());
        }
        // There need not be a follower.
        let _ = self.0.followers.send(told.clone());
        if let Some(lines) = &self.0.lines
            && lines.try_send(Message::Event(told)).is_err()
        {
            counts.add(Tally::EventsLost);
        }
    }

    /// The newest events, the oldest first.
    #[must_use]
    pub fn newest(&self) -> Vec<Arc<Told>> {
        let newest = self.0.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.iter().rev().cloned().collect()
    }

    /// Events from now on, unless so many follow already; who reads too slowly is told how many were missed.
    #[must_use]
    pub fn follow_up_to(&self, most: usize) -> Option<broadcast::Receiver<Arc<Told>>> {
        (self.0.followers.receiver_count() < most).then(|| self.0.followers.subscribe())
    }

    /// Waits until all are written that were told, but not for ever.
    pub fn finish(&self) {
        let Some(lines) = &self.0.lines else { return };
        let (done, written) = sync_channel(1);
        if lines.try_send(Message::End(done)).is_err() || written.recv_timeout(PATIENCE).is_err() {
            warn!("events: not all were written in {} s", PATIENCE.as_secs());
        }
    }
}

/// Where events are counted: in memory, until there is a better place.
#[derive(Debug, Clone, Default)]
struct Counts(Arc<Mutex<Tallies>>);

impl Counts {
    fn add(&self, tally: Tally) {
        self.lock().add(tally, 1);
    }

    fn lock(&self) -> MutexGuard<'_, Tallies> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::broadcast::error::TryRecvError;

    fn message(told: &Told) -> &str {
        told.record.message.as_deref().unwrap_or_default()
    }

    #[test]
    fn the_newest_are_kept_and_counts_move_on() {
        let events = Events::default();
        for number in 0..KEPT + 5 {
            events.policy(None, &number.to_string());
        }
        let newest = events.newest();
        assert_eq!((newest.len(), message(&newest[0]), message(&newest[KEPT - 1])), (KEPT, "5", "1004"));
        let tallies = Tallies::default();
        tallies.add(Tally::EventsPolicy, 7);
        events.count_in(tallies.clone());
        events.policy(Some("campus"), "one more");
        assert_eq!((tallies.get(Tally::EventsPolicy), tallies.get(Tally::EventsLost)), (1013, 0));
    }

    #[test]
    fn a_slow_follower_misses_the_oldest_and_is_told_how_many() {
        let events = Events::default();
        let mut slow = events.follow_up_to(2).unwrap();
        let mut quick = events.follow_up_to(2).unwrap();
        assert!(events.follow_up_to(2).is_none());
        for number in 0..BEHIND + 10 {
            events.policy(None, &number.to_string());
            assert_eq!(message(&quick.try_recv().unwrap()), number.to_string());
        }
        assert!(matches!(slow.try_recv(), Err(TryRecvError::Lagged(10))));
        assert_eq!(message(&slow.try_recv().unwrap()), "10");
    }
}
