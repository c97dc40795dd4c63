//! What the controller answers on its control socket.

use super::references::{Ends, Reference, References};
use super::report::Report;
use super::{Answer, FORBIDDEN, Newest, Notice, Record, Request, UNKNOWN_CONNECTION, UNKNOWN_REFERENCE};
use crate::cap::Cap;
use crate::command::explain::{Node, Path, explain};
use crate::controller::Input;
use crate::datapath::fault::Fault;
use crate::datapath::flows::Connection;
use crate::datapath::suspects::Suspects;
use crate::events::Events;
use crate::policy::compile::Clock;
use crate::status::Shared;
use crate::suspects::top::{Question, Top, top};
use gate25_common::abi::NO_ZONE;
use jiff::{SignedDuration, Timestamp};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::{info, warn};

/// How long an answer may wait for the controller's loop, which a large policy keeps busy for seconds.
pub const LOOP_PATIENCE: Duration = Duration::from_mins(1);

/// Lines a second that notices may write to the log.
const LINES: u64 = 50;

/// Finds a redirected connection by the subscriber's address and port.
type Find = dyn Fn(SocketAddr) -> Result<Option<Connection>, Fault> + Send + Sync;

/// Answers requests. Only those to change something wait for the controller's loop, and nobody else waits with them.
pub struct Handler {
    status: Shared,
    inputs: Sender<Input>,
    find: Box<Find>,
    given: Mutex<Given>,
    events: Events,
    /// One asks at a time: it takes a while, and memory.
    suspects: Result<Arc<tokio::sync::Mutex<Arc<Suspects>>>, Fault>,
    has_warned: AtomicBool,
}

struct Given {
    references: References,
    log: Cap,
}

impl Handler {
    /// Names zones and rules as `status` has them; `inputs` are those of the controller's loop.
    pub fn new(
        status: Shared,
        inputs: Sender<Input>,
        find: impl Fn(SocketAddr) -> Result<Option<Connection>, Fault> + Send + Sync + 'static,
    ) -> Self {
        Self {
            status,
            inputs,
            find: Box::new(find),
            given: Mutex::new(Given { references: References::default(), log: Cap::new(LINES) }),
            events: Events::default(),
            suspects: Err(Fault::kernel("map SUSPECTS", "is not there")),
            has_warned: AtomicBool::new(false),
        }
    }

    /// The same, which also tells of events, and of subscribers by what was blocked.
    #[must_use]
    pub fn telling(mut self, events: Events, suspects: Result<Arc<Suspects>, Fault>) -> Self {
        self.events = events;
        self.suspects = suspects.map(|suspects| Arc::new(tokio::sync::Mutex::new(suspects)));
        self
    }

    /// What may be followed.
    pub(super) fn events(&self) -> &Events {
        &self.events
    }

    /// Answers one line, without its newline, that a process of this user sent.
    pub async fn answer(&self, line: &[u8], user: u32) -> Answer {
        let request = match serde_json::from_slice::<Request>(line) {
            Ok(request) => request,
            Err(error) => return Answer::error(format!("unknown request: {error}")),
        };
        if request.is_change() && user != 0 && user != rustix::process::geteuid().as_raw() {
            warn!(user, "control: a request to change something was refused");
            return Answer::error(FORBIDDEN);
        }
        match request {
            Request::Notice { subscriber, port } => self.notice(SocketAddr::new(subscriber, port)),
            Request::Reference(reference) => self.reference(&reference),
            Request::Status => Answer::Status(Box::new(Report::new(&self.status.lock()))),
            Request::Explain { subscriber, remote, at, direction } => {
                let path = Path { subscriber, remote, direction: direction.into() };
                self.explain(path, at).await
            }
            Request::Reload { trust_clock } => self
                .in_loop(|reply| Input::Asked { trust_clock, reply })
                .await
                .map_or_else(Answer::error, Answer::Reload),
            Request::Top(question) => self.top(question).await.map_or_else(Answer::error, Answer::Top),
            Request::Events(filter) => {
                let newest = self.events.newest();
                let events = newest.iter().map(|told| &told.record).filter(|event| filter.admits(event));
                Answer::Newest(Newest { events: events.cloned().collect() })
            }
            // Its connection bears nothing else, see `stream`.
            Request::Follow(_) => Answer::error("events cannot be followed behind other requests"),
        }
    }

    async fn top(&self, question: Question) -> Result<Top, String> {
        let suspects = self.suspects.clone().map_err(|fault| fault.to_string())?;
        let suspects = suspects.lock_owned().await;
        let installed = self.status.lock().installed.clone().unwrap_or_default();
        let read = tokio::task::spawn_blocking(move || top(&suspects, &installed, &question));
        read.await.map_err(|error| error.to_string())?
    }

