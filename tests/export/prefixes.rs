//! Lists and rules, read as the head of the file says that they are read.

use crate::random::{noon, policy};
use crate::runs::run;
use crate::{exported, pairs, reference};
use gate25::export::Format;
use gate25::policy::{Action, Mode, Policy};
use gate25_common::verdict::{Decision, Direction};
use ipnetwork::IpNetwork;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use std::collections::BTreeMap;
use std::net::IpAddr;

#[test]
fn first_rule_decides_as_the_contract_does() {
    run(400, &policy(Action::ALL), |policy| agrees(&policy));
}

fn agrees(policy: &Policy) -> TestCaseResult {
    let text = exported(policy, Format::Prefixes, noon());
    let file = File::read(&text);
    let order: Vec<_> = file.rules.iter().map(|rule| (rule[2], rule[1])).collect();
    prop_assert!(order.is_sorted(), "by zone, IPv4 first:\n{}", text);
    // Hours later permissions have ended, and nothing else has changed.
    for (pair, hours) in pairs().flat_map(|pair| (0..4).map(move |hours| (pair, hours))) {
        let now = noon() + SignedDuration::from_hours(hours);
        let judgement = reference::judge(policy, pair, (noon(), now), Direction::Egress, false);
        let rule = file.first(pair, now);
        let zone = policy.zones.iter().find(|zone| Some(&zone.id) == judgement.zone.as_ref());
        let (word, action) = match (judgement.decision, zone) {
            (Decision::Block, Some(zone)) if zone.mode == Mode::Monitor => ("monitor", "-"),
            (Decision::Block, Some(zone)) => ("deny", zone.action.label()),
            _ => ("permit", "-"),
        };
        let told = |column: usize| rule.map(|rule| rule[column]);
        let case = || format!("{pair:?} {hours} hours later: {judgement:?}\n{text}");
        prop_assert_eq!(told(3).unwrap_or("permit"), word, "{}", case());
        prop_assert_eq!(told(2), judgement.zone.as_deref(), "{}", case());
        let reason = match judgement.reason.label() {
            "expired" => "default",
            reason => reason,
        };
        prop_assert_eq!(told(6).unwrap_or("unmanaged"), reason, "{}", case());
        prop_assert_eq!(told(7).unwrap_or("-"), action, "{}", case());
    }
    Ok(())
}

/// The file, read by somebody else.
struct File<'a> {
    lists: BTreeMap<&'a str, Vec<IpNetwork>>,
    rules: Vec<Vec<&'a str>>,
}

impl<'a> File<'a> {
    fn read(text: &'a str) -> Self {
        let mut file = Self { lists: BTreeMap::new(), rules: Vec::new() };
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let columns: Vec<&str> = line.split('\t').collect();
            match (columns[0], columns.len()) {
                ("list", 3) => {
                    file.lists.entry(columns[1]).or_default().push(columns[2].parse().expect("a prefix"));
                }
                ("rule", 9) => file.rules.push(columns),
                _ => panic!("{line}"),
            }
        }
        file
    }

    /// The rule that decides at an instant.
    fn first(&self, (subscriber, remote): (IpAddr, IpAddr), now: Timestamp) -> Option<&[&str]> {
        let has =
            |name: &str, address: IpAddr| self.lists[name].iter().any(|prefix| prefix.contains(address));
        let family = if subscriber.is_ipv6() { "ipv6" } else { "ipv4" };
        let decides = |rule: &&Vec<&str>| {
            let holds = rule[8] == "-" || rule[8].parse::<Timestamp>().expect("an instant") > now;
            let both = has(rule[4], subscriber) && (rule[5] == "any" || has(rule[5], remote));
            rule[1] == family && both && holds
        };
        self.rules.iter().find(decides).map(Vec::as_slice)
    }
}
