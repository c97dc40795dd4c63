//! The control socket: who may connect, what it bears, and the way of a reference from a notice to `explain --ref`.

mod references;
mod socket;
mod support;
mod wire;
