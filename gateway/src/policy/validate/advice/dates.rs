//! Dates that have passed, or soon will have.

use super::super::{Check, Source, instant};
use crate::policy::Policy;
use crate::policy::problem::{Code, Report, grouped};
use jiff::{SignedDuration, Timestamp};

/// An exception that ends within this time is told of.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// What is to be said of exceptions, which are in the order of `sources`.
pub(super) fn advise(sources: &[Source], policy: &Policy, at: Timestamp, report: &mut Report) {
    let written = sources
        .iter()
        .flat_map(|source| source.document.exceptions.iter().enumerate().map(move |w| (source, w)));
    for (exception, (source, (index, written))) in policy.exceptions.iter().zip(written) {
        let check = &mut Check { source, report };
        let place = |key: &str| format!("exceptions[{index}].{key}");
        if let (Some(until), Some(text)) = (exception.until, &written.until) {
            let place = place("until");
            let left = at.duration_until(until);
            if left <= SignedDuration::ZERO {
                let cause = format!("passed {} ago, so the exception allows nothing any more", words(-left));
                check.advise(
                    Code::Expired,
                    &place,
                    text,
                    &cause,
                    "remove the exception, or give it a later end",
                );
                continue;
            }
            if left <= SOON {
                let cause = format!("comes in {}", words(left));
                check.advise(
                    Code::Expiring,
                    &place,
                    text,
                    &cause,
                    "give the exception a later end if it is still needed",
                );
            }
        }
        let place = place("review_by");
        let review_by =
            written.review_by.as_deref().and_then(|text| Some((text, instant::parse(text).ok()?)));
        match review_by {
            None if exception.until.is_none() => {
                let next = at.saturating_add(SignedDuration::from_hours(365 * 24)).unwrap_or(at);
                let remedy = format!("add a date, as review_by: \"{}\"", next.strftime("%Y-%m-%dT00:00:00Z"));
                let cause = "should be there, for a permanent exception ends when somebody looks at it";
                check.advise(Code::Unreviewed, &place, "(missing)", cause, &remedy);
            }
            Some((text, review_by)) if review_by <= at => {
                let cause = format!("passed {} ago", words(review_by.duration_until(at)));
                let remedy = "see whether the exception is still needed, then write the next date";
                check.advise(Code::ReviewOverdue, &place, text, &cause, remedy);
            }
            _ => {}
        }
    }
}

/// How long that is, roughly: `3 days`, `5 hours`, `12 minutes`.
fn words(duration: SignedDuration) -> String {
    let hours = duration.as_hours().unsigned_abs();
    let (number, unit) = match hours {
        48.. => (hours / 24, "day"),
        2.. => (hours, "hour"),
        _ => (duration.as_mins().unsigned_abs(), "minute"),
    };
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {unit}{plural}", grouped(usize::try_from(number).unwrap_or(usize::MAX)))
}
