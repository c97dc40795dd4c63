//! Enough of RFC 5321 for one real mail, on both ends.

mod client;
mod sink;

pub use client::{Outcome, Report, knock, mail, send};
pub use sink::Sink;
