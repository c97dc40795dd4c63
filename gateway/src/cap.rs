//! What may fill the log is capped.

use std::time::{Duration, Instant};

/// At most so many lines a second.
#[derive(Debug)]
pub struct Cap {
    lines: u64,
    second: Option<Instant>,
    written: u64,
    suppressed: u64,
}

impl Cap {
    /// That many lines.
    #[must_use]
    pub const fn new(lines: u64) -> Self {
        Self { lines, second: None, written: 0, suppressed: 0 }
    }

    /// Whether a line may be written now, and then how many could not be since the last one.
    pub fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.second.is_none_or(|second| now.duration_since(second) >= Duration::from_secs(1)) {
            (self.second, self.written) = (Some(now), 0);
        }
        if self.written == self.lines {
            self.suppressed += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_capped_and_the_rest_is_counted() {
        let (mut cap, now) = (Cap::new(50), Instant::now());
        assert!((0..50).all(|_| cap.admit(now) == Some(0)));
        assert!((0..3).all(|_| cap.admit(now + Duration::from_millis(999)).is_none()));
        let next = now + Duration::from_secs(1);
        assert_eq!((cap.admit(next), cap.admit(next)), (Some(3), Some(0)));
    }
}
