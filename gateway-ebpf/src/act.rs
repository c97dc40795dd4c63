//! Carries a verdict out.

mod icmp;
mod redirect;
mod reset;

use crate::frame::Linear;
use crate::lookup::Generation;
use crate::maps;
use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_TX};
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::programs::XdpContext;
use gate25_common::answer;
use gate25_common::flow::opens;
use gate25_common::frame::Bytes;
use gate25_common::parse::Segment;
use gate25_common::verdict::{Action, Verdict};
use redirect::Outcome;

/// Hops that an answer may take.
const TTL: u8 = 64;

/// Answers that one CPU may send: a burst, and a rate (nanoseconds for one). Above it blocked packets are dropped.
const BURST: u64 = 10_000;
const INTERVAL: u64 = 100_000;

/// Carries the verdict on a segment out. What comes back has the action that was possible.
#[inline(always)]
pub(crate) fn act(
    ctx: &XdpContext,
    frame: &Linear,
    segment: &Segment,
    verdict: Verdict,
    generation: &Generation,
) -> (Verdict, u32) {
    let silent = Verdict { action: Action::Drop, ..verdict };
    if verdict.action as u8 == Action::None as u8 {
        if generation.redirects() {
            redirect::note_direct(frame, segment, &verdict, generation);
        }
        return (verdict, XDP_PASS);
    }
    if !verdict.enforced {
        // Nobody sees this action but `replay`; others are spared the checksum.
        let possible = maps::REPLAY.load() == 0 || could(frame, segment, verdict.action);
        return (if possible { verdict } else { silent }, XDP_PASS);
    }
    let mut verdict = verdict;
    if matches!(verdict.action, Action::Notice | Action::Relay) {
        match redirect::forward(frame, segment, &verdict, generation) {
            Outcome::Redirected => return (verdict, XDP_PASS),
            Outcome::Refused => verdict.action = Action::Reset,
            Outcome::Stray => verdict.action = Action::Drop,
        }
    }
    if matches!(verdict.action, Action::Reset | Action::Icmp)
        && let Some(answer) = answer::reset(frame, segment)
        && allowed()
    {
        let written = if verdict.action as u8 == Action::Icmp as u8 {
            icmp::write(ctx, frame, segment)
        } else {
            reset::write(ctx, frame, segment, answer)
        };
        if written.is_some() {
            return (verdict, XDP_TX);
        }
    }
    (silent, XDP_DROP)
}

/// Whether the action could be carried out, were it to be.
#[inline(always)]
fn could(frame: &Linear, segment: &Segment, action: Action) -> bool {
    match action {
        Action::Reset | Action::Icmp => answer::reset(frame, segment).is_some(),
        Action::Notice | Action::Relay => {
            let header = frame.read::<20>(segment.transport);
            let is_whole = answer::is_alone(frame, segment) && segment.transport + 20 <= segment.end;
            is_whole && header.is_some_and(|header| opens(header[13]))
        }
        _ => true,
    }
}

/// Takes a token.
#[inline(always)]
fn allowed() -> bool {
    if maps::REPLAY.load() != 0 {
        return true;
    }
    let Some(bucket) = maps::BUCKET.get_ptr_mut(0) else { return false };
    // SAFETY: reads a clock.
    let now = unsafe { bpf_ktime_get_ns() };
    // SAFETY: an element of a per-CPU array.
    let bucket = unsafe { &mut *bucket };
    let credit = (bucket.credit + now.wrapping_sub(bucket.refilled)).min(BURST * INTERVAL);
    let enough = credit >= INTERVAL;
    *bucket = maps::Bucket { credit: if enough { credit - INTERVAL } else { credit }, refilled: now };
    enough
}
