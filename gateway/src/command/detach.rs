//! `gate25 detach`: the only way to stop enforcing.

use crate::datapath::attach::detach_all;
use crate::datapath::pins::Pins;
use crate::datapath::return_path;
use std::io::Write;
use std::path::Path;

/// Detaches every program that is pinned and removes `pin`. A running controller sees it within a second, answers 503
/// from then on, and does not attach again.
pub fn detach(pin: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    if !pin.exists() {
        return Ok(writeln!(out, "{}: nothing was attached", pin.display())?);
    }
    let pins = Pins::below(pin)?;
    let names = detach_all(&pins)?;
    let returns = return_path::detach_all(&pins);
    for name in &names {
        writeln!(out, "{name}: detached, no longer enforced")?;
    }
    if pins.remove()? {
        writeln!(out, "{}: removed, with all counters", pins.root().display())?;
    } else {
        writeln!(out, "{}: nothing was attached", pins.root().display())?;
    }
    // What is left of the way back is told last, for it kept nothing else from going.
    Ok(returns?)
}
