//! Random policies and packets: the tables agree with the contract's prose, and the kernel with the host.

use crate::answers::dissect;
use crate::bench::{Bench, LINEAR, traced};
use crate::host::{Host, parsed};
use crate::random::{Frame, address, frame, noon, policy};
use crate::reference::{Judgement, judge};
use crate::runs::{run, run_until};
use crate::{redirected, unreachable};
use gate25::clock;
use gate25::datapath::object::Unmanaged;
use gate25::datapath::testrun::Code;
use gate25::policy::Policy;
use gate25::policy::compile::Clock;
use gate25::tables::View;
use gate25_common::decide::decide;
use gate25_common::parse::Parsed;
use gate25_common::verdict::{Action, Direction, Reason, Verdict};
use gate25_tests::packet::{ACK, Link, SYN, Tcp, packet};
use jiff::SignedDuration;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

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

/// The verdict in the words of the policy.
fn in_words(host: &Host, verdict: &Verdict) -> Judgement {
    Judgement {
        decision: verdict.decision,
        action: verdict.action,
        reason: verdict.reason,
        zone: host.tables.zones.get(&verdict.zone).cloned(),
        rule: host.tables.rules.get(&verdict.rule).map(|rule| rule.id.clone()),
        enforced: verdict.enforced,
    }
}

/// How often each reason and action was given: a property of nothing but passes would hold as well.
#[derive(Default)]
struct Seen {
    reasons: BTreeMap<&'static str, usize>,
    actions: BTreeMap<&'static str, usize>,
}

impl Seen {
    fn see(&mut self, reason: Reason, action: Action) {
        *self.reasons.entry(reason.label()).or_default() += 1;
        *self.actions.entry(action.label()).or_default() += 1;
    }

    /// Each of the words, with how often it was given.
    fn given<'a>(
        &self,
        reasons: impl Iterator<Item = &'a Reason>,
        actions: &[Action],
    ) -> impl Iterator<Item = (&'static str, usize)> {
        let times =
            |seen: &BTreeMap<&'static str, usize>, word| (word, seen.get(word).copied().unwrap_or_default());
        let reasons: Vec<_> = reasons.map(|reason| times(&self.reasons, reason.label())).collect();
        let actions: Vec<_> = actions.iter().map(|action| times(&self.actions, action.label())).collect();
        reasons.into_iter().chain(actions)
    }

    fn has<'a>(&self, least: usize, reasons: impl Iterator<Item = &'a Reason>, actions: &[Action]) -> bool {
        self.given(reasons, actions).all(|(_, times)| times >= least)
    }

    fn must_have<'a>(&self, least: usize, reasons: impl Iterator<Item = &'a Reason>, actions: &[Action]) {
        for (word, times) in self.given(reasons, actions) {
            assert!(times >= least, "{word} was given {times} times");
        }
    }
}

