//! What arrives from subscribers (XDP).

use crate::act::act;
use crate::attempts::Syn;
use crate::frame::{Linear, Whole};
use crate::judged::Judged;
use crate::lookup::Generation;
use crate::{attempts, maps, record};
use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::bindings::xdp_md;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use aya_log_ebpf::info;
use gate25_common::address::Address;
use gate25_common::answer;
use gate25_common::decide::{self, decide};
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
        _ => {
            let code = gate25_read_again(ctx.ctx);
            if code != IS_SMTP {
                return code;
            }
        }
    }
    smtp(&ctx)
}

/// No code: a segment was kept.
const IS_SMTP: u32 = u32::MAX;

/// What cannot be read is read once more: some drivers leave little or nothing of a frame of several buffers in the first
/// one. (A function that the kernel verifies by itself, once.)
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn gate25_read_again(ctx: *mut xdp_md) -> u32 {
    let ctx = &XdpContext::new(ctx);
    match parse(&Whole::of_xdp(ctx), &Egress) {
        Parsed::Smtp(segment) => {
            maps::keep(segment);
            IS_SMTP
        }
        Parsed::NotSmtp(family) => not_smtp(&Linear::of_xdp(ctx), family),
        Parsed::Malformed { family, subscriber, known } => {
            let [high, low] = subscriber.words();
            gate25_malformed(ctx.ctx, family as u32, known.into(), high, low)
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
fn smtp(ctx: &XdpContext) -> u32 {
    let Some(segment) = &maps::kept() else { return XDP_PASS };
    let linear = &Linear::of_xdp(ctx);
    let bytes = linear.length();
    let syn = syn(ctx, linear, segment).forgotten(linear);
    let attempt = linear.forget(u64::from(syn.is_new()), 1) != 0;
    let generation = Generation::for_attempt(syn);
    let judged = Judged::new(&decide::smtp(segment, DIRECTION, &generation), linear);
    let (judged, code) = act(ctx, linear, judged, &generation);
    record::verdict(&judged, DIRECTION, segment.subscriber.family(), bytes, attempt);
    if attempt && !judged.passes() {
        attempts::blocked(ctx, judged);
    }
    info!(ctx, "port 25: reason {} action {} zone {}", judged.reason(), judged.action(), judged.zone);
    code
}

/// A SYN without ACK. Of a frame of several buffers the first one may lack the flags.
#[inline(always)]
fn syn(ctx: &XdpContext, linear: &Linear, segment: &Segment) -> Syn {
    let header = match linear.read(segment.transport) {
        Some(header) => header,
        None => match Whole::of_xdp(ctx).read(segment.transport) {
            Some(header) => header,
            None => return Syn::NONE,
        },
    };
    if answer::is_attempt(&header, segment) { Syn::new(&header, segment) } else { Syn::NONE }
}

/// What cannot be read: its family, and the subscriber's address, where that is known. (As above; numbers, for the verifier
/// would not see which halves of an enum are defined.)
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn gate25_malformed(ctx: *mut xdp_md, family: u32, known: u32, high: u64, low: u64) -> u32 {
    let linear = &Linear::of_xdp(&XdpContext::new(ctx));
    let family = family_of(family);
    let subscriber = Address::from_words([high, low], family == Family::Ipv6);
    let verdict = decide(
        &Parsed::Malformed { family, subscriber, known: known != 0 },
        DIRECTION,
        &Generation::in_force(),
    );
    record::verdict(&Judged::new(&verdict, linear), DIRECTION, family, linear.length(), false);
    if verdict.enforced { XDP_DROP } else { XDP_PASS }
}

#[inline(always)]
fn family_of(number: u32) -> Family {
    if number == Family::Ipv4 as u32 {
        Family::Ipv4
    } else if number == Family::Ipv6 as u32 {
        Family::Ipv6
    } else {
        Family::Other
    }
}
