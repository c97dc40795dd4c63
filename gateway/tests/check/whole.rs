//! Exceptions that do nothing as a whole.

use crate::{each, warnings};

/// Two exceptions until 2030, with these keys.
fn two(first: &str, second: &str) -> String {
    let one = |id: &str, keys: &str| format!("- {{id: {id}, owner: o, reason: r, {keys}}}\n");
    format!("exceptions:\n{}{}", one("a", first), one("b", second))
}

const UNTIL: &str = "until: 2030-01-01T00:00:00Z";

fn line(number: usize, by: &str) -> String {
    let (index, id) = if number == 6 { (0, "a") } else { (1, "b") };
    format!(
        "{number}:8: exceptions[{index}].id: {id}: adds nothing: exception {by} allows all of it and ends no earlier \
         (remove it, or narrow the other)"
    )
}

#[test]
fn covered_by_another() {
    let narrow = format!(
        "destinations: [198.51.100.0/28], subscribers: [203.0.113.1, 203.0.113.8/30], zones: [west], {UNTIL}"
    );
    let by = |keys: &str| two(keys, &narrow);
    for wide in [
        format!("destinations: any, {UNTIL}"),
        format!("destinations: [198.51.100.0/24], {UNTIL}"),
        format!("destinations: [198.51.100.0/28], subscribers: [203.0.113.0/24], {UNTIL}"),
        format!("destinations: [198.51.100.0/28], zones: [west], {UNTIL}"),
        format!("destinations: any, subscribers: [203.0.113.1, 203.0.113.8/29], {UNTIL}"),
        "destinations: any, permanent: true, review_by: 2027-01-01T00:00:00Z".into(),
        format!("destinations: any, from: 2026-11-22T00:00:00Z, {UNTIL}"),
        format!("destinations: any, zones: [east, west], {UNTIL}"),
    ] {
        assert_eq!(warnings(&by(&wide)), [format!("warning: p.yaml:{}", line(7, "a"))], "{wide}");
        assert_eq!(warnings(&two(&narrow, &wide)), [format!("warning: p.yaml:{}", line(6, "b"))], "{wide}");
    }
    for beside in [
        format!("destinations: [198.51.100.0/29], {UNTIL}"),
        format!("destinations: [198.51.100.0/28], subscribers: [203.0.113.0/30], {UNTIL}"),
        format!("destinations: any, subscribers: [203.0.113.1], {UNTIL}"),
        "destinations: any, until: 2029-12-31T23:59:59Z".into(),
        format!("destinations: any, from: 2026-11-22T00:00:01Z, {UNTIL}"),
        format!("destinations: any, zones: [east], {UNTIL}"),
        format!("destinations: any, max_new_connections_per_minute: 9, {UNTIL}"),
        // Nobody knows what a name stands for.
        format!("names: [mail.campus.example], {UNTIL}"),
    ] {
        assert_eq!(warnings(&by(&beside)), [""; 0], "{beside}");
    }
}

#[test]
fn covered_but_with_something_of_its_own() {
    let wide = format!("destinations: [198.51.100.0/24], {UNTIL}");
    let narrow = |keys: &str| two(&wide, &format!("destinations: [198.51.100.1], {keys}"));
    each(&[(&narrow(UNTIL), &narrow(&format!("max_new_connections_per_minute: 9, {UNTIL}")), &line(7, "a"))]);
    each(&[(&narrow(UNTIL), &narrow(&format!("names: [mail.campus.example], {UNTIL}")), &line(7, "a"))]);
    // Of two that are the same, the second.
    each(&[(&two(&wide, &wide), &two(&wide, &wide.replace("198.51.100", "198.51.101")), &line(7, "a"))]);
    // Parts of two others may make one needless, but that is not looked for.
    let halves = format!(
        "{}- {{id: c, owner: o, reason: r, destinations: [198.51.100.0/24], {UNTIL}}}\n",
        two(
            &format!("destinations: [198.51.100.0/25], {UNTIL}"),
            &format!("destinations: [198.51.100.128/25], {UNTIL}")
        )
    );
    assert_eq!(warnings(&halves).len(), 2, "the halves");
}

