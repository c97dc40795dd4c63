//! Numbers and times: limits of connections, prefix lengths, durations.

use super::{Check, duration};
use crate::policy::Suspects;
use crate::policy::document;
use crate::policy::problem::Why;
use std::ops::RangeInclusive;
use std::time::Duration;

/// New connections a minute that a limit may allow: one that allows more is none.
pub(in crate::policy) const LIMIT: RangeInclusive<u64> = 1..=1_000_000;

/// Bits of a subscriber's IPv6 prefix.
pub(in crate::policy) const SUBSCRIBER_BITS: RangeInclusive<u64> = 1..=128;

/// Attempts that make a suspect.
pub(in crate::policy) const ATTEMPTS: RangeInclusive<u64> = 1..=u32::MAX as u64;

/// Remotes that make a suspect; more than that a sketch of 512 bits cannot tell apart.
pub(in crate::policy) const REMOTES: RangeInclusive<u64> = 1..=2_000;

/// New connections a minute.
pub(super) fn limit(check: &mut Check, place: &str, written: Option<u64>) -> Option<u32> {
    number(check, place, written, LIMIT, "to allow none, write a block; for no limit leave the key out")
}

/// What counts as one subscriber in IPv6, in bits.
pub(super) fn subscriber_prefix(check: &mut Check, place: &str, written: Option<u64>) -> u8 {
    let written = written.unwrap_or(64);
    if !SUBSCRIBER_BITS.contains(&written) {
        let why = Why::new("is not a length of an IPv6 prefix", "write a number from 1 to 128");
        check.problem(place, &written.to_string(), why);
    }
    u8::try_from(written).unwrap_or(128)
}

/// `suspects` of a policy.
pub(super) fn suspects(check: &mut Check, written: &document::Suspects) -> Suspects {
    let default = Suspects::default();
    let attempts =
        number(check, "suspects.attempts", written.attempts, ATTEMPTS, "write a number of attempts");
    let remotes = number(check, "suspects.remotes", written.remotes, REMOTES, "write fewer");
    let within = within(check, written.within.as_deref());
    Suspects {
        attempts: attempts.unwrap_or(default.attempts),
        remotes: remotes.unwrap_or(default.remotes),
        within: within.unwrap_or(default.within),
    }
}

fn number(
    check: &mut Check,
    place: &str,
    written: Option<u64>,
    range: RangeInclusive<u64>,
    remedy: &str,
) -> Option<u32> {
    let written = written?;
    if !range.contains(&written) {
        let cause = format!("is not a number from {} to {}", range.start(), range.end());
        check.problem(place, &written.to_string(), Why::new(cause, remedy));
    }
    u32::try_from(written).ok()
}

/// `suspects.within`.
fn within(check: &mut Check, written: Option<&str>) -> Option<Duration> {
    let written = written?;
    let parsed = duration::parse(written).and_then(|parsed| {
        let is_short = parsed <= Duration::from_hours(24);
        is_short.then_some(parsed).ok_or_else(|| Why::new("is longer than a day", "write 24h at most"))
    });
    parsed.map_err(|why| check.problem("suspects.within", written, why)).ok()
}
