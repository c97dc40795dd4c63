//! One duration, or why not.

use crate::policy::problem::Why;
use std::time::Duration;

/// The longest that is meant.
const MOST: Duration = Duration::from_hours(365 * 24);

const EXAMPLE: &str = "write a number and s, m, h or d, as 30m, 48h or 7d";

/// A whole number and its unit, from one second to 365 days.
pub(super) fn parse(text: &str) -> Result<Duration, Why> {
    let unit = match text.as_bytes().last() {
        Some(b's') => 1,
        Some(b'm') => 60,
        Some(b'h') => 3_600,
        Some(b'd') => 86_400,
        _ => return Err(Why::new("is not a duration", EXAMPLE)),
    };
    let digits = &text[..text.len() - 1];
    if digits.is_empty() || !digits.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(Why::new("is not a duration", EXAMPLE));
    }
    let seconds = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    match seconds.map(Duration::from_secs) {
        Some(Duration::ZERO) => Err(Why::new("is no time at all", "write 1s at least")),
        Some(duration) if duration <= MOST => Ok(duration),
        _ => Err(Why::new("is longer than 365 days", "write 365d at most")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in
            [("1s", 1), ("30m", 1_800), ("48h", 172_800), ("7d", 604_800), ("365d", 31_536_000)]
        {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for (text, cause) in [
            ("", "is not a duration"),
            ("48", "is not a duration"),
            ("h", "is not a duration"),
            ("-1h", "is not a duration"),
            ("1.5h", "is not a duration"),
            ("1h30m", "is not a duration"),
            ("48 h", "is not a duration"),
            ("48H", "is not a duration"),
            ("1µ", "is not a duration"),
            ("0h", "is no time at all"),
            ("366d", "is longer than 365 days"),
            ("99999999999999999999d", "is longer than 365 days"),
            ("9999999999999999999d", "is longer than 365 days"),
        ] {
            assert_eq!(parse(text).expect_err(text).cause, cause, "{text}");
        }
    }
}
