//! The clock, and what begins and ends by it.

use super::{Controller, PATIENCE};
use crate::clock;
use crate::datapath::tallies::Tally;
use crate::policy::Policy;
use crate::policy::compile::held_back;
use std::sync::Arc;
use std::time::Instant;
use tracing::{error, info, warn};

/// The most rules that a line names.
const NAMED: usize = 5;

impl Controller {
    /// Looks at the clocks, and works out the dates again when it is time.
    pub(super) fn follow_dates(&mut self) {
        let now = self.state.clock(clock::now(), &self.policy.sense);
        self.state.tick(now);
        let step = clock::stepped(self.seen, now);
        self.seen = now;
        {
            let mut status = self.status.lock();
            status.clock_steps = self.tallies.add(Tally::ClockSteps, step.is_some().into());
            status.clock_behind = now.newest.duration_since(now.wall).as_secs_f64();
            let (seen, now) = (&mut self.written, self.state.writes());
            status.state_writes.done = self.tallies.follow(Tally::StateWritten, &mut seen.done, now.done);
            status.state_writes.failed =
                self.tallies.follow(Tally::StateFailed, &mut seen.failed, now.failed);
        }
        if let Some(seconds) = step {
            warn!("the wall clock was set by {seconds:+.3} s: dates are worked out again");
            self.events.policy(None, &format!("the wall clock was set by {seconds:+.3} s"));
        }
        if !self.held_back.is_empty() && now.wall >= now.newest {
            info!("the wall clock has caught up with the newest time seen");
            self.held_back.clear();
        }
        if Instant::now() >= self.not_before {
            if clock::stepped(self.compiled, now).is_some() {
                self.recompile();
            } else if self.next_change.is_some_and(|instant| instant <= now.wall) {
                info!("a rule begins or ends now");
                self.recompile();
            }
        }
    }

    /// What the kernel refuses is tried again, but not at every tick.
    pub(super) fn recompile(&mut self) {
        let policy = Arc::clone(&self.policy);
        let clock = self.state.clock(clock::now(), &policy.sense);
        let loaded = self.status.lock().installed.as_ref().and_then(|installed| installed.loaded);
        match self.put_into_force(&policy, clock, loaded) {
            Ok(()) => self.follow_targets(),
            Err(error) => {
                error!("{error}: the tables in force stay, until the next try in a second");
                self.left.get_or_insert_default();
                self.not_before = Instant::now() + PATIENCE;
            }
        }
    }

    /// Says which rules are not as the wall clock has them, because it was set back, and what to do if it is right.
    pub(super) fn tell_held_back(&mut self, policy: &Policy) {
        let clock = self.compiled;
        let held: Vec<String> = held_back(policy, clock).into_iter().map(str::to_owned).collect();
        if !held.is_empty() && held != self.held_back {
            let behind = clock.newest.duration_since(clock.wall).as_secs_f64();
            let more = held.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let rules = held.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ") + &more;
            let message = format!(
                "clock: {}: is {behind:.3} s behind the newest time seen, {}: what has ended stays ended, blocks that \
                 have begun stay: {rules} (if the clock is right now: gate25 reload --trust-clock)",
                clock.wall, clock.newest
            );
            warn!("{message}");
            self.events.policy(None, &message);
        }
        self.held_back = held;
    }
}
