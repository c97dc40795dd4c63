//! The Debian package on a machine: a clean Debian, booted by its own systemd at the edge of a lab, with real mail passing
//! through. Needs root, and `cargo xtask dist`.

mod life;
mod site;
mod units;

#[path = "../adopt/stream.rs"]
mod stream;
