//! Runs a frame through both engines and compares all that can be seen.

use crate::expect::Expect;
use crate::exported;
use crate::host::Host;
use crate::policies;
use gate25::clock;
use gate25::datapath::object::Unmanaged;
use gate25::datapath::snapshot::Snapshot;
use gate25::datapath::testrun::{Code, Run, Runner};
use gate25::policy::Policy;
use gate25::policy::compile::Clock;
use gate25_common::abi::{NO_RULE, NO_ZONE};
use gate25_common::verdict::{Decision, Direction, Family, Reason, Verdict};
use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// Octets of a frame's linear part in a test-run: a page of 4,096 less 256 of headroom and 320 of tailroom.
pub(crate) const LINEAR: usize = 3520;

/// One line of the table.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) direction: Direction,
    pub(crate) frame: Vec<u8>,
    pub(crate) expect: Expect,
}

/// A frame from a subscriber and what the contract says of it.
pub(crate) fn row(name: impl Into<String>, frame: Vec<u8>, expect: Expect) -> Row {
    Row { name: name.into(), direction: Direction::Egress, frame, expect }
}

/// The same of a frame toward a subscriber.
pub(crate) fn back(name: impl Into<String>, frame: Vec<u8>, expect: Expect) -> Row {
    Row { direction: Direction::Return, ..row(name, frame, expect) }
}

/// One policy in both engines.
pub(crate) struct Bench {
    pub(crate) host: Host,
    runner: Runner,
    counted: BTreeMap<String, u64>,
    /// The policy, where an export of it says as much as both engines do.
    exported: Option<Policy>,
}

impl Bench {
    /// On an interface that lets `unmanaged` pass.
    pub(crate) fn new(policy: &str) -> Self {
        Self::with(policy, Unmanaged::Pass, true)
    }

    /// With all that a node can say.
    pub(crate) fn with(policy: &str, unmanaged: Unmanaged, enforce: bool) -> Self {
        let policy = policies::load(policy);
        let bench = Self::of(&policy, clock::now(), unmanaged, enforce);
        let is_plain = matches!(unmanaged, Unmanaged::Pass) && enforce;
        Self { exported: is_plain.then_some(policy), ..bench }
    }

    /// Of a policy at a time.
    pub(crate) fn of(policy: &Policy, clock: Clock, unmanaged: Unmanaged, enforce: bool) -> Self {
        let host = Host::new(policy, clock, unmanaged, enforce);
        let mut runner = Runner::new(Direction::ALL, unmanaged).expect("root, and both programs");
        runner.install(&host.tables).expect("tables in the kernel");
        let mut bench = Self { host, runner, counted: BTreeMap::new(), exported: None };
        bench.counted = bench.count();
        bench
    }

