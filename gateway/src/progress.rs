//! Says how far a load is, once a second, if it takes longer than that.
//!
//! Whoever loads something makes a [`Progress`]; whoever does a part of that [`note`]s on the same thread how far it is, and
//! need not know whether anybody listens.

use crate::heart;
use crate::policy::problem::grouped;
use std::cell::RefCell;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};
use tracing::info;

const SECOND: Duration = Duration::from_secs(1);

/// What a load consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A file's YAML is read.
    Parsed,
    /// Prefixes are read from lists.
    Read,
    /// Rules are checked.
    Checked,
    /// It waits for addresses of names.
    Asked,
    /// Prefixes are compiled.
    Compiled,
    /// Prefixes are handed to the kernel.
    Installed,
}

impl Step {
    /// What is counted, and what happened to it.
    const fn words(self) -> &'static str {
        match self {
            Self::Parsed => "lines of YAML read",
            Self::Read => "prefixes read",
            Self::Checked => "rules checked",
            Self::Asked => "names asked for",
            Self::Compiled => "prefixes compiled",
            Self::Installed => "prefixes installed",
        }
    }
}

/// How far it is.
struct State {
    step: Step,
    done: usize,
    of: Option<usize>,
}

type Shared = Arc<Mutex<State>>;

thread_local! {
    /// Of the load that this thread does.
    static LOAD: RefCell<Option<Shared>> = const { RefCell::new(None) };
}

/// So much of a step is done, of so much if that is known.
pub fn note(step: Step, done: usize, of: Option<usize>) {
    heart::beat();
    LOAD.with_borrow(|load| {
        if let Some(load) = load {
            *load.lock().unwrap_or_else(PoisonError::into_inner) = State { step, done, of };
        }
    });
}

/// A load that this thread does until this is dropped.
#[must_use]
pub struct Progress {
    end: Option<Sender<()>>,
    teller: Option<JoinHandle<()>>,
}

impl Progress {
    /// A load of the controller, told in the log.
    pub fn logged() -> Self {
        Self::every(SECOND, |line| info!("{line}"))
    }

    /// A load of a command, told on standard error.
    pub fn shown() -> Self {
        Self::every(SECOND, |line| eprintln!("{line}"))
    }

    /// A load that is told so often, in any way.
    pub fn every(period: Duration, tell: impl Fn(&str) + Send + 'static) -> Self {
        let load = Arc::new(Mutex::new(State { step: Step::Parsed, done: 0, of: None }));
        LOAD.set(Some(load.clone()));
        let (end, ended) = channel();
        let begin = Instant::now();
        let follow = move || {
            while ended.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
                let line = line(&load.lock().unwrap_or_else(PoisonError::into_inner), begin.elapsed());
                tell(&line);
            }
        };
        // Without a thread to tell it, it goes on all the same.
        let teller = Builder::new().name("progress".into()).spawn(follow).ok();
        Self { end: Some(end), teller }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        LOAD.set(None);
        self.end = None;
        if let Some(teller) = self.teller.take() {
            // It says nothing behind what comes next.
            let _ = teller.join();
        }
    }
}

/// `policy: 1,200,000 of 2,000,000 prefixes compiled after 3 s`
fn line(State { step, done, of }: &State, elapsed: Duration) -> String {
    let of = of.map_or_else(String::new, |of| format!(" of {}", grouped(of)));
    format!("policy: {}{of} {} after {} s", grouped(*done), step.words(), elapsed.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn what_takes_long_is_told_until_it_ends() {
        let (told, lines) = channel::<String>();
        note(Step::Read, 1, None);
        let progress = Progress::every(Duration::from_millis(1), move |line| told.send(line.into()).unwrap());
        assert_eq!(lines.recv().unwrap(), "policy: 0 lines of YAML read after 0 s");
        note(Step::Compiled, 1_200_000, Some(2_000_000));
        // Another thread's load is another.
        thread::spawn(|| note(Step::Checked, 7, None)).join().unwrap();
        let told = lines.iter().find(|line| !line.contains("YAML"));
        assert_eq!(told.unwrap(), "policy: 1,200,000 of 2,000,000 prefixes compiled after 0 s");
        drop(progress);
        // What was told before may be there still; the teller itself is gone.
        assert_eq!(lines.iter().find(|line| !line.contains("compiled")), None);
        assert!(LOAD.with_borrow(Option::is_none));
    }

    #[test]
    fn what_is_quick_is_not_told() {
        let begin = Instant::now();
        drop(Progress::every(Duration::from_hours(1), |line| panic!("{line}")));
        assert!(begin.elapsed() < Duration::from_mins(1));
    }
}
