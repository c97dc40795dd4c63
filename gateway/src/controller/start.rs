//! How a controller starts: whatever can be known to fail is looked at before anything changes, and whatever fails all the
//! same is taken back.

use super::kept::Found;
use super::names::Names;
use super::rates::Rates;
use super::targets::Targets;
use super::{Controller, Failure, warn_of};
use crate::clock;
use crate::config::{Config, Unmanaged};
use crate::datapath::adopt::{self, Held};
use crate::datapath::attach::{self, Attachment};
use crate::datapath::fault::Fault;
use crate::datapath::flows::Flows;
use crate::datapath::install::Store;
use crate::datapath::lock::Lock;
use crate::datapath::object::{self, Options};
use crate::datapath::pins::{self, Pins};
use crate::datapath::return_path::ReturnPath;
use crate::datapath::snapshot::Counters;
use crate::datapath::suspects::Suspects;
use crate::datapath::tallies::{Tallies, Tally};
use crate::datapath::zones::Slots;
use crate::events::Events;
use crate::names::{PATIENCE, Resolver};
use crate::policy::Loaded;
use crate::probe::Prober;
use crate::progress::Progress;
use crate::state::{State, Writes};
use crate::status::Shared;
use aya::Ebpf;
use gate25_common::verdict::Direction;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Instant;
use tracing::warn;

/// What a controller talks to.
pub struct Around {
    /// Where it tells of itself.
    pub status: Shared,
    /// Where it tells what happened.
    pub events: Events,
    /// What looks at the targets of redirects for it.
    pub prober: Prober,
    /// What asks name servers for it.
    pub resolver: Resolver,
}

impl Controller {
    /// Loads, installs, and only then attaches. On any failure nothing is left that was not there before.
    pub fn start(config: Config, around: Around, log: bool) -> Result<(Self, Vec<Ebpf>), Failure> {
        let pins = Pins::below(&config.pin)?;
        let _progress = Progress::logged();
        let state = State::read(&config.state, &config.policy);
        let found = Found::load(&config, &state)?;
        warn_of(&found.loaded.warnings);
        let before = pins.list();
        let lock = Lock::take(&pins)?;
        let started = Self::enforce(&config, &pins, lock, (found, state), around, log);
        if started.is_err() {
            pins.restore(&before);
        }
        started
    }

    fn enforce(
        config: &Config,
        pins: &Pins,
        lock: Lock,
        (Found { loaded: Loaded { policy, kept, .. }, watch, since }, state): (Found, State),
        Around { status, events, prober, resolver }: Around,
        log: bool,
    ) -> Result<(Self, Vec<Ebpf>), Failure> {
        let mut replaced = Vec::new();
        for interface in &config.interfaces {
            replaced.push(attach::look(&interface.name, interface.mode, pins)?);
        }
        adopt::prepare(pins, config.interfaces.iter().map(|interface| interface.name.as_str()))?;
        // Before the loader makes what is not there: without zones, an earlier controller's counters are nobody's.
        let slots = Slots::pinned(pins)?;
        let mut programs = Vec::new();
        for interface in &config.interfaces {
            let unmanaged = match (interface.unmanaged, config.enforce) {
                (Unmanaged::Pass, _) => object::Unmanaged::Pass,
                (Unmanaged::Block, false) => object::Unmanaged::BlockMonitored,
                (Unmanaged::Block, true) => object::Unmanaged::Block,
            };
            let pins = Some((pins, interface.name.as_str()));
            programs
                .push(object::load(&[Direction::Egress], &Options { pins, unmanaged, replay: false, log })?);
        }
        let mut controller = Self {
            config: config.clone(),
            policy: Arc::default(),
            watch,
            store: Store::pinned(pins)?,
            slots,
            attachments: Vec::new(),
            held: Held::default(),
            return_paths: Vec::new(),
            needs_return: false,
            may_have_return: true,
            flows: Flows::pinned(pins)?,
            suspects: Suspects::pinned(pins)?,
            sweep: Instant::now(),
            glance: Instant::now(),
            lock,
            pins_were_gone: false,
            tallies: Tallies::pinned(pins),
            status,
            events,
            targets: Targets::new(prober),
            state,
            written: Writes::default(),
            seen: clock::now(),
            names: Names::new(resolver, &config.state),
            rates: Rates::new(counters(config, pins)?),
            compiled: clock::now(),
            held_back: Vec::new(),
            next_change: None,
            not_before: Instant::now(),
            left: None,
        };
        let policy = Arc::new(policy);
        controller.name_gateways();
        controller.names.ask(&policy, PATIENCE);
        let (before, counted) = (controller.store.active()?, controller.store.rule_numbers()?);
        let clock = controller.state.clock(clock::now(), &policy.sense);
        let clock = controller.tallies.recall(clock, &policy.sense);
        let mut in_force = controller.put_into_force(&policy, clock, Some(Timestamp::now()));
        controller.policy = policy;
        if in_force.is_ok() {
            in_force = controller.attach(&mut programs, &replaced, pins).map_err(Into::into);
        }
        if let Err(error) = in_force {
            // What an earlier controller left in force is in force again.
            controller.attachments.into_iter().for_each(|attachment| attachment.undo(pins));
            let reverted = controller.store.revert(before);
            controller.return_paths.into_iter().for_each(|path| path.undo(pins));
            if let Err(fault) =
                reverted.and_then(|()| controller.store.retire(|number| counted.contains(&number)))
            {
                warn!("{fault}: not all of this start is undone");
            }
            return Err(error.into());
        }
        controller.settle(pins);
        controller.tell_others(pins);
        controller.state.keep(kept, &controller.policy.digest);
        controller.tell_kept(since);
        // Not before: a start that fails takes no target from what an earlier controller left.
        controller.follow_targets();
        controller.tell_of_names();
        controller.keep_names();
        controller.look_at_attachments();
        controller.follow_rates();
        Ok((controller, programs))
    }

