//! Prefixes that are twice, wide, or decided for elsewhere.

use crate::{Case, ZONES, each, warnings};

/// An exception that holds until 2030, with these keys.
fn exception(keys: &str) -> String {
    format!("exceptions:\n- {{id: e, owner: o, reason: r, until: 2030-01-01T00:00:00Z, {keys}}}\n")
}

const TO: usize = "- {id: e, owner: o, reason: r, until: 2030-01-01T00:00:00Z, ".len();

#[test]
fn listed_twice() {
    let to = |list: &str| exception(&format!("destinations: [{list}]"));
    let relay = |list: &str| format!("relays: [{{id: r, addresses: [{list}]}}]\n");
    each(&[
        (
            &to("198.51.100.1, 198.51.100.2, 198.51.100.1/32"),
            &to("198.51.100.1, 198.51.100.2, 198.51.100.0/31"),
            &format!(
                "6:{}: exceptions[0].destinations[2]: 198.51.100.1/32: is listed twice (keep one; the other is at p.yaml:6:{})",
                TO + "destinations: [198.51.100.1, 198.51.100.2, ".len() + 1,
                TO + "destinations: [".len() + 1
            ),
        ),
        (
            &exception("destinations: any, subscribers: [203.0.113.1, 203.0.113.1]"),
            &exception("destinations: any, subscribers: [203.0.113.1, 203.0.113.2]"),
            &format!(
                "6:{}: exceptions[0].subscribers[1]: 203.0.113.1: is listed twice (keep one; the other is at p.yaml:6:{})",
                TO + "destinations: any, subscribers: [203.0.113.1, ".len() + 1,
                TO + "destinations: any, subscribers: [".len() + 1
            ),
        ),
        (
            &relay("'2001:db8:25::/64', '2001:db8:25:0::/64'"),
            &relay("'2001:db8:25::/64', '2001:db8:25:1::/64'"),
            "5:50: relays[0].addresses[1]: 2001:db8:25:0::/64: is listed twice (keep one; the other is at p.yaml:5:30)",
        ),
    ]);
}

#[test]
fn listed_twice_in_a_file() {
    let keys = "destinations: [198.51.100.2], destinations_file: l";
    let list = "# mail servers\n198.51.100.1\r\n\n  198.51.100.2 # again\n198.51.100.1/32\n\u{a0}198.51.100.1\n198.51.100.3\n";
    let text = format!("{ZONES}{}", exception(keys));
    assert_eq!(
        Case::new(&text).with("l", format!("\u{feff}{list}")).warnings(),
        [
            format!(
                "warning: l:4:3: line 4: 198.51.100.2: is listed twice (keep one; the other is at p.yaml:6:{})",
                TO + "destinations: [".len() + 1
            ),
            "warning: l:5:1: line 5: 198.51.100.1/32: is listed twice (keep one; the other is at l:2:1)"
                .into(),
            "warning: l:6:2: line 6: 198.51.100.1: is listed twice (keep one; the other is at l:2:1)".into(),
        ]
    );
    // Two rules that share a list do not say it twice.
    let text = text + "blocks: [{id: b, reason: r, subscribers: [203.0.113.7], destinations_file: l}]\n";
    assert_eq!(Case::new(&text).with("l", "198.51.100.1\n198.51.100.1\n").warnings().len(), 1);
}

#[test]
fn what_is_one_too_many_is_counted() {
    let lines = (0..1000).map(|i| format!("198.51.{}.{}\n", i / 250, i % 250));
    let list = lines.collect::<Vec<_>>().concat();
    let text = format!("{ZONES}{}", exception("destinations_file: l"));
    let warnings = Case::new(&text).with("l", list.clone() + &list).warnings();
    assert_eq!(warnings.len(), 4, "{warnings:?}");
    assert_eq!(
        warnings.last().map(String::as_str),
        Some(
            "warning: l:1003:1: exceptions[0].destinations_file: 997 more: have the same fault \
             (correct those above, then check again)"
        )
    );
}

#[test]
fn wide() {
    let to = |prefix: &str| exception(&format!("destinations: ['{prefix}']"));
    let column = TO + "destinations: [".len() + 1;
    let line = |prefix, limit| {
        format!(
            "6:{column}: exceptions[0].destinations[0]: {prefix}: is wider than {limit}, which is seldom meant (check its length)"
        )
    };
    each(&[
        (&to("8.0.0.0/7"), &to("8.0.0.0/8"), &line("8.0.0.0/7", "/8")),
        (&to("0.0.0.0/0"), &to("10.0.0.0/8"), &line("0.0.0.0/0", "/8")),
        (&to("2000::/15"), &to("2000::/16"), &line("2000::/15", "/16")),
    ]);
    let zone = |prefix: &str| format!("- {{id: n, subscribers: [198.51.100.0/24, {prefix}]}}\n");
    each(&[(
        &zone("100.0.0.0/6"),
        &zone("100.0.0.0/8"),
        "5:42: zones[2].subscribers[1]: 100.0.0.0/6: is wider than /8, which is seldom meant (check its length)",
    )]);
}

