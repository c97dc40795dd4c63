//! Holds a lab until it is killed: what the lab's own tests kill.

use anyhow::Result;
use gate25_tests::lab::Lab;
use std::{process::Command, thread, time::Duration};

fn main() -> Result<()> {
    let lab = Lab::new()?;
    let mut sleep = Command::new("sleep");
    sleep.arg("1000");
    let _child = lab.edge.spawn(sleep)?;
    println!("\nlab: {}", lab.traces());
    thread::sleep(Duration::from_secs(1000));
    Ok(())
}
