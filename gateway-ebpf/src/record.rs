//! Counts what was decided: the one place, and every packet comes through it once.

use crate::judged::Judged;
use crate::maps;
use gate25_common::abi::{NO_RULE, ZONE_SLOTS};
use gate25_common::verdict::{Direction, Family};

/// A packet that is not SMTP.
#[inline(always)]
pub(crate) fn passed(direction: Direction, family: Family, bytes: usize) {
    let row = direction as u32 * Family::ALL.len() as u32 + family as u32;
    if let Some(row) = maps::PASSED.get_ptr_mut(row) {
        // SAFETY: an element of a per-CPU array; this program is its only writer on this CPU.
        unsafe {
            (*row).packets += 1;
            (*row).bytes += bytes as u64;
        }
    }
}

/// A verdict.
#[inline(always)]
pub(crate) fn verdict(judged: &Judged, direction: Direction, family: Family, bytes: usize, attempt: bool) {
    let attempt = u64::from(attempt);
    if let Some(zone) = maps::COUNTS.get_ptr_mut(direction as u32 * ZONE_SLOTS + judged.zone) {
        // SAFETY: as above.
        unsafe {
            let row = match family {
                Family::Ipv4 => &mut (*zone).ipv4,
                Family::Ipv6 => &mut (*zone).ipv6,
                Family::Other => &mut (*zone).other,
            };
            // There is always one.
            if let Some(count) = row.get_mut(judged.outcome()) {
                count.packets += 1;
                count.bytes += bytes as u64;
                count.attempts += attempt;
            }
        }
    }
    if judged.rule != NO_RULE
        && let Some(count) = maps::RULES.get_ptr_mut(judged.rule)
    {
        // SAFETY: an element of a per-CPU hash, removed only when no packet can name the rule any more.
        unsafe {
            (*count).packets += 1;
            (*count).attempts += attempt;
        }
    }
    if judged.enforced()
        && let Some(count) = maps::ACTIONS.get_ptr_mut(judged.action().into())
    {
        // SAFETY: an element of a per-CPU array.
        unsafe { *count += 1 };
    }
    if maps::REPLAY.load() != 0
        && let Some(trace) = maps::TRACE.get_ptr_mut(0)
    {
        // SAFETY: replay runs one packet at a time.
        unsafe { *trace = judged.trace() };
    }
}
