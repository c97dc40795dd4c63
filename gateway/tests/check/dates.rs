use crate::{each, warnings};

/// An exception with these keys about its time.
fn exception(keys: &str) -> String {
    format!("exceptions:\n- id: e\n  destinations: any\n  owner: o\n  reason: r\n{keys}")
}

#[test]
fn an_exception_that_has_ended_or_soon_will() {
    let until = |until: &str| exception(&format!("  until: {until}\n"));
    for (instant, expected) in [
        (
            "2026-11-21T23:00:00Z",
            "passed 60 minutes ago, so the exception allows nothing any more (remove the exception, or give it a later end)",
        ),
        (
            "2026-11-22T00:00:00Z",
            "passed 0 minutes ago, so the exception allows nothing any more (remove the exception, or give it a later end)",
        ),
        ("2026-11-22T00:00:01Z", "comes in 0 minutes (give the exception a later end if it is still needed)"),
        (
            "2026-11-23T00:00:00+01:00",
            "comes in 23 hours (give the exception a later end if it is still needed)",
        ),
        ("2026-12-05T23:59:59Z", "comes in 13 days (give the exception a later end if it is still needed)"),
        ("2026-12-06T00:00:00Z", "comes in 14 days (give the exception a later end if it is still needed)"),
        (
            "2004-07-28T00:00:00-07:00",
            "passed 8,151 days ago, so the exception allows nothing any more (remove the exception, or give it a later end)",
        ),
    ] {
        let line = format!("10:10: exceptions[0].until: {instant}: {expected}");
        each(&[(&until(instant), &until("2026-12-06T00:00:01Z"), &line)]);
    }
}

#[test]
fn a_permanent_exception_wants_a_review_and_any_review_comes_due() {
    let permanent = exception("  permanent: true\n");
    let reviewed = |at: &str| format!("{permanent}  review_by: {at}\n");
    each(&[
        (
            &permanent,
            &reviewed("2026-11-22T00:00:01Z"),
            "6:3: exceptions[0].review_by: (missing): should be there, for a permanent exception ends when somebody looks at it (add a date, as review_by: \"2027-11-22T00:00:00Z\")",
        ),
        (
            &reviewed("2026-11-22T00:00:00Z"),
            &exception("  until: 2027-01-01T00:00:00Z\n"),
            "11:14: exceptions[0].review_by: 2026-11-22T00:00:00Z: passed 0 minutes ago (see whether the exception is still needed, then write the next date)",
        ),
        (
            &exception("  until: 2027-01-01T00:00:00Z\n  review_by: 2026-11-01T00:00:00Z\n"),
            &exception("  until: 2027-01-01T00:00:00Z\n  review_by: 2026-12-01T00:00:00Z\n"),
            "11:14: exceptions[0].review_by: 2026-11-01T00:00:00Z: passed 21 days ago (see whether the exception is still needed, then write the next date)",
        ),
    ]);
    // What has ended wants no review.
    let ended = exception("  until: 2026-01-01T00:00:00Z\n  review_by: 2025-12-01T00:00:00Z\n");
    assert_eq!(warnings(&ended).len(), 1);
}
