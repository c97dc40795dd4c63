//! The policy that a controller starts with: the one at its path; or, where that cannot be read, the last good one.

use super::{Controller, Failure};
use crate::config::Config;
use crate::policy::{Loaded, Refused, load_kept};
use crate::state::{Archived, State};
use crate::watch::Watch;
use jiff::Timestamp;
use tracing::warn;

/// A policy to start with.
pub(super) struct Found {
    pub(super) loaded: Loaded,
    pub(super) watch: Watch,
    /// When it was kept, if it was.
    pub(super) since: Option<Timestamp>,
}

impl Found {
    /// What is at the path, or was there when it last could be read.
    pub(super) fn load(config: &Config, state: &State) -> Result<Self, Failure> {
        let (loaded, watch) = Watch::load(&config.policy);
        let refused = match loaded {
            Ok(loaded) => return Ok(Self { loaded, watch, since: None }),
            Err(refused) => refused,
        };
        match last_good(&refused, state) {
            Some((loaded, since)) => {
                for problem in &refused.problems {
                    warn!("{problem}");
                }
                Ok(Self { loaded, watch, since: Some(since) })
            }
            None => Err(Failure::Policy(refused)),
        }
    }
}

/// What was kept of a policy that cannot be read, and when.
fn last_good(refused: &Refused, state: &State) -> Option<(Loaded, Timestamp)> {
    if !refused.is_unreadable {
        return None;
    }
    let Archived { kept, digest, written } = state.kept().unwrap_or_else(|fault| {
        warn!("{fault}: there is no last good policy to start with");
        None
    })?;
    let cause = match load_kept(&kept) {
        Ok(loaded) if loaded.policy.digest == digest => return Some((loaded, written)),
        Ok(_) => format!("it is not the policy of digest {digest}"),
        Err(Refused { problems, .. }) => problems.first().map(ToString::to_string).unwrap_or_default(),
    };
    warn!("{}: there is no last good policy to start with", state.damaged(&cause));
    None
}

impl Controller {
    /// Says so when the policy in force is not the one at its path.
    pub(super) fn tell_kept(&mut self, since: Option<Timestamp>) {
        self.status.lock().kept_since = since;
        if let Some(since) = since {
            let digest = self.policy.digest.get(..12).unwrap_or_default();
            let message = format!(
                "policy: {}: cannot be read: the last good one is in force, of {since}, digest {digest} (make it \
                 readable: it is taken as soon as it is)",
                self.config.policy.display()
            );
            warn!("{message}");
            self.events.policy(None, &message);
        }
    }
}
