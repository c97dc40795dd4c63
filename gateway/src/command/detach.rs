//! `gate25 detach`: the only way to stop enforcing.

use crate::datapath::pins::Pins;
use crate::datapath::removal;
use std::io::Write;
use std::path::Path;

/// Detaches every program that is pinned and removes `pin`, saying what it removed and what it left. A running controller
/// sees it within a second, answers 503 from then on, and does not attach again.
pub fn detach(pin: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    if !pin.exists() {
        return Ok(writeln!(out, "{}: nothing was attached", pin.display())?);
    }
    let mut written = Ok(());
    let detached = removal::detach(&Pins::below(pin)?, |line| {
        // Whoever reads no more keeps nothing from going.
        if written.is_ok() {
            written = writeln!(out, "{line}");
        }
    });
    written?;
    Ok(detached?)
}