    /// Nothing can fail any more: what was there before may go.
    fn settle(&mut self, pins: &Pins) {
        self.attachments.iter_mut().for_each(Attachment::settle);
        self.return_paths.iter_mut().for_each(ReturnPath::settle);
        let names = self.config.interfaces.iter().map(|interface| interface.name.as_str());
        self.held = Held::pinned(pins, names);
        adopt::retire(pins);
        self.events.count_in(self.tallies.clone());
        let mut status = self.status.lock();
        status.tallies = self.tallies.clone();
        status.reloads_done = self.tallies.get(Tally::ReloadsDone);
        status.reloads_refused = self.tallies.get(Tally::ReloadsRefused);
        status.clock_steps = self.tallies.get(Tally::ClockSteps);
        status.state_writes.done = self.tallies.get(Tally::StateWritten);
        status.state_writes.failed = self.tallies.get(Tally::StateFailed);
    }

    /// Says which interfaces an earlier configuration left enforced.
    fn tell_others(&self, pins: &Pins) {
        let ours: Vec<_> =
            self.config.interfaces.iter().map(|interface| pins.link(&interface.name)).collect();
        for pin in pins::entries(&pins.links()).iter().filter(|pin| !ours.contains(pin)) {
            let name = pins::decode(pin);
            warn!(
                "{name}: is enforced by an earlier start, but not in the configuration: it follows the policy, and nobody \
                 looks after it (name it, or `gate25 detach` ends all)"
            );
        }
    }

    /// Attaches to every interface. New attachments come first: they are what may fail, and then those of an earlier
    /// controller have not been touched.
    fn attach(&mut self, programs: &mut [Ebpf], replaced: &[bool], pins: &Pins) -> Result<(), Fault> {
        let mut all: Vec<_> =
            programs.iter_mut().zip(&self.config.interfaces).zip(replaced).enumerate().collect();
        all.sort_by_key(|(_, (_, replaced))| **replaced);
        let mut places = Vec::new();
        for (place, ((program, interface), _)) in all {
            self.attachments.push(attach::attach(program, &interface.name, interface.mode, pins)?);
            places.push(place);
        }
        let mut attachments: Vec<_> = places.into_iter().zip(self.attachments.drain(..)).collect();
        attachments.sort_by_key(|(place, _)| *place);
        self.attachments.extend(attachments.into_iter().map(|(_, attachment)| attachment));
        Ok(())
    }
}

/// The counters of all interfaces, for reading.
pub(super) fn counters(config: &Config, pins: &Pins) -> Result<Counters, Fault> {
    Counters::pinned(pins, config.interfaces.iter().map(|interface| interface.name.as_str()))
}
