//! The XDP program of Gate25, on the subscriber side of an edge router: parse, decide, record, act.
//!
//! A packet that is not TCP to port 25 costs the walk over its headers and one per-CPU counter; no table is read for it.
#![no_std]
#![no_main]
#![allow(missing_docs, unreachable_pub, reason = "the entry that `xdp` makes is undocumented and public")]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]
#![allow(
    clippy::inline_always,
    reason = "a call costs more than most of these bodies, and the verifier follows it anew each time"
)]

mod act;
mod frame;
mod lookup;
mod maps;
mod record;

use act::reset;
use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_TX};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use aya_log_ebpf::info;
use frame::{Linear, Whole};
use gate25_common::answer;
use gate25_common::decide::decide;
use gate25_common::frame::Bytes;
use gate25_common::parse::{Egress, LINK_HEADERS, Parsed, Segment, parse};
use gate25_common::verdict::{Action, Direction, Family, Verdict};
use lookup::Generation;

/// Every packet that arrives on the interface. (Inlined into the entry that `xdp` makes: a call would cost 8 ns.)
#[xdp(frags)]
#[inline(always)]
pub fn gate25(ctx: XdpContext) -> u32 {
    let linear = Linear::new(&ctx);
    let segment = match parse(&linear, &Egress) {
        Parsed::Smtp(segment) => segment,
        Parsed::NotSmtp(family) if family != Family::Other || linear.length() >= LINK_HEADERS => {
            return not_smtp(&linear, family);
        }
        // Some drivers leave little or nothing of a frame of several buffers in the first one.
        cut => match whole_frame(&ctx, &cut) {
            Ok(segment) => segment,
            Err(code) => return code,
        },
    };
    smtp(&ctx, &segment)
}

/// The linear part says only so much, for it ends too early; the whole frame may say more. What is not SMTP is dealt with
/// here: `Err` is its code.
#[inline(always)]
fn whole_frame(ctx: &XdpContext, cut: &Parsed) -> Result<Segment, u32> {
    let linear = Linear::new(ctx);
    let Some(whole) = Whole::of_several(ctx, &linear) else { return Err(other(&linear, cut)) };
    match parse(&whole, &Egress) {
        Parsed::Smtp(segment) => Ok(segment),
        parsed => Err(other(&linear, &parsed)),
    }
}

/// What is not SMTP, or cannot be read.
#[inline(always)]
fn other(linear: &Linear, parsed: &Parsed) -> u32 {
    match parsed {
        Parsed::NotSmtp(family) => not_smtp(linear, *family),
        malformed => blocked(linear, malformed),
    }
}

#[inline(always)]
fn not_smtp(linear: &Linear, family: Family) -> u32 {
    record::passed(family, linear.length());
    XDP_PASS
}

/// TCP to port 25.
#[inline(always)]
fn smtp(ctx: &XdpContext, segment: &Segment) -> u32 {
    let linear = &Linear::new(ctx);
    let bytes = linear.length();
    let segment = &segment.with_forgotten_offsets(linear);
    let attempt = is_new_attempt(ctx, linear, segment);
    let verdict = decide(&Parsed::Smtp(*segment), Direction::Egress, &Generation::in_force());
    let (verdict, code) = act(ctx, linear, segment, verdict);
    record::verdict(&verdict, segment.subscriber.family(), bytes, attempt);
    info!(ctx, "port 25: {} {} zone {}", verdict.reason.label(), verdict.action.label(), verdict.zone);
    code
}

/// A SYN without ACK, seen for the first time. Of a frame of several buffers the first one may lack the flags.
#[inline(always)]
fn is_new_attempt(ctx: &XdpContext, linear: &Linear, segment: &Segment) -> bool {
    let header = match linear.read(segment.transport) {
        Some(header) => header,
        None => match Whole::of_several(ctx, linear).and_then(|whole| whole.read(segment.transport)) {
            Some(header) => header,
            None => return false,
        },
    };
    answer::is_attempt(&header, segment) && record::is_new(&header, segment)
}

/// Carries the verdict out. What comes back has the action that was possible.
#[inline(always)]
fn act(ctx: &XdpContext, linear: &Linear, segment: &Segment, verdict: Verdict) -> (Verdict, u32) {
    let silent = Verdict { action: Action::Drop, ..verdict };
    match (verdict.action, verdict.enforced) {
        (Action::Reset, true) => match answer::reset(linear, segment) {
            Some(answer) if reset::allowed() && reset::write(ctx, linear, segment, answer).is_some() => {
                (verdict, XDP_TX)
            }
            _ => (silent, XDP_DROP),
        },
        // Nobody sees this action but `replay`; others are spared the checksum.
        (Action::Reset, false) if maps::REPLAY.load() != 0 && answer::reset(linear, segment).is_none() => {
            (silent, XDP_PASS)
        }
        (_, true) => (silent, XDP_DROP),
        (_, false) => (verdict, XDP_PASS),
    }
}

/// What cannot be read.
#[inline(always)]
fn blocked(linear: &Linear, malformed: &Parsed) -> u32 {
    let verdict = decide(malformed, Direction::Egress, &Generation::in_force());
    record::verdict(&verdict, malformed.family(), linear.length(), false);
    if verdict.enforced { XDP_DROP } else { XDP_PASS }
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
