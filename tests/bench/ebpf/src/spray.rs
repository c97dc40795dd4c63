//! Frames with ever new addresses: for a program under test, which is called behind it, or sent into an interface.

use crate::plan::{FRAME, Field, POOL, Plan};
use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_PASS};
use aya_ebpf::btf_maps::{Array, ProgramArray};
use aya_ebpf::macros::{btf_map, xdp};
use aya_ebpf::programs::XdpContext;

/// `BPF_F_MMAPABLE` of `linux/bpf.h`.
const MMAPABLE: usize = 1 << 10;

#[btf_map]
static PLAN: Array<Plan, 1> = Array::new();
/// The seed of the random numbers, and the place in the pools.
#[btf_map]
static STATE: Array<[u64; 2], 1> = Array::new();
#[btf_map]
static SOURCES: Array<[u64; 2], POOL, MMAPABLE> = Array::new();
#[btf_map]
static REMOTES: Array<[u64; 2], POOL, MMAPABLE> = Array::new();
/// The program under test.
#[btf_map]
static TESTED: ProgramArray<1> = ProgramArray::new();

/// Where things lie in a frame without tags and options.
const IPV4_CHECKSUM: usize = 24;
const IPV4_ADDRESSES: usize = 26;
const IPV4_PORT: usize = 34;
const IPV6_ADDRESSES: usize = 22;
const IPV6_PORT: usize = 54;
const SEQUENCE: usize = 4;

/// One store into the packet, which has no alignment.
macro_rules! store {
    ($width:literal, $at:expr, $word:expr) => {
        // SAFETY: the octets lie in the packet.
        unsafe {
            core::arch::asm!(
                concat!("*(", $width, " *)({at} + 0) = {word}"),
                at = in(reg) $at,
                word = in(reg) $word,
                options(nostack, preserves_flags),
            );
        }
    };
}

/// Nothing: the least that any program costs.
#[xdp(frags)]
#[inline(always)]
pub fn empty(_: XdpContext) -> u32 {
    XDP_PASS
}

/// See [`Plan`].
#[xdp(frags)]
#[inline(always)]
pub fn spray(ctx: XdpContext) -> u32 {
    match sprayed(&ctx) {
        Some(0) => {
            // SAFETY: nothing is left to be dropped.
            unsafe { TESTED.tail_call(&ctx, 0) };
            XDP_ABORTED
        }
        Some(code) => code,
        None => XDP_ABORTED,
    }
}

#[inline(always)]
fn sprayed(ctx: &XdpContext) -> Option<u32> {
    let start = ctx.data();
    if start + FRAME > ctx.data_end() {
        return None;
    }
    let plan = PLAN.get(0)?;
    // SAFETY: one frame at a time is sprayed.
    let state = unsafe { &mut *STATE.get_ptr_mut(0)? };
    state[1] = state[1].wrapping_add(1);
    let place = (state[1] % POOL as u64) as u32;
    let source = chosen(&plan.source, &SOURCES, place, &mut state[0])?;
    let remote = chosen(&plan.remote, &REMOTES, place, &mut state[0])?;
    if plan.whole != 0 {
        for (number, word) in plan.frame.iter().enumerate() {
            store!("u64", start + 8 * number, *word);
        }
    }
    let port = if plan.ipv6 == 0 {
        store!("u32", start + IPV4_ADDRESSES, source[0]);
        store!("u32", start + IPV4_ADDRESSES + 4, remote[0]);
        store!("u16", start + IPV4_CHECKSUM, checksum(plan.sum, source[0], remote[0]));
        IPV4_PORT
    } else {
        store!("u64", start + IPV6_ADDRESSES, source[0]);
        store!("u64", start + IPV6_ADDRESSES + 8, source[1]);
        store!("u64", start + IPV6_ADDRESSES + 16, remote[0]);
        store!("u64", start + IPV6_ADDRESSES + 24, remote[1]);
        IPV6_PORT
    };
    if plan.whole != 0 {
        // Each frame begins a connection of its own.
        let word = random(&mut state[0]);
        store!("u16", start + port, word | 0x0080);
        store!("u32", start + port + SEQUENCE, word >> 16);
    }
    Some(plan.code as u32)
}

#[inline(always)]
fn chosen(
    field: &Field,
    pool: &Array<[u64; 2], POOL, MMAPABLE>,
    place: u32,
    state: &mut u64,
) -> Option<[u64; 2]> {
    if field.pooled != 0 {
        return pool.get(place).copied();
    }
    let random = [random(state), random(state)];
    Some([field.value[0] ^ random[0] & field.free[0], field.value[1] ^ random[1] & field.free[1]])
}

/// Marsaglia's xorshift of 64 bits, times a number, for the low bits of it alone are poor.
#[inline(always)]
fn random(state: &mut u64) -> u64 {
    let mut word = *state;
    word ^= word << 13;
    word ^= word >> 7;
    word ^= word << 17;
    *state = word;
    word.wrapping_mul(0x2545_f491_4f6c_dd1d).swap_bytes()
}

/// Of an IPv4 header with these addresses (RFC 1071: byte order does not matter).
#[inline(always)]
fn checksum(sum: u64, source: u64, remote: u64) -> u64 {
    let mut sum = sum + (source & 0xffff_ffff) + (remote & 0xffff_ffff);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    !sum & 0xffff
}