#[test]
fn inside_a_relay_or_a_block() {
    let relay = |keys: &str| {
        let exception = exception("zones: [west], destinations: [198.51.100.16/28, 192.0.2.1]");
        format!("{exception}relays: [{{id: out, {keys}}}]\n")
    };
    let column = TO + "zones: [west], destinations: [".len() + 1;
    let by_relay = format!(
        "6:{column}: exceptions[0].destinations[0]: 198.51.100.16/28: is inside relay out, so these subscribers may connect \
         anyway (remove it, or narrow the relay)"
    );
    let block = |keys: &str| {
        format!(
            "{}blocks: [{{id: b, reason: r, {keys}}}]\n",
            exception("zones: [west], destinations: [198.51.100.16/28, 192.0.2.1]")
        )
    };
    let by_block = format!(
        "6:{column}: exceptions[0].destinations[0]: 198.51.100.16/28: is inside block b, so this exception allows nothing there \
         (remove it, or narrow the block)"
    );
    each(&[
        // Wider, the same, of the same zones; beside it narrower, or of another zone.
        (
            &relay("addresses: [198.51.100.0/24]"),
            &relay("addresses: [198.51.100.16/29, 198.51.100.24/29]"),
            &by_relay,
        ),
        (&relay("addresses: [198.51.100.16/28]"), &relay("addresses: [198.51.100.32/28]"), &by_relay),
        (
            &relay("zones: [east, west], addresses: [198.51.100.0/24]"),
            &relay("zones: [east], addresses: [198.51.100.0/24]"),
            &by_relay,
        ),
        (
            &block("destinations: [198.51.100.0/24]"),
            &block("destinations: [198.51.100.0/24], subscribers: [203.0.113.1]"),
            &by_block,
        ),
        // One that ends, or has not begun, is gone some day.
        (
            &block("destinations: [198.51.100.0/24], from: 2026-11-22T00:00:00Z"),
            &block("destinations: [198.51.100.0/24], from: 2026-11-22T00:00:01Z"),
            &by_block,
        ),
        (
            &block("destinations: [198.51.100.16/28], zones: [west]"),
            &block("destinations: [198.51.100.16/28], until: 2029-01-01T00:00:00Z"),
            &by_block,
        ),
    ]);
    // Of every zone, and a relay of one.
    let every = |zones: &str| {
        format!(
            "{}relays: [{{id: out, zones: {zones}, addresses: [198.51.100.1]}}]\n",
            exception("destinations: [198.51.100.1]")
        )
    };
    let line = format!(
        "6:{}: exceptions[0].destinations[0]: 198.51.100.1: is inside relay out, so these subscribers may connect anyway \
         (remove it, or narrow the relay)",
        TO + "destinations: [".len() + 1
    );
    each(&[(&every("[west, east]"), &every("[west]"), &line)]);
}

#[test]
fn subscribers_and_relays_inside_a_block() {
    let block = |keys: &str| {
        let exception = exception("destinations: any, subscribers: [203.0.113.0/28, 203.0.113.32]");
        format!("{exception}blocks: [{{id: b, reason: r, {keys}}}]\n")
    };
    let line = format!(
        "6:{}: exceptions[0].subscribers[1]: 203.0.113.32: is inside block b, so this exception allows it nothing \
         (remove it, or narrow the block)",
        TO + "destinations: any, subscribers: [203.0.113.0/28, ".len() + 1
    );
    each(&[(
        &block("subscribers: [203.0.113.32/28]"),
        &block("subscribers: [203.0.113.32/28], destinations: [198.51.100.1]"),
        &line,
    )]);
    let relay = |block: &str| {
        format!(
            "relays: [{{id: out, addresses: [198.51.100.25]}}]\nblocks: [{{id: b, reason: r, {block}}}]\n"
        )
    };
    each(&[(
        &relay("destinations: [198.51.100.0/24]"),
        &relay("destinations: [198.51.100.0/24], zones: [east]"),
        "5:32: relays[0].addresses[0]: 198.51.100.25: is inside block b, so this relay allows nothing there \
         (remove it, or narrow the block)",
    )]);
}

#[test]
fn a_relay_among_the_subscribers() {
    let relay = "relays: [{id: out, addresses: [198.51.100.25, 203.0.113.25]}]\n";
    let line = "warning: p.yaml:5:47: relays[0].addresses[1]: 203.0.113.25: is a subscriber of zone west, so what this relay sends on is \
                judged, too (take it out of the zone, or except it with destinations: any)";
    let beside = |keys: &str| relay.to_owned() + &exception(keys);
    assert_eq!(warnings(relay), [line]);
    for (keys, is_free) in [
        ("subscribers: [203.0.113.25], destinations: any", true),
        ("subscribers: [203.0.113.24/30], destinations: any", true),
        ("destinations: any", true),
        ("zones: [west], destinations: any", true),
        ("zones: [east], destinations: any", false),
        ("subscribers: [203.0.113.26], destinations: any", false),
        ("subscribers: [203.0.113.25], destinations: [198.51.100.0/25]", false),
    ] {
        let expected: &[&str] = if is_free { &[] } else { &[line] };
        // The last one's address is a relay's, too, but that is not what this is about.
        let found: Vec<String> =
            warnings(&beside(keys)).into_iter().filter(|line| line.contains("relays[")).collect();
        assert_eq!(found, expected, "{keys}");
    }
    // A zone's other prefix does not make it one.
    assert_eq!(warnings("relays: [{id: out, addresses: ['2001:db8:200::25']}]\n"), [""; 0]);
}
