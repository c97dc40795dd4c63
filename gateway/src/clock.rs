//! The clocks: dates are of the wall clock, which the program checks by the boot clock; the silence of connections is
//! measured by the monotonic one.

use crate::policy::compile::Clock;
use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// A difference of the clocks that grows by more than this between two looks was a step, not the time between reading
/// one and the other.
const STEP: Duration = Duration::from_millis(50);

/// Wall and boot clock now.
#[must_use]
pub fn now() -> Clock {
    Clock::new(Timestamp::now(), nanoseconds(ClockId::Boottime))
}

/// What the program calls now in [`gate25_common::abi::Flow::seen`]: nanoseconds, in steps of some milliseconds.
#[must_use]
pub fn monotonic() -> u64 {
    nanoseconds(ClockId::MonotonicCoarse)
}

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let time = Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32);
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// How far somebody set the wall clock between two readings, in seconds; `None` if nobody did. (Slewing changes both
/// clocks alike.)
#[must_use]
pub fn stepped(before: Clock, after: Clock) -> Option<f64> {
    let difference = |clock: Clock| clock.wall.as_nanosecond() - i128::from(clock.boot);
    let step = difference(after) - difference(before);
    (step.unsigned_abs() > STEP.as_nanos()).then_some(step as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;

    #[test]
    fn a_step_is_told_from_time_that_passes() {
        let before = now();
        let later = Clock::new(before.wall + SignedDuration::from_secs(60), before.boot + 60_000_000_000);
        assert_eq!(stepped(before, later), None);
        let set_back = Clock::new(before.wall - SignedDuration::from_secs(3600), before.boot);
        assert_eq!(stepped(before, set_back), Some(-3600.0));
    }
}
