//! Events, suspects and `top`, from real packets to what people read.

mod connections;
mod follow;
mod sinks;
mod support;
mod suspects;
