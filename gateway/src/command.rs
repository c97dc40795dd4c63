//! One file a verb of the command line.

pub mod check;
pub mod detach;
pub mod explain;
pub mod notice;
pub mod reference;
pub mod reload;
pub mod replay;
pub mod run;
mod signals;
