//! The second side, on real interfaces: what leaves toward subscribers.

mod attached;
mod scattered;
mod triangle;
