//! What addresses the names of a policy have: asked for at load and again by TTL, each name for itself, on a runtime of
//! its own, so that nobody else waits for a name server.
//!
//! A failure shrinks nothing: the last good answer is kept for as long as its rules say ([`answers`]), also across a
//! restart ([`mod@file`]).

pub mod answers;
mod ask;
pub mod file;

use crate::clock;
use crate::policy::names::{Key, Name, Resolved};
use crate::policy::{Policy, Problem, problem::Why};
use crate::privilege;
use crate::progress::{Step, note};
use answers::{Answers, Reply};
use ask::Dns;
use rustix::rand::{GetRandomFlags, getrandom};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::{self, Handle, Runtime};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// How long a start may wait for the names of its policy.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// What is said of a domain with such an answer.
pub(crate) const TAKES_NO_MAIL: &str = "says that it takes no mail (RFC 7505)";

/// Names asked for at the same time. Each has a few sockets open meanwhile.
const AT_ONCE: usize = 100;

/// The TTL of an answer is taken for one between these.
const TTL: (Duration, Duration) = (Duration::from_secs(5), Duration::from_hours(1));

/// From a question that failed to the next: at first, and at last; it doubles in between.
const AGAIN: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(1));

/// Asks for names, and keeps the answers.
pub struct Resolver {
    shared: Arc<Shared>,
    /// Behind the answers: its tasks go first.
    runtime: Runtime,
}

struct Shared {
    state: Mutex<State>,
    answered: Condvar,
    permits: Semaphore,
    dns: Dns,
    report: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct State {
    answers: Answers,
    /// Those of the policy, and the longest that any of their rules keeps them.
    wanted: BTreeMap<Name, Duration>,
    tasks: HashMap<Name, AbortHandle>,
    /// Somebody was told, and has not looked since.
    is_reported: bool,
    count: Count,
}

/// Questions since the start, by what came of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Good answers.
    pub good: u64,
    /// Failures, in whole or for one of the two families.
    pub failed: u64,
}

impl Resolver {
    /// Asks nothing yet. `report` is called when there may be something new, and not again before somebody looked.
    pub fn new(report: impl Fn() + Send + Sync + 'static) -> io::Result<Self> {
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("names")
            .on_thread_start(privilege::drop_all)
            .enable_all()
            .build()?;
        let shared = Shared {
            state: Mutex::default(),
            answered: Condvar::new(),
            permits: Semaphore::new(AT_ONCE),
            dns: Dns::default(),
            report: Box::new(report),
        };
        Ok(Self { shared: Arc::new(shared), runtime })
    }

    /// Takes what was known before, as if it had been answered then.
    pub fn remember(&self, answers: Answers) {
        self.shared.lock().answers = answers;
    }

    /// Asks for exactly the names of that policy from now on; new ones at once.
    pub fn follow(&self, policy: &Policy) {
        let mut wanted = BTreeMap::new();
        for (_, names) in policy.named() {
            for named in &names.list {
                let keep = wanted.entry(named.name.clone()).or_insert(names.keep_old_for);
                *keep = names.keep_old_for.max(*keep);
            }
        }
        let mut state = self.shared.lock();
        state.wanted = wanted;
        self.shared.assign(&mut state, self.runtime.handle());
    }

