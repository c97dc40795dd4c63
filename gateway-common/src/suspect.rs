//! What is kept of a subscriber whose connections are blocked, and when that makes it a suspect: the evidence is attempts,
//! nothing else.
//!
//! Attempts are counted in windows of `within`: one begins with the first attempt behind the last one's end. A subscriber
//! over both thresholds within a window is reported once, and again only after a window in which it was not.

use crate::abi::{REMOTES_LISTED, Remotes, Suspect, Thresholds};
use crate::address::Address;
use crate::limit;

/// Events of one subscriber: so many at once,
const BURST: u64 = 20;
/// and then one each three seconds.
const INTERVAL: u64 = 3_000_000_000;

/// [`Suspect::standing`]: not over the thresholds.
pub const QUIET: u64 = 0;
/// [`Suspect::standing`]: over them in the present window, and reported.
pub const OVER: u64 = 1;
/// [`Suspect::standing`]: reported in the window before this one.
pub const WAS_OVER: u64 = 2;

impl Suspect {
    /// Notes when an attempt came, and to whom; `attempts` is counted by the caller, who can do it for all CPUs at once.
    #[inline(always)]
    pub fn heard(&mut self, now: u64, remote: u32, within: u64) {
        if self.first == 0 {
            (self.first, self.window) = (now, now);
        }
        if now.saturating_sub(self.window) >= within {
            let missed = now.saturating_sub(self.window) >= 2 * within;
            self.standing = if self.standing == OVER && !missed { WAS_OVER } else { QUIET };
            self.window = now;
            // This very attempt is counted already.
            self.before = self.attempts - 1;
            self.remotes = Remotes::default();
        }
        self.last = now;
        self.remotes.add(remote);
    }

    /// Attempts in the present window.
    #[inline(always)]
    #[must_use]
    pub const fn in_window(&self) -> u64 {
        self.attempts.saturating_sub(self.before)
    }

    /// Whether it is over both thresholds.
    #[inline(always)]
    #[must_use]
    pub const fn is_over(&self, thresholds: &Thresholds) -> bool {
        let Thresholds { attempts, remotes, bits, .. } = *thresholds;
        let reached = if bits == 0 { self.remotes.listed >= remotes } else { self.remotes.bits >= bits };
        attempts != 0 && reached && self.in_window() >= attempts as u64
    }

    /// Whether an event may tell of an attempt now: then how many attempts it stands for.
    #[inline(always)]
    pub fn tell(&mut self, now: u64) -> Option<u64> {
        self.told = limit::spend(self.told, now, INTERVAL, BURST * INTERVAL)?;
        let untold = self.attempts - self.reported;
        self.reported = self.attempts;
        Some(untold)
    }

    /// Whether it counts as a suspect at `now`: over the thresholds in a window that has not ended, or reported in the one
    /// before.
    #[must_use]
    pub const fn is_suspect(&self, now: u64, within: u64) -> bool {
        self.standing != QUIET && now.saturating_sub(self.window) < within
    }
}

impl Remotes {
    /// Adds an address, by its [`hash`].
    #[inline(always)]
    pub fn add(&mut self, hash: u32) {
        let bit = 1 << (hash >> 3 & 63);
        // There are eight.
        if let Some(word) = self.sketch.get_mut((hash & 7) as usize)
            && *word & bit == 0
        {
            *word |= bit;
            self.bits += 1;
        }
        if self.listed as usize >= REMOTES_LISTED {
            return;
        }
        let mut known = false;
        for other in self.list {
            known |= other == hash;
        }
        if !known && let Some(place) = self.list.get_mut(self.listed as usize) {
            *place = hash;
            self.listed += 1;
        }
    }
}

/// Of an address, for [`Remotes`]; never zero. `seed` is not known to senders.
#[inline(always)]
#[must_use]
pub const fn hash(address: Address, seed: u64) -> u32 {
    let [high, low] = address.words();
    (mix(mix(seed, high), low) >> 32) as u32 | 0x8000_0000
}

