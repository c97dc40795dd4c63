//! Words of maps that several CPUs change at once. (`core` has neither for this target.)

/// Adds to a word; the kernel does it in one step.
///
/// # Safety
///
/// `at` is an aligned word of a map.
#[inline(always)]
pub(crate) unsafe fn add(at: *mut u64, number: u64) {
    // SAFETY: the caller's.
    unsafe {
        core::arch::asm!("lock *(u64 *)({at} + 0) += {number}", at = in(reg) at, number = in(reg) number)
    };
}

/// Writes `new` if the word is still `old` (`BPF_CMPXCHG`, Linux 5.12). Whether it was.
///
/// # Safety
///
/// `at` is an aligned word of a map.
#[inline(always)]
pub(crate) unsafe fn replace(at: *mut u64, old: u64, new: u64) -> bool {
    let mut found = old;
    // SAFETY: the caller's.
    unsafe {
        core::arch::asm!("r0 = cmpxchg_64({at} + 0, r0, {new})", at = in(reg) at, new = in(reg) new, inout("r0") found);
    }
    found == old
}
