//! Whether the controller's loop goes on, for the service manager's watchdog.
//!
//! The loop's thread [`takes`](Heart::take) a heart, and whatever that thread does [`beat`]s it, or says that it is
//! [`waiting`] for a file system: a disk may take as long as it wants, and a restart would wait for the same disk.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Beats while its thread goes on.
#[derive(Debug, Clone)]
pub struct Heart(Arc<Beats>);

#[derive(Debug)]
struct Beats {
    since: Instant,
    /// The newest, in milliseconds since then.
    newest: AtomicU64,
    waits: AtomicBool,
}

thread_local! {
    static HEART: RefCell<Option<Heart>> = const { RefCell::new(None) };
}

impl Heart {
    /// This thread's from now on.
    #[must_use]
    pub fn take() -> Self {
        let beats = Beats { since: Instant::now(), newest: AtomicU64::new(0), waits: AtomicBool::new(false) };
        let heart = Self(Arc::new(beats));
        HEART.set(Some(heart.clone()));
        heart
    }

    /// Whether its thread did something in that time, or waits for a file system.
    #[must_use]
    pub fn beats(&self, within: Duration) -> bool {
        let beats = &self.0;
        let newest = Duration::from_millis(beats.newest.load(Relaxed));
        beats.waits.load(Relaxed) || beats.since.elapsed().saturating_sub(newest) <= within
    }

    fn beat(&self) {
        self.0.newest.store(self.0.since.elapsed().as_millis() as u64, Relaxed);
    }
}

/// This thread goes on.
pub fn beat() {
    HEART.with_borrow(|heart| heart.iter().for_each(Heart::beat));
}

/// Does what waits for a file system, and nothing else.
pub fn waiting<T>(work: impl FnOnce() -> T) -> T {
    let is =
        |waits| HEART.with_borrow(|heart| heart.as_ref().map(|heart| heart.0.waits.swap(waits, Relaxed)));
    let before = is(true);
    let result = work();
    beat();
    is(before.unwrap_or_default());
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::{Step, note};
    use std::thread;

    const SHORT: Duration = Duration::from_millis(20);

    fn stopped(heart: &Heart) -> bool {
        thread::sleep(2 * SHORT);
        !heart.beats(SHORT)
    }

    #[test]
    fn it_beats_while_its_thread_goes_on() {
        let heart = Heart::take();
        assert!(heart.beats(Duration::from_hours(1)));
        assert!(stopped(&heart));
        thread::spawn(beat).join().unwrap();
        assert!(!heart.beats(SHORT), "that is another thread's");
        beat();
        assert!(heart.beats(Duration::from_secs(1)));
        assert!(stopped(&heart));
        // A load that is still at it.
        note(Step::Compiled, 1, None);
        assert!(heart.beats(Duration::from_secs(1)));
    }

    #[test]
    fn a_slow_disk_is_waited_for() {
        let heart = Heart::take();
        waiting(|| {
            assert!(!stopped(&heart));
            // One in another.
            waiting(|| ());
            assert!(!stopped(&heart));
        });
        assert!(heart.beats(Duration::from_secs(1)), "the wait itself is not held against it");
        assert!(stopped(&heart));
    }
}
