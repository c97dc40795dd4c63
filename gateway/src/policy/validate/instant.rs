//! One instant, or why not.

use crate::policy::problem::Why;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;

/// A date and time with an offset (RFC 3339, section 5.6), and none of the other forms in use.
pub fn parse(text: &str) -> Result<Timestamp, Why> {
    if shape(text) {
        return read(text).ok_or_else(|| {
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

/// The instant of a text of that [`shape`]; what comes after the last instant there is here counts as that, and what a
/// fraction has beyond nanoseconds is cut.
fn read(text: &str) -> Option<Timestamp> {
    let fraction = text[19..].find(|c: char| c != '.' && !c.is_ascii_digit())?;
    let (time, offset) = text.split_at(19 + fraction);
    let time: DateTime = time[..time.len().min(29)].parse().ok()?;
    let seconds = match offset.as_bytes() {
        [sign, h1, h2, _, m1, m2] => {
            let two = |tens: &u8, ones: &u8| i32::from(tens - b'0') * 10 + i32::from(ones - b'0');
            let (hours, minutes) = (two(h1, h2), two(m1, m2));
            let seconds = (hours < 24 && minutes < 60).then_some(hours * 3600 + minutes * 60)?;
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => 0,
    };
    let offset = Offset::from_seconds(seconds).ok()?;
    let last = offset.to_datetime(Timestamp::MAX);
    if time > last { Some(Timestamp::MAX) } else { offset.to_timestamp(time).ok() }
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
            ("2004-07-28T00:00:00.1234567899-07:00", "2004-07-28T07:00:00.123456789Z"),
            ("2004-07-28T00:00:00+23:59", "2004-07-27T00:01:00Z"),
            ("2004-07-28T00:00:00-00:30", "2004-07-28T00:30:00Z"),
            ("9999-12-30T00:00:00Z", "9999-12-30T00:00:00Z"),
            ("9999-12-31T23:59:59Z", "9999-12-30T22:00:00.999999999Z"),
            ("9999-12-31T00:00:00+00:00", "9999-12-30T22:00:00.999999999Z"),
            ("9999-12-31T23:59:59.9999999999-23:59", "9999-12-30T22:00:00.999999999Z"),
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
            ("9999-12-32T00:00:00Z", "there is", "check month"),
            ("2004-07-28T24:00:00Z", "there is", "check month"),
            ("2004-07-28T00:00:00+24:00", "there is", "check month"),
            ("2004-07-28T00:00:00+25:00", "there is", "check month"),
            ("2004-07-28T00:00:00+25:59", "there is", "check month"),
            ("2004-07-28T00:00:00-23:60", "there is", "check month"),
            ("2004-07-28T00:00:00+23:60", "there is", "check month"),
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
