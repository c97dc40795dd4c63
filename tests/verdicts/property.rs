//! Random policies and packets: the tables agree with the contract's prose, and the kernel with the host.
//!
//! Another seed every time; a failure prints it, and `PROPTEST_RNG_SEED` repeats it.

use crate::answers::dissect;
use crate::bench::{Bench, Host, LINEAR, traced};
use crate::random::{address, frame, noon, policy};
use crate::reference::{Judgement, judge};
use gate25::clock;
use gate25::datapath::object::Unmanaged;
use gate25::datapath::testrun::Code;
use gate25::policy::Policy;
use gate25::policy::compile::Clock;
use gate25_common::parse::{Egress, Parsed, parse};
use gate25_common::verdict::{Action, Reason, Verdict};
use gate25_tests::packet::{Link, Tcp, packet};
use jiff::SignedDuration;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestCaseResult, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

/// What can be said of TCP to port 25.
const DECIDED: [Reason; 6] = [
    Reason::Unmanaged,
    Reason::Relay,
    Reason::Exception,
    Reason::Default,
    Reason::BlockRule,
    Reason::Expired,
];

const HOUR: u64 = 3_600_000_000_000;

fn run<S: Strategy>(cases: u32, strategy: &S, test: impl Fn(S::Value) -> TestCaseResult) {
    let given = std::env::var("PROPTEST_RNG_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| RandomState::new().hash_one(0));
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        max_shrink_time: 20_000,
        ..ProptestConfig::default()
    };
    if let Err(error) = TestRunner::new(config).run(strategy, test) {
        panic!("PROPTEST_RNG_SEED={seed}: {error}");
    }
}

/// The verdict in the words of the policy.
fn in_words(host: &Host, verdict: &Verdict) -> Judgement {
    Judgement {
        decision: verdict.decision,
        reason: verdict.reason,
        zone: host.tables.zones.get(&verdict.zone).cloned(),
        rule: host.tables.rules.get(&verdict.rule).map(|rule| rule.id.clone()),
        enforced: verdict.enforced,
    }
}

/// How often each reason was given, and by how many answers: a property of nothing but passes would hold as well.
#[derive(Default)]
struct Seen {
    reasons: BTreeMap<&'static str, usize>,
    answers: usize,
}

impl Seen {
    fn see(&mut self, reason: Reason) {
        *self.reasons.entry(reason.label()).or_default() += 1;
    }

    fn must_have<'a>(&self, least: usize, reasons: impl Iterator<Item = &'a Reason>) {
        for reason in reasons {
            let seen = self.reasons.get(reason.label()).copied().unwrap_or_default();
            assert!(seen >= least, "{} was given {seen} times: {:?}", reason.label(), self.reasons);
        }
    }
}

/// All connections between the sixteen addresses; at the time of the install, and hours behind it.
fn agrees_with_prose(policy: &Policy, block_unmanaged: bool, seen: &mut Seen) -> TestCaseResult {
    let boot = 10 * HOUR;
    let unmanaged = if block_unmanaged { Unmanaged::Block } else { Unmanaged::Pass };
    let host = Host::new(policy, Clock { wall: noon(), boot }, unmanaged, true);
    let tcp = Tcp::syn(40_000, 25);
    for (ipv6, from, to) in pairs() {
        let (from, to) = (address(ipv6, from), address(ipv6, to));
        let frame = Link::new().carry(packet(from, to, &tcp));
        for hours in 0..4_u8 {
            let now = noon() + SignedDuration::from_hours(hours.into());
            let mut expected = judge(policy, (from, to), (noon(), now), block_unmanaged);
            let found = in_words(&host, &host.verdict(&frame, boot + u64::from(hours) * HOUR));
            seen.see(expected.reason);
            // The verdict is exact; the exception named may be the one named at the install.
            if hours > 0 && expected.reason == Reason::Exception {
                let named = found
                    .rule
                    .as_ref()
                    .is_some_and(|id| policy.exceptions.iter().any(|known| known.id == *id));
                prop_assert!(named, "{:?} is no exception", found.rule);
                expected.rule.clone_from(&found.rule);
            }
            prop_assert_eq!(found, expected, "{} to {}, {} hours after the install", from, to, hours);
        }
    }
    Ok(())
}

fn pairs() -> impl Iterator<Item = (bool, u8, u8)> {
    let of = |ipv6| (0..9).flat_map(move |from| (0..9).map(move |to| (ipv6, from, to)));
    of(false).chain(of(true))
}

#[test]
fn tables_say_what_the_contract_says() {
    let seen = RefCell::new(Seen::default());
    run(1_500, &(policy(), any::<bool>()), |(policy, block_unmanaged)| {
        agrees_with_prose(&policy, block_unmanaged, &mut seen.borrow_mut())
    });
    seen.borrow().must_have(10_000, DECIDED.iter());
}

/// Everything that a frame brings about in the kernel is what the host says.
fn agrees_with_host(bench: &mut Bench, frame: &[u8], seen: &mut Seen) -> TestCaseResult {
    let verdict = bench.host.verdict(frame, clock::now().boot);
    seen.see(verdict.reason);
    let before = bench.total();
    let run = bench.program(frame);
    let after = bench.total();
    prop_assert_eq!(run.verdict, traced(verdict));
    let code = match (verdict.enforced, verdict.action) {
        (false, _) => Code::Pass,
        (true, Action::Reset) => Code::Tx,
        (true, _) => Code::Drop,
    };
    prop_assert_eq!(run.code, code);
    prop_assert_eq!((after.0 - before.0, after.1 - before.1), (1, frame.len().min(LINEAR) as u64));
    if let (Code::Tx, Parsed::Smtp(segment)) = (code, parse(frame, &Egress)) {
        seen.answers += 1;
        dissect(&run.frame[segment.network..]);
    } else {
        prop_assert_eq!(run.frame, frame);
    }
    Ok(())
}

#[test]
fn the_kernel_says_what_the_host_says() {
    let seen = RefCell::new(Seen::default());
    for (unmanaged, cases) in [(Unmanaged::Pass, 60), (Unmanaged::Block, 30)] {
        let bench = RefCell::new(Bench::of(&Policy::default(), clock::now(), unmanaged, true));
        run(cases, &(policy(), vec(frame(), 100)), |(policy, frames)| {
            let mut bench = bench.borrow_mut();
            bench.install(&policy, Clock { wall: noon(), boot: clock::now().boot });
            frames.iter().try_for_each(|frame| {
                agrees_with_host(&mut bench, &frame.0, &mut seen.borrow_mut())
                    .map_err(|error| TestCaseError::fail(format!("{error}\nframe {frame:?}")))
            })
        });
    }
    seen.borrow().must_have(30, Reason::ALL.iter().filter(|reason| **reason != Reason::Rate));
    assert!(seen.borrow().answers >= 30, "{} answers", seen.borrow().answers);
}