/// One round of a multiplicative mixer (the finaliser of `SplitMix64`).
#[inline(always)]
#[must_use]
pub const fn mix(state: u64, word: u64) -> u64 {
    let mut mixed = (state ^ word).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^= mixed >> 29;
    mixed.wrapping_mul(0x94d0_49bb_1331_11eb) ^ (mixed >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000_000_000;
    const THRESHOLDS: Thresholds =
        Thresholds { within: 10 * MINUTE, attempts: 30, remotes: 10, bits: 0, padding: 0 };

    /// One more attempt, to that remote.
    fn tries(suspect: &mut Suspect, now: u64, remote: u64) -> bool {
        suspect.attempts += 1;
        suspect.heard(now, hash(Address::from_words([remote, 0], false), 7), THRESHOLDS.within);
        let over = suspect.is_over(&THRESHOLDS);
        let new = over && suspect.standing == QUIET;
        if over {
            suspect.standing = OVER;
        }
        new
    }

    #[test]
    fn both_thresholds_within_a_window() {
        let (mut many, mut wide, mut both) = (Suspect::default(), Suspect::default(), Suspect::default());
        for number in 0..29 {
            assert!(!tries(&mut many, MINUTE, number % 9), "nine remotes");
            assert!(!tries(&mut wide, MINUTE, number), "29 attempts");
            assert!(!tries(&mut both, MINUTE, number % 10));
        }
        assert!(!tries(&mut many, MINUTE, 0) && tries(&mut both, MINUTE, 0) && tries(&mut wide, MINUTE, 0));
        assert!(tries(&mut many, MINUTE, 9), "the tenth");
        assert_eq!((both.first, both.last, both.in_window(), both.remotes.listed), (MINUTE, MINUTE, 30, 10));
    }

    #[test]
    fn a_window_ends_and_the_next_begins_with_an_attempt() {
        let mut suspect = Suspect::default();
        for number in 0..29 {
            assert!(!tries(&mut suspect, MINUTE, number));
        }
        assert!(!tries(&mut suspect, 11 * MINUTE, 29), "the thirtieth, as the window is over");
        assert_eq!((suspect.attempts, suspect.in_window(), suspect.remotes.listed), (30, 1, 1));
        assert_eq!((suspect.first, suspect.window), (MINUTE, 11 * MINUTE));
        for number in 0..28 {
            assert!(!tries(&mut suspect, 20 * MINUTE, number));
        }
        assert!(tries(&mut suspect, 21 * MINUTE - 1, 28));
    }

    #[test]
    fn who_goes_on_is_reported_once() {
        let mut suspect = Suspect::default();
        let mut window =
            |begin: u64, attempts: u64| (0..attempts).filter(|n| tries(&mut suspect, begin, *n)).count();
        assert_eq!(window(MINUTE, 50), 1);
        assert_eq!(window(11 * MINUTE, 50), 0, "goes on");
        assert_eq!(window(21 * MINUTE, 50), 0, "and on");
        assert_eq!(window(31 * MINUTE, 5), 0, "and rests");
        assert_eq!(window(41 * MINUTE, 50), 1, "anew");
        assert_eq!(window(61 * MINUTE, 50), 1, "silent for a whole window");
    }

    #[test]
    fn a_suspect_is_one_until_its_window_is_over() {
        let mut suspect = Suspect::default();
        for number in 0..29 {
            tries(&mut suspect, MINUTE, number);
        }
        assert!(!suspect.is_suspect(MINUTE, THRESHOLDS.within));
        tries(&mut suspect, 2 * MINUTE, 0);
        assert!(suspect.is_suspect(11 * MINUTE - 1, THRESHOLDS.within));
        assert!(!suspect.is_suspect(11 * MINUTE, THRESHOLDS.within));
    }

    #[test]
    fn sixteen_remotes_are_told_apart_and_more_are_estimated() {
        let mut remotes = Remotes::default();
        for number in 0..1000_u64 {
            for _ in 0..2 {
                remotes.add(hash(Address::from_words([number, number << 7], true), 99));
            }
            let wanted = (number as u32 + 1).min(16);
            assert_eq!(remotes.listed, wanted, "after {} remotes", number + 1);
        }
        assert_eq!(remotes.bits, remotes.sketch.iter().map(|word| word.count_ones()).sum::<u32>());
        // 512 (1 - e^(-1000 / 512)) are expected, with a standard deviation of 6.6.
        assert!((413..=467).contains(&remotes.bits), "{}", remotes.bits);
        let sketched = Thresholds { bits: remotes.bits, remotes: 1000, attempts: 1, ..THRESHOLDS };
        let suspect = Suspect { attempts: 5, remotes, ..Suspect::default() };
        assert!(
            suspect.is_over(&sketched)
                && !suspect.is_over(&Thresholds { bits: remotes.bits + 1, ..sketched })
        );
        assert!(!suspect.is_over(&Thresholds { attempts: 0, ..THRESHOLDS }), "nobody is");
    }

    #[test]
    fn twenty_events_at_once_and_one_each_three_seconds() {
        let mut suspect = Suspect::default();
        let mut told = 0;
        for attempt in 1..=25 {
            suspect.attempts = attempt;
            match suspect.tell(MINUTE) {
                Some(attempts) => told += attempts,
                None => assert!(attempt > 20),
            }
        }
        assert_eq!(told, 20);
        assert_eq!(suspect.tell(MINUTE + INTERVAL - 1), None);
        assert_eq!(suspect.tell(MINUTE + INTERVAL), Some(5), "none is forgotten");
        assert_eq!(suspect.tell(MINUTE + INTERVAL), None);
    }
}