#[test]
fn that_nobody_can_use() {
    let one = |keys: &str| format!("exceptions:\n- {{id: e, owner: o, reason: r, {UNTIL}, {keys}}}\n");
    let column = |text: &str| "- {id: e, owner: o, reason: r, , ".len() + UNTIL.len() + text.len() + 1;
    let from =
        |list: &str, zones: &str| one(&format!("destinations: any, zones: [{zones}], subscribers: [{list}]"));
    let key = "destinations: any, zones: [west], subscribers: ";
    let whole = format!(
        "6:{}: exceptions[0].subscribers: (given): are in no zone of this exception, so nobody can use it (correct them or the zones)",
        column(key)
    );
    let single = format!(
        "6:{}: exceptions[0].subscribers[1]: 192.0.2.8/29: is in no zone of this exception, so nobody there can use it \
         (correct it or the zones, or remove it)",
        column(key) + "[203.0.113.1, ".len()
    );
    each(&[
        (&from("192.0.2.1, 198.51.100.1", "west"), &from("192.0.2.1", "west, east"), &whole),
        (&from("203.0.114.0/24", "west"), &from("203.0.0.0/16", "west"), &whole),
        (&from("203.0.113.1, 192.0.2.8/29", "west"), &from("203.0.113.1, 203.0.113.8/29", "west"), &single),
    ]);
    let families = |to: &str| one(&format!("zones: [east], destinations: ['{to}']"));
    each(&[(
        &families("2001:db8::1"),
        &families("198.51.100.1"),
        &format!(
            "6:{}: exceptions[0].destinations: (given): are of another family than its subscribers, so nobody can use it \
             (add those of the other family, or remove the exception)",
            column("zones: [east], destinations: ")
        ),
    )]);
    let file =
        crate::Case::new(&format!("{}{}", crate::ZONES, one("destinations: any, subscribers_file: l")));
    let warnings = file.with("l", "10.0.0.1\n").warnings();
    assert!(
        warnings.len() == 1
            && warnings[0].contains(": exceptions[0].subscribers_file: (given): are in no zone"),
        "{warnings:?}"
    );
}

#[test]
fn inside_a_zone_within_another() {
    let nested = "- {id: inner, subscribers: [203.0.113.128/25]}\n";
    let one = |keys: &str| {
        format!("{nested}exceptions:\n- {{id: e, owner: o, reason: r, {UNTIL}, destinations: any, {keys}}}\n")
    };
    // The inner zone's are not the outer one's.
    let stray = one("zones: [west], subscribers: [203.0.113.192/26]");
    assert_eq!(warnings(&stray).len(), 1);
    assert_eq!(warnings(&one("zones: [inner], subscribers: [203.0.113.192/26]")), [""; 0]);
    // The outer prefix has the inner zone in it; and so has one around a listed one that has not.
    assert_eq!(warnings(&one("zones: [inner], subscribers: [203.0.113.0/24]")), [""; 0]);
    let found = warnings(&one("zones: [inner], subscribers: [203.0.113.0/24, 203.0.113.0/26]"));
    assert!(
        found.len() == 1 && found[0].contains("subscribers[1]: 203.0.113.0/26: is in no zone"),
        "{found:?}"
    );
}

#[test]
fn in_zones_that_are_stopped() {
    let stop =
        |keys: &str, rule: &str| format!("blocks: [{{id: stop, reason: r, {keys}}}]\nexceptions:\n{rule}");
    let rule = |zones: &str| {
        format!("- {{id: e, owner: o, reason: r, {UNTIL}, destinations: any, zones: [{zones}]}}\n")
    };
    let line = "7:8: exceptions[0].id: e: is only for zones that block stop stops (remove it, or the block)";
    each(&[
        (
            &stop("zones: [west], destinations: any", &rule("west")),
            &stop("zones: [west], destinations: any", &rule("west, east")),
            line,
        ),
        (
            &stop("zones: [west, east], destinations: any", &rule("west, east")),
            &stop("zones: [west, east], destinations: any, until: 2029-01-01T00:00:00Z", &rule("west, east")),
            line,
        ),
    ]);
}
