//! The packet as the program may read it.

use aya_ebpf::helpers::generated::{
    bpf_csum_diff, bpf_skb_load_bytes, bpf_skb_store_bytes, bpf_xdp_get_buff_len, bpf_xdp_load_bytes,
};
use aya_ebpf::programs::{TcContext, XdpContext};
use core::mem::MaybeUninit;
use gate25_common::checksum::words_sum;
use gate25_common::frame::Bytes;

/// The same value, of which LLVM knows nothing.
#[inline(always)]
pub(crate) fn opaque(value: usize) -> usize {
    let mut opaque = value;
    // SAFETY: moves a register onto itself (no instruction at all would leave two lines of debug info at one place).
    unsafe {
        core::arch::asm!("{value} = {value}", value = inout(reg) opaque, options(pure, nomem, nostack, preserves_flags));
    };
    opaque
}

/// The same value, of which the verifier knows nothing, for it was changed by an unknown word and back.
#[inline(always)]
fn forget(value: u64, unknown: usize) -> u64 {
    let mut forgotten = value;
    // SAFETY: changes a register and changes it back.
    unsafe {
        core::arch::asm!("{value} ^= {unknown}", "{value} ^= {unknown}", value = inout(reg) forgotten, unknown = in(reg) unknown, options(pure, nomem, nostack, preserves_flags));
    }
    forgotten
}

/// One load from a packet, of a place that [`Linear::place`] gave. In Rust's and LLVM's eyes a header has no alignment, so
/// they would read it octet by octet; the machines that run XDP need none.
macro_rules! load {
    ($width:literal, $type:ty, $at:expr) => {{
        let word: u64;
        // SAFETY: the octets lie in the packet.
        unsafe {
            core::arch::asm!(
                concat!("{word} = *(", $width, " *)({at} + 0)"),
                word = out(reg) word,
                at = in(reg) $at,
                options(pure, readonly, nostack, preserves_flags),
            );
        }
        word as $type
    }};
}

/// The linear part of a frame, read and written in place.
pub(crate) struct Linear {
    start: usize,
    end: usize,
}

impl Linear {
    /// The frame as it is now; stale after the frame's size was changed. The bounds are loaded each time that this is
    /// called, and the verifier forgets which octets it knew to be there.
    #[inline(always)]
    pub(crate) fn of_xdp(ctx: &XdpContext) -> Self {
        // SAFETY: the context is the program's own.
        unsafe {
            let start = (&raw const (*ctx.ctx).data).read_volatile();
            let end = (&raw const (*ctx.ctx).data_end).read_volatile();
            Self { start: start as usize, end: end as usize }
        }
    }

    /// The same of a packet that leaves; stale after any helper that changes the packet.
    #[inline(always)]
    pub(crate) fn of_skb(ctx: &TcContext) -> Self {
        // SAFETY: the context is the program's own.
        unsafe {
            let start = (&raw const (*ctx.skb.skb).data).read_volatile();
            let end = (&raw const (*ctx.skb.skb).data_end).read_volatile();
            Self { start: start as usize, end: end as usize }
        }
    }

    /// Overwrites the octets at `offset`, or does nothing and says `None` where the linear part ends before them.
    #[inline(always)]
    pub(crate) fn write<const N: usize>(&self, offset: usize, octets: [u8; N]) -> Option<()> {
        let at = self.place::<N>(offset)?;
        // SAFETY: N octets of the packet lie there; the program alone has the packet.
        unsafe { *(at as *mut [u8; N]) = octets };
        Some(())
    }

    /// Where the `N` octets at `offset` lie. The verifier wants a check of its own for every access, on the very register
    /// that is used; LLVM would add the sums up again, and drop a check that follows from others.
    #[inline(always)]
    fn place<const N: usize>(&self, offset: usize) -> Option<usize> {
        let at = opaque(self.start + offset);
        let behind = opaque(at + N);
        (behind <= self.end).then_some(at)
    }
}

