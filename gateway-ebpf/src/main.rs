//! The programs of Gate25, on the subscriber side of an edge router: [`egress`] sees what arrives from subscribers,
//! [`toward`] what leaves toward them. Both are the same story: parse, decide, record, act.
//!
//! A packet that is not TCP to or from port 25 costs the walk over its headers and one per-CPU counter; no policy is read
//! for it.
#![no_std]
#![no_main]
#![allow(
    missing_docs,
    unreachable_pub,
    reason = "the entries that `xdp` and `classifier` make are undocumented and public"
)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]
#![allow(
    clippy::inline_always,
    reason = "a call costs more than most of these bodies, and the verifier follows it anew each time"
)]

mod act;
mod atomic;
mod attempts;
mod egress;
mod flows;
mod frame;
mod judged;
mod limits;
mod lookup;
mod maps;
mod record;
mod toward;
#[cfg(feature = "tries")]
mod tries;

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
