//! Runs a frame through both engines and compares all that can be seen.

use crate::expect::Expect;
use crate::policies;
use gate25::clock;
use gate25::datapath::object::Unmanaged;
use gate25::datapath::snapshot::Snapshot;
use gate25::datapath::testrun::{Code, Run, Runner};
use gate25::policy::Policy;
use gate25::policy::compile::{Clock, compile};
use gate25::tables::{Tables, View};
use gate25_common::abi::{Cell, CellKey, NO_RULE, NO_ZONE, Subscriber};
use gate25_common::answer;
use gate25_common::decide::{Lookup, Settings, decide};
use gate25_common::parse::{Address, Parsed, parse};
use gate25_common::verdict::{Action, Reason, Verdict};
use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;
use std::collections::BTreeMap;

/// Octets of a frame's linear part in a test-run: a page of 4,096 less 256 of headroom and 320 of tailroom.
pub(crate) const LINEAR: usize = 3520;

/// One line of the table.
pub(crate) struct Row {
    name: String,
    frame: Vec<u8>,
    expect: Expect,
}

/// A frame and what the contract says of it.
pub(crate) fn row(name: impl Into<String>, frame: Vec<u8>, expect: Expect) -> Row {
    Row { name: name.into(), frame, expect }
}

/// One policy in both engines.
pub(crate) struct Bench {
    tables: Tables,
    runner: Runner,
    unmanaged: Unmanaged,
    counted: BTreeMap<String, u64>,
}

impl Bench {
    /// On an interface that lets `unmanaged` pass.
    pub(crate) fn new(policy: &str) -> Self {
        Self::with(policy, Unmanaged::Pass, true)
    }

    /// With all that a node can say.
    pub(crate) fn with(policy: &str, unmanaged: Unmanaged, enforce: bool) -> Self {
        Self::of(&policies::load(policy), clock::now(), unmanaged, enforce)
    }

    /// Of a policy at a time.
    pub(crate) fn of(policy: &Policy, clock: Clock, unmanaged: Unmanaged, enforce: bool) -> Self {
        let here = sched_getcpu().expect("a processor");
        let mut only = CpuSet::new();
        only.set(here).expect("its number");
        // Retransmissions are recognised by the processor that saw the SYN.
        sched_setaffinity(Pid::from_raw(0), &only).expect("to stay on it");
        let tables = compile(policy, clock, enforce, |zone| zone as u32 + 1).expect("tables of this policy");
        let mut runner = Runner::new(unmanaged).expect("root, and the program");
        runner.install(&tables).expect("tables in the kernel");
        let mut bench = Self { tables, runner, unmanaged, counted: BTreeMap::new() };
        bench.counted = bench.count();
        bench
    }

    /// Runs all rows and fails with all that went wrong.
    pub(crate) fn check(&mut self, rows: impl IntoIterator<Item = Row>) {
        let mut faults = Vec::new();
        let mut number = 0;
        for row in rows {
            number += 1;
            faults.extend(self.faults(&row).into_iter().map(|fault| format!("{}: {fault}", row.name)));
        }
        assert!(number > 0, "no rows");
        assert!(faults.is_empty(), "{} faults in {number} rows:\n{}", faults.len(), faults.join("\n"));
    }

    /// Runs one row; a new connection twice, for the second SYN is a retransmission.
    fn faults(&mut self, row: &Row) -> Vec<String> {
        let mut faults = Vec::new();
        let first = row.expect;
        let runs = if first.attempt { vec![first, first.quiet()] } else { vec![first] };
        for (run, expect) in runs.into_iter().enumerate() {
            let mut differ = |what: &str, found: String, wanted: String| {
                if found != wanted {
                    faults.push(format!("run {run}: {what}:\n  found  {found}\n  wanted {wanted}"));
                }
            };
            let wanted = self.wanted(&expect);
            differ(
                "host engine",
                format!("{:?}", self.host(&row.frame, clock::now().boot)),
                format!("{wanted:?}"),
            );
            let Run { verdict, code, frame } = self.runner.run(&row.frame).expect("a test-run");
            differ("program", format!("{verdict:?}"), format!("{:?}", traced(wanted)));
            differ("xdp", code.label().to_owned(), expect.code.label().to_owned());
            if expect.code != Code::Tx {
                differ("frame", format!("{frame:02x?}"), format!("{:02x?}", row.frame));
            }
            let counted = self.count();
            let moved = difference(&self.counted, &counted);
            self.counted = counted;
            differ("counters", format!("{moved:?}"), format!("{:?}", moves(&expect, row.frame.len())));
        }
        faults
    }

