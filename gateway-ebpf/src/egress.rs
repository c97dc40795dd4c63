//! What arrives from subscribers (XDP).

use crate::act::act;
use crate::attempts::Syn;
use crate::frame::{Linear, Whole};
use crate::judged::Judged;
use crate::lookup::Generation;
use crate::{attempts, maps, record};
use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use aya_log_ebpf::info;
use gate25_common::answer;
use gate25_common::decide::decide;
use gate25_common::frame::Bytes;
use gate25_common::parse::{Egress, LINK_HEADERS, Parsed, Segment, parse};
use gate25_common::verdict::{Direction, Family};

const DIRECTION: Direction = Direction::Egress;

/// Every packet that arrives on the interface. (Inlined into the entry that `xdp` makes: a call would cost 8 ns.)
#[xdp(frags)]
#[inline(always)]
pub fn gate25(ctx: XdpContext) -> u32 {
    let linear = Linear::of_xdp(&ctx);
    match parse(&linear, &Egress) {
        Parsed::NotSmtp(family) if family != Family::Other || linear.length() >= LINK_HEADERS => {
            return not_smtp(&linear, family);
        }
        Parsed::Smtp(segment) => maps::keep(segment),
        // Some drivers leave little or nothing of a frame of several buffers in the first one.
        cut => {
            // Else LLVM mixes this road with the one that all SMTP takes.
            core::hint::cold_path();
            let Some(whole) = Whole::of_xdp(&ctx, &linear) else { return other(&linear, &cut) };
            match parse(&whole, &Egress) {
                Parsed::Smtp(segment) => maps::keep(segment),
                parsed => return other(&Linear::of_xdp(&ctx), &parsed),
            }
        }
    }
    smtp(&ctx)
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
    record::passed(DIRECTION, family, linear.length());
    XDP_PASS
}

/// TCP to port 25: the segment that was kept.
#[inline(always)]
fn smtp(ctx: &XdpContext) -> u32 {
    let Some(segment) = &maps::kept() else { return XDP_PASS };
    let linear = &Linear::of_xdp(ctx);
    let bytes = linear.length();
    let syn = syn(ctx, linear, segment).forgotten(linear);
    let attempt = linear.forget(u64::from(syn.is_new()), 1) != 0;
    let generation = Generation::for_attempt(syn);
    let verdict = decide(&Parsed::Smtp(*segment), DIRECTION, &generation);
    let (judged, code) = act(ctx, linear, segment, Judged::new(&verdict, linear), &generation);
    record::verdict(&judged, DIRECTION, segment.subscriber.family(), bytes, attempt);
    if attempt && !judged.passes() {
        attempts::blocked(ctx, segment, &judged);
    }
    info!(ctx, "port 25: {} {} zone {}", verdict.reason.label(), verdict.action.label(), verdict.zone);
    code
}

/// A SYN without ACK. Of a frame of several buffers the first one may lack the flags.
#[inline(always)]
fn syn(ctx: &XdpContext, linear: &Linear, segment: &Segment) -> Syn {
    let header = match linear.read(segment.transport) {
        Some(header) => header,
        None => match Whole::of_xdp(ctx, linear).and_then(|whole| whole.read(segment.transport)) {
            Some(header) => header,
            None => return Syn::NONE,
        },
    };
    if answer::is_attempt(&header, segment) { Syn::new(&header, segment) } else { Syn::NONE }
}

/// What cannot be read.
#[inline(always)]
fn blocked(linear: &Linear, malformed: &Parsed) -> u32 {
    let verdict = decide(malformed, DIRECTION, &Generation::in_force());
    record::verdict(&Judged::new(&verdict, linear), DIRECTION, malformed.family(), linear.length(), false);
    if verdict.enforced { XDP_DROP } else { XDP_PASS }
}
