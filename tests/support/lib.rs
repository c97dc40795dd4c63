//! What tests and the demo are made of: a lab of network namespaces, an SMTP sink and client, a running gate.
//!
//! ```text
//! alice (zone west) ─┐                                ┌─ relay
//!                    ├─ access ─ eth1 edge eth0 ─ internet ─ university
//! bob   (zone east) ─┘           (gate)               └─ stranger
//! ```
//!
//! Everything here needs root, and says so. It never depends on the package `gate25`, only on its command.

pub mod clock;
pub mod command;
pub mod dns;
pub mod gate;
pub mod http;
pub mod lab;
pub mod machine;
pub mod mail;
pub mod memory;
pub mod metrics;
pub mod namespace;
pub mod netfilter;
pub mod package;
pub mod packet;
pub mod policy;
pub mod process;
pub mod prometheus;
pub mod responder;
pub mod smtp;
pub mod testrun;
pub mod wait;
pub mod wire;
pub mod xdp;
pub mod xdp_pass;

mod connections;
mod reaper;
mod topology;

use anyhow::{Context as _, Result};
use std::{
    env,
    path::{Path, PathBuf},
};

/// The folder of the workspace: where cargo runs this, or else where it was compiled (a clone that was moved, with its
/// `target`, keeps binaries of the old place).
#[must_use]
pub fn workspace() -> PathBuf {
    let member = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&member).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// The command under test: `GATE25_BIN`, or else the release build.
#[must_use]
pub fn gate25() -> PathBuf {
    env::var_os("GATE25_BIN").map_or_else(
        || {
            let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
            workspace().join(target).join("release/gate25")
        },
        PathBuf::from,
    )
}

/// A program, as `cargo xtask setup` leaves it or as it is on `PATH`.
fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    [workspace().join(".tools/bin"), "/usr/sbin".into()]
        .into_iter()
        .chain(env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// A program, or an error that says how to get it.
pub fn program(name: &str) -> Result<PathBuf> {
    find(name).with_context(|| format!("{name}: not installed (cargo xtask setup installs it)"))
}
