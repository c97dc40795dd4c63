//! The controller: one loop over one closed set of inputs. It alone changes what is enforced.

mod dates;
mod kept;
mod mend;
mod names;
mod rates;
mod reload;
mod start;
mod sweep;
mod targets;
mod toward;

use crate::config::Config;
use crate::control::Reload;
use crate::datapath::adopt::Held;
use crate::datapath::attach::Attachment;
use crate::datapath::fault::Fault;
use crate::datapath::flows::Flows;
use crate::datapath::install::Store;
use crate::datapath::lock::Lock;
use crate::datapath::pins::Pins;
use crate::datapath::return_path::ReturnPath;
use crate::datapath::snapshot::Counters;
use crate::datapath::suspects::Suspects;
use crate::datapath::tallies::Tallies;
use crate::datapath::zones::Slots;
use crate::events::Events;
use crate::heart;
use crate::memory;
use crate::policy::compile::{Clock, MAX_CELLS, MAX_PREFIXES, compile, next_change};
use crate::policy::validate::MAX_RULES;
use crate::policy::{Policy, Problem, Refused};
use crate::probe::Probe;
use crate::state::{State, Writes};
use crate::status::{Installed, Shared};
use crate::tables::Tables;
use crate::watch::Watch;
use gate25_common::abi::ZONE_SLOTS;
use jiff::Timestamp;
use names::Names;
use rates::Rates;
pub use start::Around;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use targets::Targets;
use tokio::sync::oneshot;
use tracing::{info, warn};

/// What the loop waits for, besides the passing of time.
#[derive(Debug)]
pub enum Input {
    /// Load the policy again now (SIGHUP).
    Reload,
    /// The same for somebody who waits for the outcome.
    Asked {
        /// What was seen of the wall clock before does not count any more.
        trust_clock: bool,
        /// Who waits.
        reply: oneshot::Sender<Reload>,
    },
    /// End, and leave enforcement in place (SIGTERM, SIGINT).
    Stop,
    /// What connections are redirected to answers, or does not.
    Probed {
        /// What was probed.
        probe: Probe,
        /// Whether it is as it should be.
        is_up: bool,
    },
    /// Name servers answered, or did not.
    Named,
}

/// How often files, clocks and attachments are looked at.
const TICK: Duration = Duration::from_millis(200);

/// How often this node's addresses and its redirected connections are looked at.
const GLANCE: Duration = Duration::from_secs(5);

/// How long a refused recompile waits.
const PATIENCE: Duration = Duration::from_secs(1);

/// A controller whose policy is in force.
pub struct Controller {
    config: Config,
    policy: Arc<Policy>,
    watch: Watch,
    store: Store,
    slots: Slots,
    attachments: Vec<Attachment>,
    /// The maps of their programs.
    held: Held,
    /// Of the first interfaces, or of none.
    return_paths: Vec<ReturnPath>,
    /// The policy in force needs them.
    needs_return: bool,
    /// There may be some, of this controller or an earlier one.
    may_have_return: bool,
    flows: Flows,
    suspects: Suspects,
    /// When they are looked at again.
    sweep: Instant,
    /// When this node's addresses, and its redirected connections, are looked at again.
    glance: Instant,
    /// Nobody else works below `pin` meanwhile.
    lock: Lock,
    /// At the last look, somebody had removed folders below `pin`.
    pins_were_gone: bool,
    tallies: Tallies,
    status: Shared,
    events: Events,
    targets: Targets,
    state: State,
    /// Writes into `state` that are among the totals.
    written: Writes,
    /// The clocks at the last look.
    seen: Clock,
    names: Names,
    rates: Rates,
    /// The clocks when the tables in force were compiled.
    compiled: Clock,
    /// Rules that are not as the wall clock alone would have them, by id.
    held_back: Vec<String>,
    next_change: Option<Timestamp>,
    /// When dates may be worked out again after the kernel refused their tables.
    not_before: Instant,
    /// What was installed last, which takes its time to drop. While it is here, what comes behind a load is not done yet, see
    /// [`Self::retire`].
    left: Option<Tables>,
}

/// Why the controller cannot start.
#[derive(Debug)]
pub enum Failure {
    /// The policy.
    Policy(Refused),
    /// Anything else.
    Fault(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Fault(error.into())
    }
}

impl Controller {
    /// The counters of all interfaces, for reading.
    pub fn counters(&self) -> Result<Counters, Fault> {
        start::counters(&self.config, &Pins::below(&self.config.pin)?)
    }

