//! The names of the policy in force: what they stand for, and what to say when that changes.

use super::Controller;
use crate::clock;
use crate::datapath::tallies::Tally;
use crate::heart;
use crate::names::{Count, Resolver, TAKES_NO_MAIL, answers::Answers, file};
use crate::policy::Policy;
use crate::policy::names::Resolved;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// How long a reload waits for names that it has never heard of: it is to take effect within a second. What is answered
/// later follows at once.
pub(super) const RELOAD_PATIENCE: Duration = Duration::from_millis(300);

/// How often answers that were only confirmed are written down, at most.
const WRITE_EVERY: Duration = Duration::from_mins(10);

/// Of names about which there is the same to say, so many are named.
const NAMED: usize = 5;

/// What the controller knows of names.
pub(super) struct Names {
    resolver: Resolver,
    file: PathBuf,
    written: Answers,
    /// When the answers are written again, changed or not.
    write_at: Instant,
    /// There is something new.
    pub(super) is_due: bool,
    /// Questions that are among the totals.
    counted: Count,
}

impl Names {
    /// Knows what an earlier controller wrote down.
    pub(super) fn new(resolver: Resolver, state: &Path) -> Self {
        let file = state.join("names.json");
        let known = file::read(&file, clock::now()).unwrap_or_else(|fault| {
            warn!("{fault}: names are as if never resolved");
            Answers::default()
        });
        resolver.remember(known.clone());
        Self {
            resolver,
            file,
            written: known,
            write_at: Instant::now(),
            is_due: false,
            counted: Count::default(),
        }
    }

    /// Asks for the names of a policy that is to be in force, and waits so long for those of which nothing is known.
    pub(super) fn ask(&self, policy: &Policy, patience: Duration) {
        self.resolver.follow(policy);
        self.resolver.wait(patience);
    }

    /// What the names of a policy stand for now.
    pub(super) fn resolved(&self, policy: &Policy) -> Vec<Resolved> {
        self.resolver.resolved(policy)
    }

    /// Writes the answers down, if they are others, or it is time.
    fn keep(&mut self, policy: &Policy) {
        let is_time = Instant::now() >= self.write_at;
        let Some(answers) = self.resolver.answers_other_than(&self.written, is_time) else { return };
        // A restart shall not take an answer for older than its rule allows.
        let shortest = policy.named().map(|(_, names)| names.keep_old_for / 4).min();
        self.write_at = Instant::now() + WRITE_EVERY.min(shortest.unwrap_or(WRITE_EVERY));
        if let Err(fault) = heart::waiting(|| file::write(&self.file, &answers)) {
            warn!("{fault}: after a restart names have to be resolved anew");
        }
        self.written = answers;
    }
}

impl Controller {
    /// Looks at what came in, and puts it into force where addresses are others. Many names are one install.
    pub(super) fn follow_names(&mut self) {
        if !self.names.is_due || Instant::now() < self.not_before {
            return;
        }
        self.names.is_due = false;
        let now = self.names.resolved(&self.policy);
        let before = self.status.lock().names.clone();
        tell_of_failures(&before, &now);
        let is_other = |(before, now): (&Resolved, &Resolved)| before.addresses != now.addresses;
        if before.len() != now.len() || before.iter().zip(&now).any(is_other) {
            self.recompile();
            // Where that was refused, the next look finds the same difference.
            self.names.is_due = Instant::now() < self.not_before;
        } else {
            self.status.lock().names = now;
        }
        self.keep_names();
    }

    /// Takes what was just put into force, and tells what is other than before.
    pub(super) fn names_in_force(&mut self, now: Vec<Resolved>) {
        let before = std::mem::replace(&mut self.status.lock().names, now.clone());
        let before: HashMap<_, _> =
            before.iter().map(|row| ((&row.rule, &row.name), &row.addresses)).collect();
        for row in &now {
            if let Some(before) = before.get(&(&row.rule, &row.name))
                && **before != row.addresses
            {
                let message = change(row, before);
                info!(rule = row.rule, "{message}");
                self.events.policy(Some(&row.rule), &message);
            }
        }
    }