    /// Waits until there is something to say about every name, but not longer than that.
    pub fn wait(&self, limit: Duration) {
        let end = Instant::now() + limit;
        let mut state = self.shared.lock();
        if !state.wanted.is_empty() {
            note(Step::Asked, state.wanted.len(), None);
        }
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || state.answers.are_known(&state.wanted, clock::now().boot) {
                return;
            }
            let waited = self.shared.answered.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What the names of that policy stand for now, in the order of its rules.
    #[must_use]
    pub fn resolved(&self, policy: &Policy) -> Vec<Resolved> {
        let now = clock::now().boot;
        let mut state = self.shared.lock();
        state.is_reported = false;
        policy.named().flat_map(|(rule, names)| state.answers.resolved(rule, names, now)).collect()
    }

    /// How many questions there were.
    #[must_use]
    pub fn count(&self) -> Count {
        self.shared.lock().count
    }

    /// What is known, without what the policy does not ask for any more; `None` where that says what `before` did, or, if
    /// `all`, where it is the very same.
    #[must_use]
    pub fn answers_other_than(&self, before: &Answers, all: bool) -> Option<Answers> {
        let mut state = self.shared.lock();
        let State { answers, wanted, .. } = &mut *state;
        answers.prune(wanted);
        let is_other = if all { answers != before } else { !answers.say_the_same(before) };
        is_other.then(|| answers.clone())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A task for each name that is wanted, and no other.
    fn assign(self: &Arc<Self>, state: &mut State, runtime: &Handle) {
        let wanted = state.answers.with_exchangers(&state.wanted);
        state.tasks.retain(|name, task| {
            let stays = wanted.contains_key(name);
            if !stays {
                task.abort();
            }
            stays
        });
        for name in wanted.into_keys() {
            let task = || runtime.spawn(Arc::clone(self).watch(name.clone())).abort_handle();
            state.tasks.entry(name.clone()).or_insert_with(task);
        }
    }

    async fn watch(self: Arc<Self>, name: Name) {
        let mut failures = 0;
        loop {
            let reply = {
                let _permit = self.permits.acquire().await;
                self.dns.ask(&name).await
            };
            let ttl = reply.ttl().clamp(TTL.0, TTL.1);
            let wait = if self.take(&name, reply) {
                failures = 0;
                later(ttl, 20)
            } else {
                failures += 1;
                later(AGAIN.1.min(AGAIN.0 * (1 << (failures - 1).min(8))), 4).min(ttl)
            };
            sleep(wait).await;
        }
    }

    /// Whether it was good.
    fn take(self: &Arc<Self>, name: &Name, reply: Reply) -> bool {
        let mut state = self.lock();
        let good = state.answers.take(name, reply, clock::now());
        let count = if good { &mut state.count.good } else { &mut state.count.failed };
        *count += 1;
        if name.key == Key::Mx {
            self.assign(&mut state, &Handle::current());
        }
        let is_reported = std::mem::replace(&mut state.is_reported, true);
        drop(state);
        self.answered.notify_all();
        if !is_reported {
            (self.report)();
        }
        good
    }
}

/// The time and up to one `part`th of it, at random, so that not all names are asked for at once.
fn later(time: Duration, part: u32) -> Duration {
    let mut random = [0; 1];
    let _ = getrandom(&mut random, GetRandomFlags::empty());
    time + time / part * u32::from(random[0]) / 255
}

/// What the names of a policy stand for now, for commands that ask once; and a warning for each that has no good answer.
pub fn resolve(policy: &Policy) -> io::Result<(Vec<Resolved>, Vec<Problem>)> {
    if policy.named().next().is_none() {
        return Ok((Vec::new(), Vec::new()));
    }
    let resolver = Resolver::new(|| {})?;
    resolver.follow(policy);
    resolver.wait(PATIENCE);
    let answered = resolver.resolved(policy);
    let named = policy.named().flat_map(|(_, names)| &names.list);
    let warn = |(named, found): (_, &Resolved)| warning(named, found);
    let warnings = named.zip(&answered).filter_map(warn).collect();
    resolver.runtime.shutdown_background();
    Ok((answered, warnings))
}

fn warning(named: &crate::policy::names::Named, found: &Resolved) -> Option<Problem> {
    let remedy = "correct it, or see what the name servers of /etc/resolv.conf say";
    if found.takes_no_mail {
        return Some(named.warning(Why::new(TAKES_NO_MAIL, "remove it, or correct it")));
    }
    match (&found.failure, found.addresses.is_empty()) {
        (Some(failure), true) => {
            Some(named.warning(Why::new(format!("does not resolve: {failure}"), remedy)))
        }
        (Some(failure), false) => {
            Some(named.warning(Why::new(format!("resolves in part: {failure}"), remedy)))
        }
        (None, true) => Some(named.warning(Why::new("does not resolve: no answer in time", remedy))),
        (None, false) => None,
    }
}
