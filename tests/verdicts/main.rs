//! Every rule of section 1 of the contract, as packets: each through the host engine and through the loaded program,
//! both against what the contract says, with exact changes of all counters; and plain ones through the policy's nftables
//! ruleset. Needs root.
#![allow(clippy::expect_used, reason = "a test that cannot go on shall stop")]

mod bench;
mod dates;
mod ethernet;
mod expect;
mod exported;
mod extensions;
mod frames;
mod host;
mod ipv4;
mod ipv6;
mod large;
mod malformed;
mod monitor;
mod naming;
mod policies;
mod replay;
mod rules;
mod split;
mod tcp;
mod toward;
mod zones;

mod answers;
mod difference;
mod property;
mod random;
mod redirected;
mod reference;
mod runs;
mod unreachable;