/// All connections between the sixteen addresses, both ways; at the time of the install, and hours behind it.
fn agrees_with_prose(policy: &Policy, block_unmanaged: bool, seen: &mut [Seen; 2]) -> TestCaseResult {
    let boot = 10 * HOUR;
    let unmanaged = if block_unmanaged { Unmanaged::Block } else { Unmanaged::Pass };
    let host = Host::new(policy, Clock::new(noon(), boot), unmanaged, true);
    let (out, back) = (Tcp::syn(40_000, 25), Tcp::new(25, 40_000, SYN | ACK));
    let both_ways = |pair| [(Direction::Egress, pair), (Direction::Return, pair)];
    for (direction, (ipv6, from, to)) in pairs().flat_map(both_ways) {
        let (from, to) = (address(ipv6, from), address(ipv6, to));
        let packet = match direction {
            Direction::Egress => packet(from, to, &out),
            Direction::Return => packet(to, from, &back),
        };
        let parsed = parsed(direction, &Link::new().carry(packet));
        for hours in 0..4_u8 {
            let now = noon() + SignedDuration::from_hours(hours.into());
            let mut expected = judge(policy, (from, to), (noon(), now), direction, block_unmanaged);
            let now = boot + u64::from(hours) * HOUR;
            let view = View { tables: &host.tables, now, block_unmanaged };
            let found = in_words(&host, &decide(&parsed, direction, &view));
            seen[direction as usize].see(expected.reason, expected.action);
            // The verdict is exact; the exception named may be the one named at the install.
            if hours > 0 && expected.reason == Reason::Exception {
                let named = found
                    .rule
                    .as_ref()
                    .is_some_and(|id| policy.exceptions.iter().any(|known| known.id == *id));
                prop_assert!(named, "{:?} is no exception", found.rule);
                expected.rule.clone_from(&found.rule);
            }
            prop_assert_eq!(
                found,
                expected,
                "{:?}, {} to {}, {} hours after the install",
                direction,
                from,
                to,
                hours
            );
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
    let seen = RefCell::new(<[Seen; 2]>::default());
    run_until(
        1_500,
        &(policy(&Action::ALL[1..]), any::<bool>()),
        |(policy, block_unmanaged)| agrees_with_prose(&policy, block_unmanaged, &mut seen.borrow_mut()),
        || {
            let [egress, back] = &*seen.borrow();
            egress.has(10_000, DECIDED.iter(), Action::ALL)
                && back.has(3_000, DECIDED.iter(), &[Action::None, Action::Drop])
        },
    );
    let [egress, back] = seen.into_inner();
    egress.must_have(10_000, DECIDED.iter(), Action::ALL);
    back.must_have(3_000, DECIDED.iter(), &[Action::None, Action::Drop]);
}

/// Everything that a frame brings about in the kernel is what the host says.
fn agrees_with_host(
    bench: &mut Bench,
    policy: &Policy,
    (direction, frame): &(Direction, Frame),
    seen: &mut [Seen; 2],
    taken: &mut BTreeSet<(IpAddr, u16)>,
) -> TestCaseResult {
    // A test-run of the way back takes no more.
    let frame = match direction {
        Direction::Egress => &frame.0[..],
        Direction::Return => &frame.0[..frame.0.len().min(LINEAR)],
    };
    let verdict = bench.host.verdict(*direction, frame, clock::now().boot);
    let parsed = parsed(*direction, frame);
    // The host keeps no connections, so no port may have one before.
    if let (Direction::Egress, Parsed::Smtp(segment)) = (direction, &parsed) {
        let port = (segment.subscriber.into(), segment.subscriber_port);
        let redirects = verdict.enforced && matches!(verdict.action, Action::Notice | Action::Relay);
        if taken.contains(&port) {
            return Ok(());
        }
        if redirects {
            taken.insert(port);
        }
    }
    let seen = &mut seen[*direction as usize];
    seen.see(verdict.reason, verdict.action);
    let before = bench.total();
    let run = bench.run(*direction, frame);
    let after = bench.total();
    prop_assert_eq!(run.verdict, traced(verdict));
    let code = match (verdict.enforced, verdict.action) {
        (false, _) | (true, Action::Notice | Action::Relay) => Code::Pass,
        (true, Action::Reset | Action::Icmp) => Code::Tx,
        (true, _) => Code::Drop,
    };
    prop_assert_eq!(run.code, code);
    let is_in_tag = *direction == Direction::Return && is_cut_ip(frame);
    let bytes = frame.len().min(LINEAR) + if is_in_tag { 4 } else { 0 };
    prop_assert_eq!((after.0 - before.0, after.1 - before.1), (1, bytes as u64));
    match (verdict.enforced, verdict.action, parsed) {
        (true, Action::Reset, Parsed::Smtp(segment)) => drop(dissect(&run.frame[segment.network..])),
        (true, Action::Icmp, Parsed::Smtp(segment)) => {
            let original = &frame[segment.network..segment.end.min(frame.len())];
            unreachable::dissect(&run.frame[segment.network..], original, segment.subscriber.into());
        }
        (true, Action::Notice | Action::Relay, Parsed::Smtp(segment)) => {
            let zone = &bench.host.tables.zones[&verdict.zone];
            let zone = policy.zones.iter().find(|known| known.id == *zone).expect("the zone");
            let target = zone.redirects_to().of(segment.subscriber.is_ipv6()).expect("an endpoint");
            redirected::dissect(frame, &run.frame, &segment, target);
        }
        _ => prop_assert_eq!(run.frame, frame),
    }
    Ok(())
}

/// Whether a test-run of the way back has it in a tag, see [`gate25::datapath::testrun`].
fn is_cut_ip(frame: &[u8]) -> bool {
    (frame[12..14] == [8, 0] && frame.len() < 34) || (frame[12..14] == [0x86, 0xdd] && frame.len() < 54)
}

#[test]
fn the_kernel_says_what_the_host_says() {
    let seen = RefCell::new(<[Seen; 2]>::default());
    let reasons = || Reason::ALL.iter().filter(|reason| **reason != Reason::Rate);
    // Rules come with their policies, so how often the rarest reason is given varies widely: on until it was often enough.
    for _ in 0..16 {
        for (unmanaged, cases) in [(Unmanaged::Pass, 60), (Unmanaged::Block, 30)] {
            let bench = RefCell::new(Bench::of(&Policy::default(), clock::now(), unmanaged, true));
            let taken = RefCell::new(BTreeSet::new());
            let of = |direction| frame(direction).prop_map(move |frame| (direction, frame));
            let frames = vec(prop_oneof![of(Direction::Egress), of(Direction::Return)], 150);
            run(cases, &(policy(&Action::ALL[1..]), frames), |(policy, frames)| {
                let mut bench = bench.borrow_mut();
                bench.install(&policy, Clock::new(noon(), clock::now().boot));
                frames.iter().try_for_each(|frame| {
                    let (mut seen, mut taken) = (seen.borrow_mut(), taken.borrow_mut());
                    agrees_with_host(&mut bench, &policy, frame, &mut seen, &mut taken)
                        .map_err(|error| TestCaseError::fail(format!("{error}\n{frame:?}")))
                })
            });
        }
        let [egress, back] = &*seen.borrow();
        if egress.has(30, reasons(), Action::ALL) && back.has(30, reasons(), &[Action::None, Action::Drop]) {
            return;
        }
    }
    let [egress, back] = seen.into_inner();
    egress.must_have(30, reasons(), Action::ALL);
    back.must_have(30, reasons(), &[Action::None, Action::Drop]);
}
