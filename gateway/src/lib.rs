//! Gate25: the controller and its commands, as a library for the binary and the tests.

pub mod command;
pub mod policy;