impl Bytes for Linear {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let at = self.place::<N>(offset)?;
        let mut octets = [0; N];
        let mut done = 0;
        while done + 8 <= N {
            octets[done..done + 8].copy_from_slice(&load!("u64", u64, at + done).to_ne_bytes());
            done += 8;
        }
        if done + 4 <= N {
            octets[done..done + 4].copy_from_slice(&load!("u32", u32, at + done).to_ne_bytes());
            done += 4;
        }
        if done + 2 <= N {
            octets[done..done + 2].copy_from_slice(&load!("u16", u16, at + done).to_ne_bytes());
            done += 2;
        }
        if done < N {
            octets[done] = load!("u8", u8, at + done);
        }
        Some(octets)
    }

    /// Many at once, by the kernel's own hand.
    #[inline(always)]
    fn sum<const N: usize>(&self, offset: usize) -> Option<u64> {
        if N < 32 {
            return Some(words_sum(&self.read::<N>(offset)?));
        }
        let at = self.place::<N>(offset)?;
        // SAFETY: N octets of the packet lie there; the helper reads them, in words of four.
        let sum = unsafe { bpf_csum_diff(core::ptr::null_mut(), 0, at as *mut u32, N as u32, 0) };
        Some(u64::from(sum as u32))
    }

    #[inline(always)]
    fn forget(&self, value: u64, mask: u64) -> u64 {
        forget(value, self.length()) & mask
    }

    #[inline(always)]
    fn length(&self) -> usize {
        let mut length = self.end;
        // LLVM would fold a plain subtraction into sums that the verifier refuses to see on a packet's end.
        // SAFETY: subtracts two registers.
        unsafe {
            core::arch::asm!("{length} -= {start}", length = inout(reg) length, start = in(reg) self.start, options(pure, nomem, nostack, preserves_flags))
        };
        length
    }
}

/// A frame of several buffers, whose headers may lie behind the linear part: slower, through a helper.
pub(crate) struct Whole<'a> {
    ctx: &'a XdpContext,
    length: usize,
}

impl<'a> Whole<'a> {
    /// The frame, if it has more than its linear part.
    #[inline(always)]
    pub(crate) fn of_xdp(ctx: &'a XdpContext, linear: &Linear) -> Option<Self> {
        // SAFETY: the context is the program's own.
        let length = unsafe { bpf_xdp_get_buff_len(ctx.ctx) } as usize;
        (length > linear.length()).then_some(Self { ctx, length })
    }
}

impl Bytes for Whole<'_> {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let mut octets = MaybeUninit::<[u8; N]>::uninit();
        // SAFETY: the helper writes N octets, or says that it did not.
        unsafe {
            let status =
                bpf_xdp_load_bytes(self.ctx.ctx, offset as u32, octets.as_mut_ptr().cast(), N as u32);
            if status == 0 { Some(octets.assume_init()) } else { None }
        }
    }

    #[inline(always)]
    fn forget(&self, value: u64, mask: u64) -> u64 {
        forget(value, self.length) & mask
    }

    #[inline(always)]
    fn length(&self) -> usize {
        self.length
    }
}

/// A packet that leaves, of which the kernel keeps a part elsewhere than in the linear part.
pub(crate) struct Scattered<'a> {
    ctx: &'a TcContext,
    length: usize,
}

impl<'a> Scattered<'a> {
    /// The packet, if it has more than its linear part.
    #[inline(always)]
    pub(crate) fn of_skb(ctx: &'a TcContext, linear: &Linear) -> Option<Self> {
        let length = ctx.len() as usize;
        (length > linear.length()).then_some(Self { ctx, length })
    }
}

impl Bytes for Scattered<'_> {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        load(self.ctx, offset)
    }

    #[inline(always)]
    fn forget(&self, value: u64, mask: u64) -> u64 {
        forget(value, self.length) & mask
    }

    #[inline(always)]
    fn length(&self) -> usize {
        self.length
    }
}

/// The octets at `offset` of a packet that leaves, wherever the kernel keeps them.
#[inline(always)]
pub(crate) fn load<const N: usize>(ctx: &TcContext, offset: usize) -> Option<[u8; N]> {
    let mut octets = MaybeUninit::<[u8; N]>::uninit();
    let skb = ctx.skb.skb;
    // SAFETY: the helper writes N octets, or says that it did not.
    unsafe {
        let status = bpf_skb_load_bytes(skb.cast(), offset as u32, octets.as_mut_ptr().cast(), N as u32);
        if status == 0 { Some(octets.assume_init()) } else { None }
    }
}

/// Overwrites octets of a packet that leaves, wherever the kernel keeps them.
#[inline(always)]
pub(crate) fn store<T>(ctx: &TcContext, offset: usize, octets: &T) -> Option<()> {
    let from = core::ptr::from_ref(octets).cast();
    // SAFETY: the helper reads `size_of::<T>()` octets, and checks the packet's bounds.
    let status = unsafe { bpf_skb_store_bytes(ctx.skb.skb, offset as u32, from, size_of::<T>() as u32, 0) };
    (status == 0).then_some(())
}
