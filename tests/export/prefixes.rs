//! Lists and rules, read as the head of the file says that they are read.

use crate::random::{noon, policy};
use crate::runs::run;
use crate::{exported, judge, pairs};
use gate25::export::Format;
use gate25::policy::{Action, Mode, Policy};
use gate25_common::verdict::{Decision, Direction};
use ipnetwork::IpNetwork;
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
    for pair in pairs() {
        let judgement = judge(policy, pair, noon(), Direction::Egress);
        let rule = file.first(pair);
        let word = rule.map_or("permit", |rule| rule[3]);
        let mode =
            policy.zones.iter().find(|zone| Some(&zone.id) == judgement.zone.as_ref()).map(|zone| zone.mode);
        let wanted = match (judgement.decision, mode) {
            (Decision::Pass, _) => "permit",
            (Decision::Block, Some(Mode::Monitor)) => "monitor",
            (Decision::Block, _) => "deny",
        };
        prop_assert_eq!(word, wanted, "{:?} {:?}\n{}", pair, judgement, text);
        prop_assert_eq!(rule.map(|rule| rule[2]), judgement.zone.as_deref(), "{:?}\n{}", pair, text);
        let reason = match judgement.reason.label() {
            "expired" => "default",
            reason => reason,
        };
        prop_assert_eq!(rule.map_or("unmanaged", |rule| rule[6]), reason, "{:?}\n{}", pair, text);
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

    /// The rule that decides.
    fn first(&self, (subscriber, remote): (IpAddr, IpAddr)) -> Option<&[&str]> {
        let has =
            |name: &str, address: IpAddr| self.lists[name].iter().any(|prefix| prefix.contains(address));
        let family = if subscriber.is_ipv6() { "ipv6" } else { "ipv4" };
        let decides = |rule: &&Vec<&str>| {
            rule[1] == family && has(rule[4], subscriber) && (rule[5] == "any" || has(rule[5], remote))
        };
        self.rules.iter().find(decides).map(Vec::as_slice)
    }
}
