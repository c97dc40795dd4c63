//! What the controller knows of itself, for `/metrics` and `/healthz`.

use crate::datapath::attach::XdpMode;
use crate::datapath::suspects::Swept;
use crate::datapath::tallies::Tallies;
use crate::names::Count;
use crate::policy::Policy;
use crate::policy::names::Resolved;
use crate::state::Writes;
use crate::tables::Rule;
use gate25_common::abi::{Active, Target};
use gate25_common::verdict::{Action, Family};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

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

/// What the node's configuration says, and since when this controller goes by it.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// Where the policy is.
    pub policy: PathBuf,
    /// `enforce`.
    pub enforce: bool,
    /// Some interface blocks sources of no zone.
    pub block_unmanaged: bool,
    /// When the controller began.
    pub started: Timestamp,
}

/// A policy that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// When.
    pub time: Timestamp,
    /// What for, a line each.
    pub problems: Vec<String>,
}

/// New connections a minute.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rate {
    /// Blocked, whether or not that was carried out.
    pub blocked: f64,
    /// Not blocked.
    pub passed: f64,
}

/// The state of the controller.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// What it was told.
    pub node: Node,
    /// What is in force.
    pub installed: Option<Arc<Installed>>,
    /// Reloads that took effect.
    pub reloads_done: u64,
    /// Reloads that were refused.
    pub reloads_refused: u64,
    /// The last policy that was refused.
    pub refusal: Option<Refusal>,
    /// That is what is at the policy's path: nothing was taken since.
    pub is_refused: bool,
    /// A line an interface.
    pub interfaces: Vec<Interface>,
    /// What zones try, by slot.
    pub rates: HashMap<u32, Rate>,
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
    /// What the names of the policy in force stand for.
    pub names: Vec<Resolved>,
    /// Questions to name servers.
    pub name_resolutions: Count,
    /// A line a zone and family that redirects, by the policy in force.
    pub redirects: Vec<Redirect>,
}

impl Status {
    /// Whether every configured interface enforces an installed policy (or monitors, with `enforce: false`).
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.installed.is_some()
            && !self.interfaces.is_empty()
            && self.interfaces.iter().all(|interface| interface.attached)
    }
}

/// A policy in force.
#[derive(Debug, Clone, Default)]
pub struct Installed {
    /// The policy, with the addresses of its names.
    pub policy: Arc<Policy>,
    /// When a rule begins or ends next.
    pub next_change: Option<Timestamp>,
    /// SHA-256 of the merged policy.
    pub digest: String,
    /// The generation.
    pub active: Active,
    /// When it was loaded.
    pub loaded: Option<Timestamp>,
    /// The same by a clock that nobody sets.
    pub since: Option<Instant>,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