    /// Says which names of a policy that was just loaded match nothing.
    pub(super) fn tell_of_names(&self) {
        let names = self.status.lock().names.clone();
        if names.is_empty() {
            return;
        }
        let (null, empty): (Vec<_>, Vec<_>) =
            names.iter().filter(|row| row.addresses.is_empty()).partition(|row| row.takes_no_mail);
        info!("names: {} of {} resolved", names.len() - empty.len(), names.len());
        tell_of_null(&null);
        for (failure, rows) in alike(&empty) {
            warn!(
                "names: {}: {failure}: nothing is allowed for it until it resolves (correct it, or mend DNS)",
                list(&rows)
            );
        }
    }

    /// The last look, at the end.
    pub(super) fn leave_names(&mut self) {
        self.names.write_at = Instant::now();
        self.keep_names();
    }

    /// Writes down what is known, for the next controller; and counts.
    pub(super) fn keep_names(&mut self) {
        self.names.keep(&self.policy);
        let (seen, now) = (&mut self.names.counted, self.names.resolver.count());
        let count = &mut self.status.lock().name_resolutions;
        count.good = self.tallies.follow(Tally::NamesResolved, &mut seen.good, now.good);
        count.failed = self.tallies.follow(Tally::NamesFailed, &mut seen.failed, now.failed);
    }
}

/// Says which domains take no mail.
fn tell_of_null(rows: &[&Resolved]) {
    if !rows.is_empty() {
        let names = list(rows);
        warn!("names: {names}: {TAKES_NO_MAIL}: nothing is allowed for it (remove it, or correct it)");
    }
}

/// Says which names do not resolve any more, or do again; and which domains take no mail now.
fn tell_of_failures(before: &[Resolved], now: &[Resolved]) {
    let known: HashMap<_, _> = before.iter().map(|row| ((&row.rule, &row.name), row)).collect();
    let rows = |is: fn(&Resolved, &Resolved) -> bool| {
        let told =
            now.iter().filter(|row| known.get(&(&row.rule, &row.name)).is_some_and(|old| is(old, row)));
        told.collect::<Vec<_>>()
    };
    tell_of_null(&rows(|old, new| !old.takes_no_mail && new.takes_no_mail));
    let failed = rows(|old, new| old.failure.is_none() && new.failure.is_some() && !new.addresses.is_empty());
    for (failure, rows) in alike(&failed) {
        let names = list(&rows);
        warn!(
            "names: {names}: {failure}: the last good answer is kept for keep_old_for (mend DNS, or correct the name)"
        );
    }
    let mended = rows(|old, new| old.failure.is_some() && new.failure.is_none() && !new.takes_no_mail);
    if !mended.is_empty() {
        info!("names: {}: resolved again", list(&mended));
    }
    let lost = rows(|old, new| new.failure.is_some() && !new.addresses.is_superset(&old.addresses));
    for (failure, rows) in alike(&lost) {
        let names = list(&rows);
        warn!(
            "names: {names}: {failure}: the last good answer is too old and dropped (mend DNS, or correct the name)"
        );
    }
}

/// Rows by what failed.
fn alike<'a>(rows: &[&'a Resolved]) -> BTreeMap<String, Vec<&'a Resolved>> {
    let mut alike = BTreeMap::<_, Vec<_>>::new();
    for row in rows {
        let failure = row.failure.clone().unwrap_or_else(|| "no answer in time".to_owned());
        alike.entry(failure).or_default().push(*row);
    }
    alike
}

/// The names, not all where there are many.
fn list(rows: &[&Resolved]) -> String {
    let names: BTreeSet<String> = rows.iter().map(|row| row.name.to_string()).collect();
    let more = names.len().saturating_sub(NAMED);
    let text = names.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{text} and {more} more") } else { text }
}

/// `smtp.west.example.net now has 192.0.2.7, no longer 192.0.2.6`
fn change(row: &Resolved, before: &BTreeSet<IpAddr>) -> String {
    let words =
        |addresses: Vec<&IpAddr>| addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let (new, old) = (
        words(row.addresses.difference(before).collect()),
        words(before.difference(&row.addresses).collect()),
    );
    match (new.as_str(), old.as_str()) {
        (new, "") => format!("{} now has {new}", row.name),
        ("", old) => format!("{} no longer has {old}", row.name),
        (new, old) => format!("{} now has {new}, no longer {old}", row.name),
    }
}
