//! The notice responder: what a client reads, what it may do, how many there may be, and the process itself.

mod command;
mod dialogue;
mod lab;
mod limits;
mod many;
mod support;
