//! How many connections a minute each zone's subscribers try, for `gate25 status`.

use super::Controller;
use crate::datapath::fault::Fault;
use crate::datapath::snapshot::{Attempts, Counters};
use crate::status::Rate;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};
use tracing::warn;

/// Over how long.
const WINDOW: Duration = Duration::from_mins(1);

/// The zones' counters at the looks of the last minute, oldest first.
pub(super) struct Rates {
    counters: Counters,
    looks: VecDeque<(Instant, HashMap<u32, Attempts>)>,
}

impl Rates {
    pub(super) fn new(counters: Counters) -> Self {
        Self { counters, looks: VecDeque::new() }
    }

    /// Looks at those slots again: what has been tried, a minute.
    fn look(&mut self, zones: &[u32]) -> Result<HashMap<u32, Rate>, Fault> {
        let attempts = self.counters.attempts(zones)?;
        let now = Instant::now();
        // One that is older stays: what has been since.
        while self.looks.get(1).is_some_and(|(then, _)| now.duration_since(*then) >= WINDOW) {
            self.looks.pop_front();
        }
        let rates = self.looks.front().map_or_else(HashMap::new, |(then, before)| {
            // Of a controller that is younger than a minute, what has been so far.
            let minutes = now.duration_since(*then).max(WINDOW).as_secs_f64() / WINDOW.as_secs_f64();
            let rate = |(slot, now): (&u32, &Attempts)| {
                let before = before.get(slot).copied().unwrap_or_default();
                let a_minute = |now: u64, before: u64| now.saturating_sub(before) as f64 / minutes;
                let rate = Rate {
                    blocked: a_minute(now.blocked, before.blocked),
                    passed: a_minute(now.passed, before.passed),
                };
                (*slot, rate)
            };
            attempts.iter().map(rate).collect()
        });
        self.looks.push_back((now, attempts));
        Ok(rates)
    }
}

impl Controller {
    /// Counts what zones try.
    pub(super) fn follow_rates(&mut self) {
        let installed = self.status.lock().installed.clone().unwrap_or_default();
        let slots: Vec<u32> = installed.zones.keys().copied().collect();
        match self.rates.look(&slots) {
            Ok(rates) => self.status.lock().rates = rates,
            Err(fault) => warn!("{fault}: rates of zones are not known"),
        }
    }
}
