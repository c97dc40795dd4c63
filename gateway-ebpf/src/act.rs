//! Answers made in the program.

pub(crate) mod reset;