    /// [`policies::MAIN`], loaded once for all tests: the verifier takes longer than all rows.
    pub(crate) fn main() -> MutexGuard<'static, Self> {
        static MAIN: LazyLock<Mutex<Bench>> = LazyLock::new(|| Mutex::new(Bench::new(policies::MAIN)));
        // A test that failed has left the bench as it was, but for what it counted.
        let mut bench = MAIN.lock().unwrap_or_else(PoisonError::into_inner);
        bench.recount();
        bench
    }

    /// Runs all rows and fails with all that went wrong.
    pub(crate) fn check(&mut self, rows: impl IntoIterator<Item = Row>) {
        // Retransmissions are recognised by the processor that saw the SYN.
        let mut only = CpuSet::new();
        only.set(sched_getcpu().expect("a processor")).expect("its number");
        sched_setaffinity(Pid::from_raw(0), &only).expect("to stay on it");
        let mut faults = Vec::new();
        let rows: Vec<Row> = rows.into_iter().collect();
        let number = rows.len();
        for row in &rows {
            faults.extend(self.faults(row).into_iter().map(|fault| format!("{}: {fault}", row.name)));
        }
        if let Some(policy) = &self.exported {
            faults.extend(exported::faults(policy, &rows.iter().collect::<Vec<_>>()));
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
                format!("{:?}", self.host.verdict(row.direction, &row.frame, clock::now().boot)),
                format!("{wanted:?}"),
            );
            let Run { verdict, code, frame } = self.run(row.direction, &row.frame);
            differ("program", format!("{verdict:?}"), format!("{:?}", traced(wanted)));
            differ("xdp", code.label().to_owned(), expect.code.label().to_owned());
            if expect.code != Code::Tx {
                differ("frame", format!("{frame:02x?}"), format!("{:02x?}", row.frame));
            }
            let counted = self.count();
            let moved = difference(&self.counted, &counted);
            self.counted = counted;
            differ("counters", format!("{moved:?}"), format!("{:?}", moves(row, &expect)));
        }
        faults
    }

    /// Takes the counters as they are for the next rows' beginning.
    fn recount(&mut self) {
        self.counted = self.count();
    }

    /// Runs a frame from a subscriber through the loaded program.
    pub(crate) fn program(&mut self, frame: &[u8]) -> Run {
        self.run(Direction::Egress, frame)
    }

    /// Runs a frame through the loaded program of a direction.
    pub(crate) fn run(&mut self, direction: Direction, frame: &[u8]) -> Run {
        self.runner.run(direction, frame).expect("a test-run")
    }

    /// Puts another policy into both engines.
    pub(crate) fn install(&mut self, policy: &Policy, clock: Clock) {
        self.host = Host::new(policy, clock, self.host.unmanaged, true);
        self.exported = None;
        self.runner.install(&self.host.tables).expect("tables in the kernel");
        self.recount();
    }

    /// The same with so many octets in the linear part; `None` where this kernel cannot do that.
    pub(crate) fn split(&mut self, frame: &[u8], linear: u32) -> Option<Run> {
        self.runner.run_split(frame, linear).ok()
    }

    /// Packets and octets, however they were counted.
    pub(crate) fn total(&self) -> (u64, u64) {
        let counted = self.count();
        let sum = |of| counted.iter().filter(|(name, _)| name.starts_with(of)).map(|(_, count)| count).sum();
        (sum("packets "), sum("bytes "))
    }

    fn wanted(&self, expect: &Expect) -> Verdict {
        let zone = expect
            .zone
            .map(|id| self.host.tables.zones.iter().find(|(_, zone)| *zone == id).expect("the zone").0);
        let rule = expect
            .rule
            .map(|id| self.host.tables.rules.iter().find(|(_, rule)| rule.id == id).expect("the rule").0);
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
        let slots = 0..self.host.tables.zones.len() as u32 + 2;
        let Snapshot { packets, actions, rules, flow_events, events_lost: _ } =
            self.runner.snapshot(slots).expect("counters");
        let mut counted = BTreeMap::new();
        for row in packets {
            let known = self.host.tables.zones.get(&row.zone).cloned();
            let zone = known.unwrap_or_else(|| {
                if row.zone == NO_ZONE { String::new() } else { format!("slot {}", row.zone) }
            });
            let of = labels(row.direction, row.family, &zone, row.decision, row.reason, row.enforced);
            counted.insert(format!("packets {of}"), row.count.packets);
            counted.insert(format!("bytes {of}"), row.count.bytes);
            counted.insert(format!("attempts {of}"), row.count.attempts);
        }
        for (_, action, count) in actions {
            counted.insert(format!("actions {}", action.label()), count);
        }
        for (_, event, count) in flow_events {
            counted.insert(format!("flows {}", event.label()), count);
        }
        for (number, count) in rules {
            let id = self.host.tables.rules.get(&number).map_or("?", |rule| rule.id.as_str());
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

fn labels(
    direction: Direction,
    family: Family,
    zone: &str,
    decision: Decision,
    reason: Reason,
    enforced: bool,
) -> String {
    let [direction, family] = [direction.label(), family.label()];
    format!("{direction} {family} zone={zone:?} {} {} enforced={enforced}", decision.label(), reason.label())
}

/// The counters that one packet must move, and no others.
fn moves(row: &Row, expect: &Expect) -> BTreeMap<String, u64> {
    let Expect { family, decision, reason, enforced, .. } = *expect;
    let of = labels(row.direction, family, expect.zone.unwrap_or_default(), decision, reason, enforced);
    let bytes = row.frame.len().min(LINEAR) as u64;
    let mut moved = BTreeMap::from([(format!("packets {of}"), 1), (format!("bytes {of}"), bytes)]);
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
