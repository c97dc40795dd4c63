//! What leaves toward subscribers (TC egress): the answers of redirected connections get back the address that the
//! subscriber asked for, and packets from port 25 meet the policy.

mod quote;
mod restore;

use crate::attempts::Syn;
use crate::frame::{Linear, Scattered};
use crate::judged::Judged;
use crate::lookup::Generation;
use crate::maps::Malformed;
use crate::{maps, record};
use aya_ebpf::bindings::{__sk_buff, TC_ACT_SHOT, TC_ACT_UNSPEC};
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use gate25_common::answer::{self, TO_FLAGS};
use gate25_common::decide::{self, decide};
use gate25_common::frame::Bytes;
use gate25_common::parse::{Icmp, LINK_HEADERS, Parsed, Road, SMTP, Segment, parse};
use gate25_common::verdict::{Direction, Family};

const DIRECTION: Direction = Direction::Return;
/// `TCX_NEXT` of `linux/bpf.h`: other programs and filters of the interface have their say.
const PASS: i32 = TC_ACT_UNSPEC;
const DROP: i32 = TC_ACT_SHOT as i32;

/// From port 25, or from a port that connections are or were redirected to.
struct Toward;

impl Road for Toward {
    const DIRECTION: Direction = DIRECTION;

    #[inline(always)]
    fn concerns(&self, remote_port: u16) -> bool {
        remote_port == SMTP || is_of_target(remote_port)
    }
}

/// Whether a target has, or had, that port.
#[inline(always)]
fn is_of_target(port: u16) -> bool {
    let word = maps::PORTS.get(u32::from(port) >> 6).copied().unwrap_or_default();
    word >> (port & 63) & 1 == 1
}

/// Every packet that leaves on the interface.
#[classifier]
#[inline(always)]
pub fn gate25_return(ctx: TcContext) -> i32 {
    let linear = Linear::of_skb(&ctx);
    match parse(&linear, &Toward) {
        Parsed::NotSmtp(family) if family != Family::Other || linear.length() >= LINK_HEADERS => {
            return not_smtp(&ctx, family);
        }
        Parsed::Smtp(segment) => {
            let _ = maps::keep(segment);
        }
        _ => {
            core::hint::cold_path();
            match gate25_return_read_again(ctx.skb.skb) {
                IS_TCP => {}
                IS_MALFORMED => return gate25_return_malformed(ctx.skb.skb),
                code => return code,
            }
        }
    }
    tcp(&ctx)
}

/// No code: a segment was kept,
const IS_TCP: i32 = i32::MAX;
/// or what is known of one that cannot be read.
const IS_MALFORMED: i32 = i32::MAX - 1;

/// An ICMP message, or the linear part of the buffer ends too early: the packet may say more. (A function that the kernel
/// verifies by itself, once.)
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn gate25_return_read_again(skb: *mut __sk_buff) -> i32 {
    let ctx = &TcContext::new(skb);
    let linear = Linear::of_skb(ctx);
    let parsed = match Scattered::of_skb(ctx, &linear) {
        Some(whole) => parse(&whole, &Toward),
        None => parse(&linear, &Toward),
    };
    match parsed {
        Parsed::Smtp(segment) => {
            let _ = maps::keep(segment);
            IS_TCP
        }
        Parsed::Icmp(icmp) => message(ctx, &icmp),
        Parsed::NotSmtp(family) => not_smtp(ctx, family),
        Parsed::Malformed { family, subscriber, known } => {
            maps::keep_malformed(Malformed { subscriber, family: family as u8, known });
            IS_MALFORMED
        }
    }
}

/// An ICMP message, which always passes.
#[inline(always)]
fn message(ctx: &TcContext, icmp: &Icmp) -> i32 {
    quote::translate(ctx, icmp);
    not_smtp(ctx, if icmp.is_ipv6 { Family::Ipv6 } else { Family::Ipv4 })
}

#[inline(always)]
fn not_smtp(ctx: &TcContext, family: Family) -> i32 {
    record::passed(DIRECTION, family, ctx.len() as usize);
    PASS
}

/// TCP from port 25, or from a target's port: the segment that was kept.
#[inline(always)]
fn tcp(ctx: &TcContext) -> i32 {
    let Some(segment) = &maps::kept() else { return PASS };
    let linear = &Linear::of_skb(ctx);
    let Some(header) = header(ctx, linear, segment) else {
        // Cut behind its ports: no answer of a target.
        return if segment.remote_port == SMTP {
            smtp(ctx, segment, false)
        } else {
            not_smtp(ctx, family(segment))
        };
    };
    if is_of_target(segment.remote_port)
        && let Some(original) = restore::original(segment, &header)
    {
        return match restore::write(ctx, segment, original) {
            Some(()) => not_smtp(ctx, family(segment)),
            None => DROP,
        };
    }
    if segment.remote_port != SMTP {
        return not_smtp(ctx, family(segment));
    }
    smtp(ctx, segment, answer::is_attempt(&header, segment) && Syn::new(&header, segment).is_new())
}

/// TCP from port 25 that no redirected connection explains.
#[inline(always)]
fn smtp(ctx: &TcContext, segment: &Segment, attempt: bool) -> i32 {
    let verdict = decide::smtp(segment, DIRECTION, &Generation::in_force());
    let judged = Judged::new(&verdict, &Linear::of_skb(ctx));
    record::verdict(&judged, DIRECTION, family(segment), ctx.len() as usize, attempt);
    if judged.enforced() { DROP } else { PASS }
}

/// What cannot be read, and was kept. (As above.)
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn gate25_return_malformed(skb: *mut __sk_buff) -> i32 {
    let ctx = &TcContext::new(skb);
    let Some(malformed) = maps::kept_malformed() else { return DROP };
    let verdict = decide(&malformed, DIRECTION, &Generation::in_force());
    let judged = Judged::new(&verdict, &Linear::of_skb(ctx));
    record::verdict(&judged, DIRECTION, malformed.family(), ctx.len() as usize, false);
    if verdict.enforced { DROP } else { PASS }
}

/// The TCP header as far as its flags.
#[inline(always)]
fn header(ctx: &TcContext, linear: &Linear, segment: &Segment) -> Option<[u8; TO_FLAGS]> {
    let header = match linear.read(segment.transport) {
        Some(header) => Some(header),
        None => Scattered::of_skb(ctx, linear).and_then(|whole| whole.read(segment.transport)),
    };
    header.filter(|_| segment.transport + TO_FLAGS <= segment.end)
}

#[inline(always)]
fn family(segment: &Segment) -> Family {
    segment.subscriber.family()
}
