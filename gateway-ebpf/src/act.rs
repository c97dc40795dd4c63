//! Carries a verdict out.

mod icmp;
mod redirect;
mod reset;

use crate::frame::Linear;
use crate::judged::Judged;
use crate::lookup::Generation;
use crate::maps;
use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_TX};
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::programs::XdpContext;
use gate25_common::answer::{self, Reset};
use gate25_common::parse::Segment;
use gate25_common::verdict::Action;
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
    judged: Judged,
    generation: &Generation,
) -> (Judged, u32) {
    if judged.passes() {
        if generation.redirects_to_smtp() {
            redirect::note_direct(frame, segment, &judged, generation);
        }
        return (judged, XDP_PASS);
    }
    let mut judged = judged;
    if judged.is(Action::Notice, Action::Relay) {
        let outcome = if judged.enforced() {
            redirect::forward(frame, segment, &judged, generation)
        } else {
            redirect::would(frame, segment)
        };
        match outcome {
            Outcome::Redirected => return (judged, XDP_PASS),
            Outcome::Refused => judged = judged.with(Action::Reset, frame),
            Outcome::Stray => judged = judged.with(Action::Drop, frame),
        }
    }
    // Of what is not carried out nobody sees the action but `replay`; others are spared the checksum.
    if judged.is(Action::Reset, Action::Icmp) && (judged.enforced() || maps::REPLAY.load() != 0) {
        match answer::reset(frame, segment) {
            Some(_) if !judged.enforced() => {}
            Some(answer) if allowed() && write(ctx, frame, segment, &judged, answer).is_some() => {
                return (judged, XDP_TX);
            }
            _ => judged = judged.with(Action::Drop, frame),
        }
    }
    (judged, if judged.enforced() { XDP_DROP } else { XDP_PASS })
}

/// Turns the packet into its answer.
#[inline(always)]
fn write(ctx: &XdpContext, frame: &Linear, segment: &Segment, judged: &Judged, answer: Reset) -> Option<()> {
    if judged.action() == Action::Icmp as u8 {
        icmp::write(ctx, frame, segment)
    } else {
        reset::write(ctx, frame, segment, answer)
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
