//! Every rule of section 1 of the contract, as packets: each through the host engine and through the loaded program,
//! both against what the contract says, with exact changes of all counters. Needs root.

mod bench;
mod dates;
mod ethernet;
mod expect;
mod extensions;
mod frames;
mod ipv4;
mod ipv6;
mod large;
mod malformed;
mod monitor;
mod naming;
mod policies;
mod rules;
mod tcp;

mod answers;
mod property;
mod random;
mod reference;
