//! Waiting for something to become true, never for a fixed time.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// Asks every 10 ms until there is an answer; `None` when there was none in time.
pub fn until<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        let answer = ask();
        if answer.is_some() || Instant::now() >= end {
            return answer;
        }
        sleep(Duration::from_millis(10));
    }
}