    /// What the host's half says of a frame at a reading of the boot clock, with the action that can be done.
    pub(crate) fn host(&self, frame: &[u8], now: u64) -> Verdict {
        let parsed = parse(frame);
        let verdict = decide(&parsed, &Host { tables: &self.tables, now, unmanaged: self.unmanaged });
        match &parsed {
            Parsed::Smtp(segment)
                if verdict.action == Action::Reset && answer::reset(frame, segment).is_none() =>
            {
                Verdict { action: Action::Drop, ..verdict }
            }
            _ => verdict,
        }
    }

    /// Runs a frame through the loaded program.
    pub(crate) fn program(&mut self, frame: &[u8]) -> Run {
        self.runner.run(frame).expect("a test-run")
    }

    /// The tables that both engines have.
    pub(crate) fn tables(&self) -> &Tables {
        &self.tables
    }

    fn wanted(&self, expect: &Expect) -> Verdict {
        let zone =
            expect.zone.map(|id| self.tables.zones.iter().find(|(_, zone)| *zone == id).expect("the zone").0);
        let rule = expect
            .rule
            .map(|id| self.tables.rules.iter().find(|(_, rule)| rule.id == id).expect("the rule").0);
        Verdict {
            decision: expect.decision,
            reason: expect.reason,
            action: expect.action,
            enforced: expect.enforced,
            zone: zone.copied().unwrap_or(NO_ZONE),
            rule: rule.copied().unwrap_or(NO_RULE),
        }
    }

    /// Every counter, by the labels that people see.
    fn count(&self) -> BTreeMap<String, u64> {
        let slots = 0..self.tables.zones.len() as u32 + 2;
        let Snapshot { packets, actions, rules } = self.runner.snapshot(slots).expect("counters");
        let mut counted = BTreeMap::new();
        for row in packets {
            let zone = self.tables.zones.get(&row.zone).map_or("", String::as_str);
            let of = labels(row.family.label(), zone, row.decision.label(), row.reason, row.enforced);
            counted.insert(format!("packets {of}"), row.count.packets);
            counted.insert(format!("bytes {of}"), row.count.bytes);
            counted.insert(format!("attempts {of}"), row.count.attempts);
        }
        for (_, action, count) in actions {
            counted.insert(format!("actions {}", action.label()), count);
        }
        for (number, count) in rules {
            let id = self.tables.rules.get(&number).map_or("?", |rule| rule.id.as_str());
            counted.insert(format!("rule packets {id}"), count.packets);
            counted.insert(format!("rule attempts {id}"), count.attempts);
        }
        counted
    }
}

/// The program leaves nothing behind of what is not SMTP.
pub(crate) fn traced(verdict: Verdict) -> Option<Verdict> {
    (verdict.reason != Reason::NotSmtp).then_some(verdict)
}

fn labels(family: &str, zone: &str, decision: &str, reason: Reason, enforced: bool) -> String {
    format!("{family} zone={zone:?} {decision} {} enforced={enforced}", reason.label())
}

/// The counters that one packet must move, and no others.
fn moves(expect: &Expect, length: usize) -> BTreeMap<String, u64> {
    let zone = expect.zone.unwrap_or_default();
    let of = labels(expect.family.label(), zone, expect.decision.label(), expect.reason, expect.enforced);
    let mut moved =
        BTreeMap::from([(format!("packets {of}"), 1), (format!("bytes {of}"), length.min(LINEAR) as u64)]);
    if expect.attempt {
        moved.insert(format!("attempts {of}"), 1);
    }
    if expect.enforced {
        moved.insert(format!("actions {}", expect.action.label()), 1);
    }
    if let Some(rule) = expect.rule {
        moved.insert(format!("rule packets {rule}"), 1);
        if expect.attempt {
            moved.insert(format!("rule attempts {rule}"), 1);
        }
    }
    moved
}

fn difference(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let change = |(name, count): (&String, &u64)| (name.clone(), count - before.get(name).unwrap_or(&0));
    after.iter().map(change).filter(|(_, change)| *change > 0).collect()
}

/// [`View`], with a node's `enforce: false` as well.
struct Host<'a> {
    tables: &'a Tables,
    now: u64,
    unmanaged: Unmanaged,
}

impl Host<'_> {
    fn view(&self) -> View<'_> {
        View { tables: self.tables, now: self.now, block_unmanaged: self.unmanaged != Unmanaged::Pass }
    }
}

impl Lookup for Host<'_> {
    fn subscriber(&self, address: Address) -> Option<Subscriber> {
        self.view().subscriber(address)
    }

    fn destination(&self, address: Address) -> Option<u32> {
        self.view().destination(address)
    }

    fn cell(&self, key: CellKey) -> Option<Cell> {
        self.view().cell(key)
    }

    fn now(&self) -> u64 {
        self.now
    }

    fn settings(&self) -> Settings {
        Settings { enforce_unmanaged: self.unmanaged == Unmanaged::Block, ..self.view().settings() }
    }
}