    /// What happens to a connection by the policy in force. With a large policy that takes a while, in which others are
    /// answered.
    async fn explain(&self, path: Path, at: Option<Timestamp>) -> Answer {
        if path.subscriber.is_ipv4() != path.remote.is_ipv4() {
            return Answer::error("the addresses are of two families");
        }
        let (installed, node, behind) = {
            let status = self.status.lock();
            let node = Node { enforce: status.node.enforce, block_unmanaged: status.node.block_unmanaged };
            (status.installed.clone().unwrap_or_default(), node, status.clock_behind)
        };
        let clock = at.map_or_else(
            || {
                let now = Timestamp::now();
                let newest = SignedDuration::try_from_secs_f64(behind).unwrap_or_default();
                Clock::standing_at(now).having_seen(now.saturating_add(newest).unwrap_or(now))
            },
            Clock::standing_at,
        );
        let explained =
            tokio::task::spawn_blocking(move || explain(&installed.policy, path, clock, node)).await;
        match explained {
            Ok(Ok(explanation)) => Answer::Explanation(Box::new(explanation.into())),
            Ok(Err(error)) => Answer::error(error.to_string()),
            Err(error) => Answer::error(error.to_string()),
        }
    }

    /// Has the controller's loop do something, and awaits what comes of it.
    async fn in_loop<T>(&self, input: impl FnOnce(oneshot::Sender<T>) -> Input) -> Result<T, String> {
        let (reply, outcome) = oneshot::channel();
        let ended = || "the controller ends".to_owned();
        self.inputs.send(input(reply)).map_err(|_| ended())?;
        match timeout(LOOP_PATIENCE, outcome).await {
            Ok(outcome) => outcome.map_err(|_| ended()),
            Err(_) => {
                Err(format!("no outcome in {} s; the controller's log will have it", LOOP_PATIENCE.as_secs()))
            }
        }
    }

    fn notice(&self, subscriber: SocketAddr) -> Answer {
        let connection = (self.find)(subscriber).unwrap_or_else(|fault| {
            if !self.has_warned.swap(true, Ordering::Relaxed) {
                warn!("{fault}: notices go out without reason and reference");
            }
            None
        });
        let Some(connection) = connection else { return Answer::error(UNKNOWN_CONNECTION) };
        let installed = self.status.lock().installed.clone().unwrap_or_default();
        let named = (connection.zone != NO_ZONE).then(|| installed.zones.get(&connection.zone)).flatten();
        let zone = named.cloned();
        let rule = installed.rules.get(&connection.rule).map(|rule| rule.id.clone());
        let reason = connection.reason.label();
        let record = |reference: Reference| Record {
            reference: reference.to_string(),
            time: Timestamp::now(),
            subscriber: subscriber.ip(),
            subscriber_port: subscriber.port(),
            remote: connection.remote,
            zone: zone.clone(),
            reason: reason.into(),
            rule: rule.clone(),
            action: connection.action.label().into(),
        };
        match self.given().reference((subscriber, connection.remote), record) {
            Ok(reference) => Answer::Notice(Notice {
                reference: reference.to_string(),
                reason: reason.into(),
                remote: connection.remote,
                zone,
                rule,
            }),
            Err(error) => Answer::error(format!("no random numbers: {error}")),
        }
    }

    fn reference(&self, text: &str) -> Answer {
        match text.parse() {
            Ok(reference) => match self.given().references.get(reference) {
                Some(record) => Answer::Record(record.clone()),
                None => Answer::error(UNKNOWN_REFERENCE),
            },
            Err(_) => Answer::error(UNKNOWN_REFERENCE),
        }
    }

    fn given(&self) -> std::sync::MutexGuard<'_, Given> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Given {
    /// The connection's reference; a new one is kept and logged.
    fn reference(
        &mut self,
        ends: Ends,
        record: impl FnOnce(Reference) -> Record,
    ) -> std::io::Result<Reference> {
        let now = Instant::now();
        if let Some(reference) = self.references.recent(&ends, now) {
            return Ok(reference);
        }
        let reference = self.references.keep(ends, now, Reference::random, record)?;
        if let (Some(record), Some(suppressed)) = (self.references.get(reference), self.log.admit(now)) {
            info!(
                reference = record.reference,
                subscriber = %ends.0,
                remote = %ends.1,
                zone = record.zone,
                reason = &*record.reason,
                rule = record.rule,
                suppressed = (suppressed > 0).then_some(suppressed),
                "notice"
            );
        }
        Ok(reference)
    }
}

#[cfg(test)]
mod tests;
