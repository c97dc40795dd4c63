//! Programs that the bench measures with: no part of Gate25.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]
#![cfg_attr(
    target_arch = "bpf",
    allow(
        missing_docs,
        unreachable_pub,
        reason = "the entries that `xdp` makes are undocumented and public"
    )
)]

#[cfg(target_arch = "bpf")]
mod plan;
#[cfg(target_arch = "bpf")]
mod spray;

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[cfg(target_arch = "bpf")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(not(target_arch = "bpf"))]
fn main() {}
