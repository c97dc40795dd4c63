//! Carries a verdict out.

mod icmp;
mod redirect;
mod reset;

use crate::frame::Linear;
use crate::judged::Judged;
use crate::lookup::Generation;
use crate::maps;
use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_TX};
use aya_ebpf::bindings::xdp_md;
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

/// Carries the verdict on the segment that was kept out. What comes back has the action that was possible.
///
/// Whatever takes more than a code is a function that the kernel verifies by itself, once: what it needs is in the scratch. So
/// it takes none of the stack of what passes or is dropped, nor a return, which is dear where processors must not guess it.
#[inline(always)]
pub(crate) fn act(
    ctx: &XdpContext,
    frame: &Linear,
    mut judged: Judged,
    generation: &Generation,
) -> (Judged, u32) {
    let active = generation.active().0;
    if judged.passes() {
        if generation.redirects_to_smtp() {
            judged.keep();
            redirect::gate25_note_direct(ctx.ctx, active);
        }
        return (judged, XDP_PASS);
    }
    if judged.is(Action::Notice, Action::Relay) {
        judged.keep();
        let outcome = redirect::gate25_redirect(ctx.ctx, active);
        if outcome == Outcome::Redirected as u32 {
            return (judged, XDP_PASS);
        }
        let instead = if outcome == Outcome::Refused as u32 { Action::Reset } else { Action::Drop };
        judged = judged.with(instead, frame);
    }
    // Of what is not carried out nobody sees the action but `replay`; others are spared the checksum.
    if judged.is(Action::Reset, Action::Icmp) && (judged.enforced() || maps::REPLAY.load() != 0) {
        judged.keep();
        match gate25_answer(ctx.ctx) {
            ANSWERED if judged.enforced() => return (judged, XDP_TX),
            ANSWERED => {}
            _ => judged = judged.with(Action::Drop, frame),
        }
    }
    (judged, if judged.enforced() { XDP_DROP } else { XDP_PASS })
}

/// There is an answer; if the verdict is carried out, the packet was turned into it.
const ANSWERED: u32 = 1;

/// Answers the segment that was kept, by what was decided on it. 0: it cannot be answered, or not now.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn gate25_answer(ctx: *mut xdp_md) -> u32 {
    let ctx = &XdpContext::new(ctx);
    let (Some(segment), Some(judged)) = (&maps::kept(), Judged::kept()) else { return 0 };
    let frame = &Linear::of_xdp(ctx);
    let Some(reset) = answer::reset(frame, segment) else { return 0 };
    let done = !judged.enforced() || allowed() && write(ctx, frame, segment, &judged, reset).is_some();
    u32::from(done)
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
