//! Numbers and times: limits of connections, prefix lengths, durations.

use super::Check;
use crate::policy::Suspects;
use crate::policy::document;
use crate::policy::problem::Why;
use jiff::{Span, SpanRelativeTo};
use std::ops::RangeInclusive;
use std::time::Duration;

/// New connections a minute that a limit may allow: one that allows more is none.
const LIMIT: RangeInclusive<u64> = 1..=1_000_000;

/// New connections a minute.
pub(super) fn limit(check: &mut Check, place: &str, written: Option<u64>) -> Option<u32> {
    number(check, place, written, LIMIT, "to allow none, write a block; for no limit leave the key out")
}

/// What counts as one subscriber in IPv6, in bits.
pub(super) fn subscriber_prefix(check: &mut Check, place: &str, written: Option<u64>) -> u8 {
    let written = written.unwrap_or(64);
    if !(1..=128).contains(&written) {
        let why = Why::new("is not a length of an IPv6 prefix", "write a number from 1 to 128");
        check.problem(place, &written.to_string(), why);
    }
    u8::try_from(written).unwrap_or(128)
}

/// `suspects` of a policy.
pub(super) fn suspects(check: &mut Check, written: &document::Suspects) -> Suspects {
    let default = Suspects::default();
    let whole = 1..=u64::from(u32::MAX);
    let attempts = number(check, "suspects.attempts", written.attempts, whole, "write a number of attempts");
    // More than that a sketch of 512 bits cannot tell apart.
    let remotes = number(check, "suspects.remotes", written.remotes, 1..=2_000, "write fewer");
    let range = Duration::from_secs(1)..=Duration::from_hours(24);
    let within = duration(check, "suspects.within", written.within.as_deref(), range);
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

/// A time as `30s`, `10m`, `48h` or `7d`.
pub(super) fn duration(
    check: &mut Check,
    place: &str,
    written: Option<&str>,
    range: RangeInclusive<Duration>,
) -> Option<Duration> {
    let written = written?;
    let span = written.parse::<Span>().ok();
    let parsed = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    let Some(parsed) = parsed.and_then(|parsed| Duration::try_from(parsed).ok()) else {
        check.problem(place, written, Why::new("is not a time", "write a number and s, m, h or d, as 10m"));
        return None;
    };
    if !range.contains(&parsed) {
        let cause = format!("is not between {} and {}", shown(range.start()), shown(range.end()));
        check.problem(place, written, Why::new(cause, "write a time between the two"));
    }
    Some(parsed)
}

/// In the largest unit that divides it.
fn shown(duration: &Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    let unit = units.iter().find(|(length, _)| seconds > 0 && seconds.is_multiple_of(*length));
    unit.map_or_else(|| format!("{seconds}s"), |(length, unit)| format!("{}{unit}", seconds / length))
}
