//! One file a verb of the command line.

pub mod ask;
pub mod check;
pub mod detach;
pub mod diff;
pub mod events;
pub mod explain;
mod keys;
pub mod notice;
pub mod pages;
pub mod preflight;
pub mod reference;
pub mod reload;
pub mod replay;
pub mod run;
mod signals;
pub mod top;
