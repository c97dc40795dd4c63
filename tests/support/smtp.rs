//! Enough of RFC 5321 for one real mail, on both ends.

mod client;
mod sink;

pub use client::{Heard, Outcome, Report, hear, knock, mail, send};
pub use sink::Sink;
