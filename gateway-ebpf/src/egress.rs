//! What arrives from subscribers (XDP).

use crate::act::act;
use crate::attempts::Syn;
use crate::frame::{Linear, Whole};
use crate::judged::Judged;
use crate::lookup::Generation;
use crate::maps::{Malformed, Scratch};
use crate::{attempts, maps, record};
use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::bindings::xdp_md;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use aya_log_ebpf::info;
use gate25_common::answer;
use gate25_common::decide::{self, decide};
use gate25_common::frame::Bytes;
use gate25_common::parse::{Egress, LINK_HEADERS, Parsed, parse};
use gate25_common::verdict::{Direction, Family};

const DIRECTION: Direction = Direction::Egress;

/// Every packet that arrives on the interface. (Inlined into the entry that `xdp` makes: a call would cost 8 ns.)
#[xdp(frags)]
#[inline(always)]
pub fn gate25(ctx: XdpContext) -> u32 {
    let linear = Linear::of_xdp(&ctx);
    let scratch = match parse(&linear, &Egress) {
        Parsed::NotSmtp(family) if family != Family::Other || linear.length() >= LINK_HEADERS => {
            return not_smtp(&linear, family);
        }
        Parsed::Smtp(segment) => maps::keep(segment),
        _ => {
            // Else LLVM mixes this road with the one that all SMTP takes.
            core::hint::cold_path();
            let is_longer = Whole::of_xdp(&ctx, &linear).is_some();
            let read = if is_longer { gate25_read_whole(ctx.ctx) } else { gate25_read_again(ctx.ctx) };
            match read {
                IS_SMTP => maps::scratch(),
                IS_MALFORMED => return gate25_malformed(ctx.ctx),
                code => return code,
            }
        }
    };
    // There is a scratch, always.
    scratch.map_or(XDP_DROP, |scratch| smtp(&ctx, scratch))
}

/// No code: a segment was kept,
const IS_SMTP: u32 = u32::MAX;
/// or what is known of one that cannot be read.
const IS_MALFORMED: u32 = u32::MAX - 1;

/// What cannot be read is read from all buffers of the frame: some drivers leave little or nothing of it in the first one. (A
/// function that the kernel verifies by itself, once.)
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn gate25_read_whole(ctx: *mut xdp_md) -> u32 {
    let ctx = &XdpContext::new(ctx);
    let linear = &Linear::of_xdp(ctx);
    match Whole::of_xdp(ctx, linear) {
        Some(whole) => keep(linear, parse(&whole, &Egress)),
        None => XDP_DROP,
    }
}

/// What cannot be read, and has no other buffers, is read once more, and what is known of it kept. (As above.)
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn gate25_read_again(ctx: *mut xdp_md) -> u32 {
    let linear = &Linear::of_xdp(&XdpContext::new(ctx));
    keep(linear, parse(linear, &Egress))
}

#[inline(always)]
fn keep(linear: &Linear, parsed: Parsed) -> u32 {
    match parsed {
        Parsed::Smtp(segment) => {
            let _ = maps::keep(segment);
            IS_SMTP
        }
        Parsed::NotSmtp(family) => not_smtp(linear, family),
        Parsed::Malformed { family, subscriber, known } => {
            maps::keep_malformed(Malformed { subscriber, family: family as u8, known });
            IS_MALFORMED
        }
        Parsed::Icmp(_) => XDP_PASS,
    }
}

#[inline(always)]
fn not_smtp(linear: &Linear, family: Family) -> u32 {
    record::passed(DIRECTION, family, linear.length());
    XDP_PASS
}

/// TCP to port 25: the segment that was kept.
#[inline(always)]
fn smtp(ctx: &XdpContext, scratch: &mut Scratch) -> u32 {
    let linear = &Linear::of_xdp(ctx);
    let bytes = linear.length();
    let attempt = linear.forget(u64::from(is_attempt(ctx, linear, scratch)), 1) != 0;
    let segment = &scratch.segment;
    let generation = Generation::in_force();
    let verdict = decide::smtp(segment, DIRECTION, &generation);
    let judged = Judged::new(&verdict, linear);
    let (judged, code) = act(ctx, linear, judged, &generation);
    record::verdict(&judged, DIRECTION, segment.subscriber.family(), bytes, attempt);
    if attempt && !judged.passes() {
        attempts::blocked(ctx, judged);
    }
    info!(ctx, "port 25: {} {} zone {}", verdict.reason.label(), verdict.action.label(), verdict.zone);
    code
}

/// Whether it opens a connection that is new.
#[inline(always)]
fn is_attempt(ctx: &XdpContext, linear: &Linear, scratch: &mut Scratch) -> bool {
    let no_syn = linear.read(scratch.segment.to_flags()).is_some_and(|[flags]| !answer::opens(flags));
    if no_syn {
        scratch.syn = Syn::NONE;
    }
    !no_syn && gate25_syn(ctx.ctx) != 0
}

/// Keeps the SYN without ACK that the segment is, or that it is none. 1: it is, and a new one. (As above.) Of a frame of several
/// buffers the first one may lack the flags.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn gate25_syn(ctx: *mut xdp_md) -> u32 {
    let ctx = &XdpContext::new(ctx);
    let linear = &Linear::of_xdp(ctx);
    let Some(segment) = &maps::kept() else { return 0 };
    let header = match linear.read(segment.transport) {
        Some(header) => Some(header),
        None => Whole::of_xdp(ctx, linear).and_then(|whole| whole.read(segment.transport)),
    };
    let syn = match header {
        Some(header) if answer::is_attempt(&header, segment) => Syn::new(&header, segment),
        _ => Syn::NONE,
    };
    syn.keep();
    u32::from(syn.is_new())
}

/// What cannot be read, and was kept. (As above.)
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn gate25_malformed(ctx: *mut xdp_md) -> u32 {
    let linear = &Linear::of_xdp(&XdpContext::new(ctx));
    let Some(malformed) = maps::kept_malformed() else { return XDP_DROP };
    let verdict = decide(&malformed, DIRECTION, &Generation::in_force());
    record::verdict(&Judged::new(&verdict, linear), DIRECTION, malformed.family(), linear.length(), false);
    if verdict.enforced { XDP_DROP } else { XDP_PASS }
}
