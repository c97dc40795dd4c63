//! `from` and `until`, to the nanosecond where the host decides and to the clock's reading where the kernel does.

use crate::bench::Bench;
use crate::frames::connect;
use crate::host::Host;
use crate::policies;
use gate25::clock;
use gate25::datapath::object::Unmanaged;
use gate25::policy::compile::{Clock, held_back, next_change};
use gate25_common::verdict::{Direction, Reason};
use jiff::{SignedDuration, Timestamp};
use std::thread::sleep;
use std::time::Duration;

const TO: [&str; 2] = ["203.0.113.7", "198.51.100.1"];

fn policy(rules: &str) -> String {
    let zones = r#"zones: [{id: west, subscribers: ["203.0.113.0/24"], mode: enforce}]"#;
    format!("version: 1\n{zones}\n{rules}\n")
}

fn moment(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

const NANOSECOND: SignedDuration = SignedDuration::from_nanos(1);

/// What is decided in the very instant for which tables are compiled.
fn at(policy: &str, wall: Timestamp) -> (Reason, Option<String>) {
    let boot = 5_000_000_000;
    let host = Host::new(&policies::load(policy), Clock::new(wall, boot), Unmanaged::Pass, true);
    decided(&host, boot)
}

fn decided(host: &Host, boot: u64) -> (Reason, Option<String>) {
    let verdict = host.verdict(Direction::Egress, &connect(TO[0], TO[1]), boot);
    (verdict.reason, host.tables.rules.get(&verdict.rule).map(|rule| rule.id.clone()))
}

fn named(reason: Reason, rule: &str) -> (Reason, Option<String>) {
    (reason, Some(rule.to_owned()))
}

#[test]
fn exceptions_are_half_open() {
    let text = policy(
        r#"exceptions: [{id: e, destinations: ["198.51.100.0/24"], from: "2004-07-01T00:00:00+02:00", until: "2004-07-28T00:00:00-07:00"}]"#,
    );
    let (from, until) = (moment("2004-06-30T22:00:00Z"), moment("2004-07-28T07:00:00Z"));
    assert_eq!(at(&text, from - NANOSECOND), (Reason::Default, None));
    assert_eq!(at(&text, from), named(Reason::Exception, "e"));
    assert_eq!(at(&text, until - NANOSECOND), named(Reason::Exception, "e"));
    assert_eq!(at(&text, until), named(Reason::Expired, "e"));
    assert_eq!(at(&text, until + NANOSECOND), named(Reason::Expired, "e"));
}

#[test]
fn blocks_are_half_open() {
    let text = policy(
        r#"blocks: [{id: b, destinations: ["198.51.100.0/24"], from: "2004-07-01T00:00:00Z", until: "2004-07-28T00:00:00Z"}]"#,
    );
    let (from, until) = (moment("2004-07-01T00:00:00Z"), moment("2004-07-28T00:00:00Z"));
    assert_eq!(at(&text, from - NANOSECOND), (Reason::Default, None));
    assert_eq!(at(&text, from), named(Reason::BlockRule, "b"));
    assert_eq!(at(&text, until - NANOSECOND), named(Reason::BlockRule, "b"));
    assert_eq!(at(&text, until), (Reason::Default, None));
}

/// Tables that were compiled before: the boot clock alone ends an exception, nothing begins, no block ends.
#[test]
fn time_passes_without_the_controller() {
    let text = policy(
        r#"
exceptions:
  - {id: narrow, destinations: ["198.51.100.0/24"], until: "2004-07-28T00:00:01Z"}
  - {id: wide, destinations: ["198.51.0.0/16"], until: "2004-07-28T00:00:02Z"}
  - {id: later, destinations: ["198.51.100.0/24"], from: "2004-07-28T00:00:03Z", permanent: true}
"#,
    );
    let clock = Clock::new(moment("2004-07-28T00:00:00Z"), 7_000_000_000);
    let host = Host::new(&policies::load(&text), clock, Unmanaged::Pass, true);
    assert_eq!(decided(&host, 7_000_000_000), named(Reason::Exception, "narrow"));
    assert_eq!(decided(&host, 7_999_999_999), named(Reason::Exception, "narrow"));
    // The verdict is exact; the rule named may be the one of the install.
    assert_eq!(decided(&host, 8_000_000_000).0, Reason::Exception);
    assert_eq!(decided(&host, 8_999_999_999).0, Reason::Exception);
    assert_eq!(decided(&host, 9_000_000_000), named(Reason::Expired, "narrow"));
    assert_eq!(decided(&host, 99_000_000_000), named(Reason::Expired, "narrow"));

    let text =
        policy(r#"blocks: [{id: b, destinations: ["198.51.100.0/24"], until: "2004-07-28T00:00:01Z"}]"#);
    let host = Host::new(&policies::load(&text), clock, Unmanaged::Pass, true);
    assert_eq!(decided(&host, 99_000_000_000), named(Reason::BlockRule, "b"));
}

/// An exception for any destination and one for listed ones end each in its own time.
#[test]
fn two_cells_with_two_ends() {
    let text = policy(
        r#"
exceptions:
  - {id: near, destinations: ["198.51.100.0/24"], until: "2004-07-28T00:00:01Z"}
  - {id: far, zones: [west], destinations: any, until: "2004-07-28T00:00:02Z"}
"#,
    );
    let clock = Clock::new(moment("2004-07-28T00:00:00Z"), 7_000_000_000);
    let host = Host::new(&policies::load(&text), clock, Unmanaged::Pass, true);
    assert_eq!(decided(&host, 7_999_999_999), named(Reason::Exception, "near"));
    assert_eq!(decided(&host, 8_000_000_000), named(Reason::Exception, "far"));
    assert_eq!(decided(&host, 9_000_000_000), named(Reason::Expired, "near"));
}

/// A clock that was set back: what opens goes by the wall clock, what shuts by the newest time seen.
#[test]
fn a_clock_set_back_opens_nothing() {
    let day = |day: i8| moment(&format!("2004-07-{day:02}T00:00:00Z"));
    let one = |rule: &str| policies::load(&policy(rule));
    let exception = one(
        r#"exceptions: [{id: r, destinations: ["198.51.100.0/24"], from: "2004-07-10T00:00:00Z", until: "2004-07-20T00:00:00Z"}]"#,
    );
    let block = one(
        r#"blocks: [{id: r, destinations: ["198.51.100.0/24"], from: "2004-07-10T00:00:00Z", until: "2004-07-20T00:00:00Z"}]"#,
    );
    let (before, expired) = ((Reason::Default, None), named(Reason::Expired, "r"));
    let (open, shut) = (named(Reason::Exception, "r"), named(Reason::BlockRule, "r"));
    // Wall clock and newest time seen; what then holds, whether the wall clock alone would have it otherwise, and what it
    // must reach for a change.
    for (policy, wall, newest, wanted, is_held, next) in [
        (&exception, 1, 1, &before, false, Some(10)),
        (&exception, 1, 15, &before, false, Some(10)),
        (&exception, 1, 20, &expired, false, Some(10)),
        (&exception, 10, 15, &open, false, Some(20)),
        (&exception, 15, 19, &open, false, Some(20)),
        (&exception, 15, 20, &expired, true, None),
        (&exception, 15, 25, &expired, true, None),
        (&exception, 20, 25, &expired, false, None),
        (&block, 1, 9, &before, false, Some(10)),
        (&block, 1, 10, &shut, true, Some(20)),
        (&block, 1, 25, &shut, true, Some(20)),
        (&block, 15, 25, &shut, false, Some(20)),
        (&block, 20, 25, &before, false, None),
    ] {
        let boot = 5_000_000_000;
        let clock = Clock::new(day(wall), boot).having_seen(day(newest));
        let host = Host::new(policy, clock, Unmanaged::Pass, true);
        let at = format!("wall {wall}, newest {newest}");
        assert_eq!(&decided(&host, boot), wanted, "{at}");
        assert_eq!(held_back(policy, clock), if is_held { vec!["r"] } else { vec![] }, "{at}");
        let next = next.map(day);
        // Nothing changes with an exception that has been seen to end, but it is cheaper to look than to know.
        let found = next_change(policy, clock);
        assert_eq!(found, next, "{at}");
        // An exception that holds ends when the wall clock gets there, by the boot clock.
        if *wanted == open {
            let end = boot + u64::from((20 - wall).unsigned_abs()) * 86_400_000_000_000;
            assert_eq!(decided(&host, end - 1), open, "{at}");
            assert_eq!(decided(&host, end), expired, "{at}");
        }
    }
}

/// The loaded program, as the boot clock passes `until`.
#[test]
fn the_program_ends_it_by_the_boot_clock() {
    let mut bench = Bench::of(&policies::load(&policy("")), clock::now(), Unmanaged::Pass, true);
    // The program is loaded, so two seconds are enough for another policy; but a very busy machine gets more.
    let held = [2, 8, 32]
        .into_iter()
        .map(|life| ends(&mut bench, Duration::from_secs(life)))
        .find(|passed| *passed > 5);
    assert!(held.is_some(), "it never held long enough to be seen");
}

/// Installs an exception with so long to live, and looks on until it has ended: how often it was seen to hold.
fn ends(bench: &mut Bench, life: Duration) -> u32 {
    let now = clock::now();
    let until = now.wall + life;
    let text =
        policy(&format!(r#"exceptions: [{{id: e, destinations: ["198.51.100.0/24"], until: "{until}"}}]"#));
    bench.install(&policies::load(&text), now);
    let end = now.boot + life.as_nanos() as u64;
    let frame = connect(TO[0], TO[1]);
    let (mut passed, mut blocked) = (0, 0);
    let spare = end.saturating_sub(clock::now().boot + 500_000_000);
    sleep(Duration::from_nanos(spare));
    while blocked < 5 {
        let before = clock::now().boot;
        let run = bench.program(&frame);
        let after = clock::now().boot;
        let reason = run.verdict.map(|verdict| verdict.reason);
        if after < end {
            assert_eq!(reason, Some(Reason::Exception), "{} ns before the end", end - after);
            passed += 1;
        } else if before >= end {
            assert_eq!(reason, Some(Reason::Expired), "{} ns behind the end", before - end);
            blocked += 1;
        }
        sleep(Duration::from_micros(100));
    }
    passed
}
