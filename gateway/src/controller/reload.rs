//! A new policy: taken whole, or refused whole.

use super::{Controller, names, warn_of};
use crate::clock;
use crate::control::Reload;
use crate::datapath::tallies::Tally;
use crate::policy::{Loaded, Refused};
use crate::progress::Progress;
use crate::status::Refusal;
use crate::watch::Watch;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, info};

impl Controller {
    /// Takes what is at the policy's path now, or keeps what is in force. With `trust_clock` it takes the wall clock for the
    /// newest time there was.
    pub(super) fn reload(&mut self, why: &str, trust_clock: bool) -> Reload {
        let progress = Progress::logged();
        let (loaded, watch) = Watch::load(&self.config.policy);
        self.watch = watch;
        let (problems, warnings) = match loaded {
            Ok(Loaded { policy, warnings, kept }) => {
                warn_of(&warnings);
                let policy = Arc::new(policy);
                let now = clock::now();
                let now = if trust_clock { now } else { self.state.clock(now, &policy.sense) };
                self.names.ask(&policy, names::RELOAD_PATIENCE);
                let result = self.put_into_force(&policy, now, Some(Timestamp::now()));
                drop(progress);
                if result.is_ok() {
                    self.state.keep(kept, &policy.digest);
                    self.policy = policy;
                    self.follow_targets();
                    self.tell_of_names();
                    self.keep_names();
                } else {
                    self.names.ask(&self.policy, Duration::ZERO);
                }
                (result.err().into_iter().map(|error| error.to_string()).collect(), warnings)
            }
            Err(Refused { problems, warnings, .. }) => {
                (problems.iter().map(ToString::to_string).collect::<Vec<_>>(), warnings)
            }
        };
        if problems.is_empty() {
            let mut status = self.status.lock();
            status.reloads_done = self.tallies.add(Tally::ReloadsDone, 1);
            status.kept_since = None;
            status.is_refused = false;
            drop(status);
            let trusted = if trust_clock { ", and the wall clock is trusted" } else { "" };
            let message = format!("{why}: the policy is in force{trusted}");
            info!("{message}");
            self.events.policy(None, &message);
        } else {
            for problem in &problems {
                error!("{problem}");
            }
            error!("{why}: the new policy is refused, the last good one stays in force");
            self.events.policy(None, &format!("{why}: the policy is refused"));
            let mut status = self.status.lock();
            status.reloads_refused = self.tallies.add(Tally::ReloadsRefused, 1);
            status.refusal = Some(Refusal { time: Timestamp::now(), problems: problems.clone() });
            status.is_refused = true;
        }
        // Also where it was refused: what it took is given back.
        self.left.get_or_insert_default();
        self.outcome(problems, warnings.iter().map(ToString::to_string).collect())
    }

    fn outcome(&self, problems: Vec<String>, mut warnings: Vec<String>) -> Reload {
        let interfaces = self.status.lock().interfaces.clone();
        let faults = interfaces.into_iter().filter_map(|interface| interface.why);
        warnings.extend(faults.map(|why| format!("not enforcing: {why}")));
        let installed = self.status.lock().installed.clone().unwrap_or_default();
        let prefixes = |(table, entries, _): &(&str, usize, usize)| {
            let lists_prefixes = table.starts_with("subscribers") || table.starts_with("destinations");
            if lists_prefixes { *entries } else { 0 }
        };
        Reload {
            is_in_force: problems.is_empty(),
            digest: installed.digest.clone(),
            generation: installed.active.generation(),
            zones: installed.zones.len(),
            rules: installed.rules.len(),
            prefixes: installed.tables.iter().map(prefixes).sum(),
            warnings,
            problems,
        }
    }
}
