//! Limits of new connections: a token bucket in one word (the generic cell rate algorithm of ITU-T I.371), so that CPUs can
//! share it with one compare-and-swap.
//!
//! The word is the time at which the bucket will be full again. Full, it holds a minute's worth of connections; they may
//! come at once, and come back evenly.

/// Nanoseconds of a minute: what a full bucket holds.
const MINUTE: u64 = 60_000_000_000;

/// Takes one connection at `now` (nanoseconds of any clock that does not go back) from a bucket that fills with
/// `per_minute`, at least 1. `None`: it is empty.
#[inline(always)]
#[must_use]
pub const fn take(full_at: u64, now: u64, per_minute: u32) -> Option<u64> {
    let interval = MINUTE / per_minute as u64;
    spend(full_at, now, interval, MINUTE)
}

/// Takes `interval` from a bucket that holds `most`, both in nanoseconds.
#[inline(always)]
#[must_use]
pub const fn spend(full_at: u64, now: u64, interval: u64, most: u64) -> Option<u64> {
    let full_at = if full_at < now { now } else { full_at };
    if full_at + interval > now + most { None } else { Some(full_at + interval) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// How many of `wanted` get through at once.
    fn burst(bucket: &mut u64, now: u64, per_minute: u32, wanted: usize) -> usize {
        (0..wanted).filter(|_| take(*bucket, now, per_minute).map(|next| *bucket = next).is_some()).count()
    }

    #[test]
    fn a_minutes_worth_at_once_and_then_evenly() {
        for per_minute in [1, 2, 7, 60, 120, 600, 100_000] {
            let (mut bucket, now) = (0, 1000 * SECOND);
            let all = per_minute as usize;
            assert_eq!(burst(&mut bucket, now, per_minute, all + 5), all, "{per_minute}");
            let interval = MINUTE / u64::from(per_minute);
            // (What a division leaves over is less than a nanosecond a connection.)
            assert_eq!(burst(&mut bucket, now + interval - u64::from(per_minute), per_minute, 1), 0);
            assert_eq!(burst(&mut bucket, now + interval, per_minute, 2), 1, "{per_minute}");
            assert_eq!(burst(&mut bucket, now + 3 * MINUTE, per_minute, all + 5), all, "full, and no more");
        }
    }

    #[test]
    fn an_hour_of_trying_gets_what_is_allowed() {
        let (mut bucket, mut passed) = (0, 0);
        for tenth in 0..36_000 {
            passed += burst(&mut bucket, 1000 * SECOND + tenth * SECOND / 10, 120, 3);
        }
        assert!((7319..=7320).contains(&passed), "{passed}: 120 at once, and 7,200 in the hour");
    }
}
