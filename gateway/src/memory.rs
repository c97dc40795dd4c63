//! Memory that a large piece of work took, and that the allocator would keep.

/// Gives back to the system what is free: loading a program or a policy takes ten times what is left of it.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: walks the allocator's free lists, under its own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}
