//! The decision of Gate25, written once, without `std`: the XDP program runs it over kernel maps, `explain` over the
//! same tables in memory, tests and fuzzers over random ones.
//!
//! ```text
//! frame: Bytes ── parse ──> Parsed ── decide (over a Lookup) ──> Verdict
//! ```
//!
//! - [`frame`]: bounds-checked reads, the only way to an octet
//! - [`address`]: an IP address of either family, in one shape
//! - [`parse`](mod@parse): Ethernet … TCP, forward only
//! - [`abi`]: what the controller and the program exchange through maps
//! - [`decide`](mod@decide): the rules of the policy
//! - [`answer`]: whether a blocked packet can be answered at all
//! - [`checksum`]: the internet checksum, made and mended
//! - [`flow`]: the life of a redirected connection
//! - [`limit`]: new connections a minute
//! - [`suspect`]: subscribers whose connections are blocked
//! - [`table`]: a generation of tables, and how it is looked up
//! - [`verdict`]: the closed enums everything above speaks in
#![no_std]
#![allow(clippy::inline_always, reason = "in the kernel a call costs more than most of these bodies")]

pub mod abi;
pub mod address;
pub mod answer;
pub mod checksum;
pub mod decide;
pub mod flow;
pub mod frame;
pub mod limit;
pub mod parse;
pub mod suspect;
pub mod table;
pub mod verdict;
