//! Subscribers whose connections were blocked are looked over, so that there is room for new ones.

use super::{Controller, GLANCE};
use std::time::{Duration, Instant};
use tracing::warn;

/// How soon it is done again where so many come that room had to be made.
const CROWDED: Duration = Duration::from_secs(1);
/// It is done for one part in so many of the time, where nobody has to give way.
const SHARE: u32 = 250;

impl Controller {
    /// Forgets the least of them, when it is time, and tells how many there are.
    pub(super) fn sweep_suspects(&mut self) {
        if Instant::now() < self.sweep {
            return;
        }
        let begin = Instant::now();
        let mut pause = GLANCE;
        match self.suspects.sweep() {
            Ok(swept) => {
                pause = if swept.was_crowded { CROWDED } else { GLANCE.max(begin.elapsed() * SHARE) };
                self.status.lock().suspects = swept;
            }
            Err(fault) => warn!("{fault}: nobody is forgotten; enforcement goes on"),
        }
        self.sweep = Instant::now() + pause;
    }
}