    /// Runs until it is told to stop. Enforcement goes on after that.
    pub fn run(mut self, inputs: &Receiver<Input>) {
        let mut next = Instant::now() + TICK;
        loop {
            heart::beat();
            self.retire();
            match inputs.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(Input::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(Input::Reload) => drop(self.reload("SIGHUP", false)),
                Ok(Input::Asked { trust_clock, reply }) => {
                    // Whoever asked may have gone meanwhile.
                    let _ = reply.send(self.reload("reload", trust_clock));
                }
                Ok(Input::Probed { probe, is_up }) => self.probed(probe, is_up),
                Ok(Input::Named) => self.names.is_due = true,
                Err(RecvTimeoutError::Timeout) => {}
            }
            // Also under a stream of signals.
            if next <= Instant::now() {
                self.tick();
                next = Instant::now() + TICK;
            }
        }
        self.state.write();
        self.leave_names();
        if self.status.lock().interfaces.iter().all(|interface| interface.attached) {
            info!("the controller ends; enforcement stays in place (`gate25 detach` ends it)");
        } else {
            warn!("the controller ends; not all interfaces are enforced");
        }
    }

    fn tick(&mut self) {
        if self.watch.changed() {
            self.reload("the policy changed on disk", false);
        }
        self.follow_dates();
        if Instant::now() >= self.glance {
            self.name_gateways();
            self.sweep_flows();
            self.follow_rates();
            // Answers that are kept get too old.
            self.names.is_due = true;
            self.mend_pins();
            self.glance = Instant::now() + GLANCE;
        }
        self.sweep_suspects();
        self.follow_names();
        self.mend_targets();
        self.look_at_attachments();
    }

    /// Compiles for that time and installs.
    fn put_into_force(
        &mut self,
        policy: &Arc<Policy>,
        clock: Clock,
        loaded: Option<Timestamp>,
    ) -> anyhow::Result<()> {
        let slots = self.slots.assign(policy.zones.iter().map(|zone| zone.id.as_str()))?;
        let resolved = self.names.resolved(policy);
        let with_addresses = policy.with_addresses(&resolved);
        let mut tables = compile(&with_addresses, clock, self.config.enforce, |zone| slots[zone])?;
        // Tables of which nothing is in force yet know nobody: then the way back has to wait for them.
        let is_first = self.store.active()?.generation() == 0;
        if tables.needs_return && !is_first {
            self.open_return_paths()?;
        }
        let redirects = self.targets.redirects(policy, &slots, &tables.targets);
        let usable = targets::usable(&tables.targets, &redirects);
        let targets = std::mem::replace(&mut tables.targets, usable);
        let active = self.store.install(&tables)?;
        if tables.needs_return && is_first {
            self.open_return_paths()?;
        }
        self.names_in_force(resolved);
        self.needs_return = tables.needs_return;
        self.may_have_return |= tables.needs_return;
        self.compiled = clock;
        self.next_change = next_change(policy, clock);
        self.state.installed(clock, &policy.sense);
        self.tallies.remember(clock, &policy.sense);
        info!(
            generation = active.generation(),
            digest = policy.digest.get(..12),
            zones = policy.zones.len(),
            rules = tables.rules.len(),
            next_change = self.next_change.map(|instant| instant.to_string()),
            "policy in force"
        );
        let mut status = self.status.lock();
        let before = status.installed.as_ref().filter(|before| before.loaded == loaded);
        let since = before.and_then(|before| before.since).or_else(|| Some(Instant::now()));
        status.redirects = redirects;
        // The clock it goes by, which may be trusted from here on: nobody is told of the one before.
        status.clock_behind = clock.newest.duration_since(clock.wall).as_secs_f64();
        status.installed = Some(Arc::new(Installed {
            policy: with_addresses,
            next_change: self.next_change,
            digest: policy.digest.clone(),
            active,
            loaded,
            since,
            tables: sizes(&tables),
            rules: std::mem::take(&mut tables.rules),
            zones: std::mem::take(&mut tables.zones),
            targets,
        }));
        drop(status);
        self.left = Some(tables);
        self.tell_held_back(policy);
        Ok(())
    }

    /// What comes behind a load, and nobody waits for: the tables before those in force, counters of rules that are no longer
    /// in the policy, and memory that the load took.
    fn retire(&mut self) {
        if self.left.take().is_none() {
            return;
        }
        let installed = self.status.lock().installed.clone().unwrap_or_default();
        if let Err(fault) = self.store.retire(|number| installed.rules.contains_key(&number)) {
            warn!("{fault}: counters of rules that are gone stay, until the next load");
        }
        memory::give_back();
    }
}

fn warn_of(warnings: &[Problem]) {
    for warning in warnings {
        warn!("{warning}");
    }
}

fn sizes(tables: &Tables) -> Vec<(&'static str, usize, usize)> {
    vec![
        ("subscribers_ipv4", tables.subscribers.len(false), MAX_PREFIXES),
        ("subscribers_ipv6", tables.subscribers.len(true), MAX_PREFIXES),
        ("destinations_ipv4", tables.destinations.len(false), MAX_PREFIXES),
        ("destinations_ipv6", tables.destinations.len(true), MAX_PREFIXES),
        ("cells", tables.cells.len(), MAX_CELLS),
        ("rules", tables.rules.len(), MAX_RULES),
        ("zones", tables.zones.len(), ZONE_SLOTS as usize - 1),
    ]
}
