//! One instant, or why not.

use crate::policy::problem::Why;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};

/// A date and time with an offset (RFC 3339, section 5.6), and none of the other forms in use.
pub fn parse(text: &str) -> Result<Timestamp, Why> {
    if shape(text) {
        return text.parse().map_err(|_| {
            Why::new("is not a date and time there is", "check month, day, hour, minute and offset")
        });
    }
    if let Ok(date) = text.parse::<Date>()
        && text.len() == 10
    {
        let remedy =
            format!("write the instant, with your offset: {date}T00:00:00Z or {date}T00:00:00-07:00");
        return Err(Why::new("is a bare date", remedy));
    }
    if let Ok(time) = text.parse::<DateTime>()
        && !text.ends_with(']')
    {
        let remedy = format!("write date, T, time and your offset: {time}Z or {time}-07:00");
        return Err(Why::new("is not an instant with an offset", remedy));
    }
    Err(Why::new("is not an instant", "write date, T, time and offset, as 2004-07-28T00:00:00-07:00"))
}

/// `YYYY-MM-DDThh:mm:ss`, a fraction perhaps, and `Z` or `+hh:mm`; digits unchecked.
fn shape(text: &str) -> bool {
    let Some((seconds, rest)) = text.split_at_checked(19) else { return false };
    let fits = |text: &str, pattern: &str| {
        text.len() == pattern.len()
            && text.bytes().zip(pattern.bytes()).all(|(octet, wanted)| match wanted {
                b'0' => octet.is_ascii_digit(),
                b'T' => octet.eq_ignore_ascii_case(&b'T'),
                b'Z' => octet.eq_ignore_ascii_case(&b'Z'),
                b'+' => octet == b'+' || octet == b'-',
                _ => octet == wanted,
            })
    };
    let offset = rest.strip_prefix('.').map_or(rest, |fraction| {
        let offset = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
        if offset.len() < fraction.len() { offset } else { "" }
    });
    fits(seconds, "0000-00-00T00:00:00") && (fits(offset, "Z") || fits(offset, "+00:00"))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn instants() {
        for (text, utc) in [
            ("2004-07-28T00:00:00-07:00", "2004-07-28T07:00:00Z"),
            ("2004-07-28T00:00:00Z", "2004-07-28T00:00:00Z"),
            ("2004-07-28t00:00:00.25z", "2004-07-28T00:00:00.25Z"),
        ] {
            assert_eq!(parse(text).map(|instant| instant.to_string()), Ok(utc.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_instant() {
        for (text, cause, remedy) in [
            ("2004-07-28", "bare date", "2004-07-28T00:00:00Z"),
            ("2004-07-28T00:00:00", "with an offset", "2004-07-28T00:00:00Z"),
            ("2004-07-28 00:00", "with an offset", "2004-07-28T00:00:00Z"),
            ("2004-07-28 00:00:00-07:00", "with an offset", "2004-07-28T00:00:00-07:00"),
            ("2004-07-28T00:00:00-07", "with an offset", "2004-07-28T00:00:00-07:00"),
            ("2004-07-28T00:00:00-07:00[America/Los_Angeles]", "not an instant", "2004-07-28T"),
            ("2004-13-28T00:00:00Z", "there is", "check month"),
            ("2003-02-29T00:00:00Z", "there is", "check month"),
            ("2004-07-28T00:00:00.Z", "not an instant", "2004-07-28T"),
            ("2004-07-28T00:00:00.-07:00", "not an instant", "2004-07-28T"),
            ("tomorrow", "not an instant", "2004-07-28T"),
            ("", "not an instant", "2004-07-28T"),
            ("2004-07-28T00:00:0é", "not an instant", "2004-07-28T"),
        ] {
            let why = parse(text).expect_err(text);
            assert!(why.cause.contains(cause) && why.remedy.contains(remedy), "{text}: {why:?}");
        }
    }
}
