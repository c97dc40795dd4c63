//! One file a verb of the command line.

pub mod check;
pub mod detach;
pub mod explain;
pub mod replay;
pub mod run;
