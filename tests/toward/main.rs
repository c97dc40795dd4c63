//! The second side, on real interfaces: what leaves toward subscribers.

#![expect(clippy::float_cmp, reason = "samples of counters are whole numbers, and exact")]

mod attached;
mod triangle;
