//! Gate25: the controller and its commands, as a library for the binary and the tests.
//!
//! ```text
//! YAML ── policy ──> Policy ── policy::compile ──> Tables ── datapath ──> maps, generation n+1
//! counters ── datapath::snapshot ──> Snapshot ── metrics ──> Prometheus
//! ```
//!
//! [`controller`] joins the lanes; [`command`] stands on top, one file a verb.

pub mod cap;
pub mod cli;
pub mod clock;
pub mod command;
pub mod config;
pub mod control;
pub mod controller;
pub mod datapath;
pub mod diff;
pub mod events;
pub mod export;
pub mod heart;
pub mod http;
pub mod memory;
pub mod metrics;
pub mod names;
pub mod notice;
pub mod policy;
pub mod preflight;
pub mod privilege;
pub mod probe;
pub mod progress;
pub mod reference;
pub mod service;
pub mod state;
pub mod status;
pub mod suspects;
pub mod tables;
pub mod watch;
