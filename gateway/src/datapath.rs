//! The way into the kernel: load the program, install [`crate::tables::Tables`], attach, read counters. Knows maps and
//! links, never a policy.
//!
//! Everything that must outlive the controller is pinned below the node's `pin` directory:
//!
//! ```text
//! PIN/abi5/tables/…        both generations, rule counters, zone slots: shared by all interfaces
//! PIN/abi5/interface:NAME/… that interface's counters
//! PIN/links/NAME           the attachment, which holds the program; without that folder nothing is attached again
//! PIN/programs/NAME        that program, for those who look
//! PIN/return-links/NAME    the attachment of the way back, where it is needed
//! PIN/return-filters/NAME  its program, on a kernel whose attachments cannot be pinned
//! ```

pub mod adopt;
pub mod attach;
pub mod events;
pub mod fault;
pub mod flows;
mod holders;
pub mod install;
pub mod lock;
pub mod netlink;
pub mod object;
pub mod pins;
mod place;
pub mod removal;
pub mod return_path;
pub mod snapshot;
pub mod suspects;
mod sys;
pub mod tallies;
pub mod testrun;
pub mod zones;
