//! Events, suspects and `top`, from real packets to what people read.

#![expect(clippy::float_cmp, reason = "samples of counters are whole numbers, and exact")]

mod connections;
mod follow;
mod sinks;
mod support;
mod suspects;
