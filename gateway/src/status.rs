//! What the controller knows of itself, for `/metrics` and `/healthz`.

use crate::datapath::attach::XdpMode;
use crate::datapath::suspects::Swept;
use crate::datapath::tallies::Tallies;
use crate::state::Writes;
use crate::tables::Rule;
use gate25_common::abi::{Active, Target};
use gate25_common::verdict::{Action, Family};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The controller writes it, HTTP reads it.
#[derive(Debug, Clone, Default)]
pub struct Shared(Arc<Mutex<Status>>);

impl Shared {
    /// Exclusive access, for moments.
    pub fn lock(&self) -> MutexGuard<'_, Status> {
        // Nothing panics while it holds the lock; and if it did, the numbers would still be of use.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of the controller.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// What is in force.
    pub installed: Option<Arc<Installed>>,
    /// Reloads that took effect.
    pub reloads_done: u64,
    /// Reloads that were refused.
    pub reloads_refused: u64,
    /// A line an interface.
    pub interfaces: Vec<Interface>,
    /// When the policy in force was kept, if the one at its path could not be read at the start.
    pub kept_since: Option<Timestamp>,
    /// How often the wall clock was seen to be set.
    pub clock_steps: u64,
    /// By how many seconds the wall clock is behind the newest time seen.
    pub clock_behind: f64,
    /// How often `state` was written.
    pub state_writes: Writes,
    /// Established connections that are redirected.
    pub flows: usize,
    /// Subscribers whose connections were blocked.
    pub suspects: Swept,
    /// What the controller itself counts.
    pub tallies: Tallies,
    /// A line a zone and family that redirects, by the policy in force.
    pub redirects: Vec<Redirect>,
}

/// A policy in force.
#[derive(Debug, Clone, Default)]
pub struct Installed {
    /// SHA-256 of the merged policy.
    pub digest: String,
    /// The generation.
    pub active: Active,
    /// When it was loaded.
    pub loaded: Option<Timestamp>,
    /// Rules by number.
    pub rules: HashMap<u64, Rule>,
    /// Zone ids by slot.
    pub zones: HashMap<u32, String>,
    /// Table, entries, capacity.
    pub tables: Vec<(&'static str, usize, usize)>,
    /// Where connections of a zone are redirected to while that answers, by slot.
    pub targets: HashMap<u32, Target>,
}

/// Where blocked connections of a zone go, in one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// The zone's slot.
    pub slot: u32,
    /// The zone's id.
    pub zone: String,
    /// Notice or relay.
    pub action: Action,
    /// Of the connections.
    pub family: Family,
    /// Where they go.
    pub address: SocketAddr,
    /// Whether it answers; if not, they get a reset.
    pub is_up: bool,
}

/// An interface's state.
#[derive(Debug, Clone, Serialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// How it was asked to run.
    pub mode: XdpMode,
    /// Whether the program is on it.
    pub attached: bool,
    /// Why not.
    pub why: Option<String>,
}
