//! The kernel's own measure of what an XDP program costs: `BPF_PROG_TEST_RUN`.

use anyhow::{Context as _, Result};
use std::{
    io::Error,
    mem::size_of_val,
    os::fd::{AsRawFd as _, BorrowedFd},
    ptr,
    time::Duration,
};

const BPF_PROG_TEST_RUN: libc::c_long = 10;
const BPF_F_TEST_XDP_LIVE_FRAMES: u32 = 1 << 1;

/// The head of `union bpf_attr` for `BPF_PROG_TEST_RUN`.
#[repr(C)]
#[derive(Default)]
struct TestRun {
    program: u32,
    code: u32,
    size_in: u32,
    size_out: u32,
    frame_in: u64,
    frame_out: u64,
    repeat: u32,
    nanoseconds: u32,
    context_size_in: u32,
    context_size_out: u32,
    context_in: u64,
    context_out: u64,
    flags: u32,
    cpu: u32,
    batch: u32,
    padding: u32,
}

/// `struct xdp_md` of `linux/bpf.h`.
#[repr(C)]
#[derive(Default)]
struct Context {
    data: u32,
    data_end: u32,
    data_meta: u32,
    interface: u32,
    queue: u32,
    egress: u32,
}

/// What one run over `frame` takes, on average of `repeat`. The program must leave the frame as it is, for each run
/// gets what the one before it left.
pub fn measure(program: BorrowedFd<'_>, frame: &[u8], repeat: u32) -> Result<Duration> {
    test_run(TestRun { repeat, ..of(program, frame) })
}

/// What one run takes, on average of these frames, each of which is run once.
pub fn measure_each(program: BorrowedFd<'_>, frames: &[Vec<u8>]) -> Result<Duration> {
    let mut total = Duration::ZERO;
    for frame in frames {
        total += measure(program, frame, 1)?;
    }
    Ok(total / u32::try_from(frames.len().max(1))?)
}

/// What the program leaves of a frame, if no longer.
pub fn run(program: BorrowedFd<'_>, frame: &[u8]) -> Result<Vec<u8>> {
    let mut out = vec![0; frame.len()];
    let (size_out, frame_out) = (out.len() as u32, out.as_mut_ptr().addr() as u64);
    test_run(TestRun { repeat: 1, size_out, frame_out, ..of(program, frame) })?;
    Ok(out)
}

/// What one frame takes that is really sent, dropped or passed on, as if it had come in on that interface of this
/// thread's network namespace; on average of `frames`, each of which is new.
pub fn measure_live(program: BorrowedFd<'_>, frame: &[u8], interface: u32, frames: u32) -> Result<Duration> {
    send_live(program, frame, interface, frames, frames)
}

/// The same of any number of frames, `batch` (256 at most) at a time; they are used again, so the program writes all of
/// each. One that it sends back leaves through that interface.
pub fn send_live(
    program: BorrowedFd<'_>,
    frame: &[u8],
    interface: u32,
    frames: u32,
    batch: u32,
) -> Result<Duration> {
    let context = Context { data_end: frame.len() as u32, interface, ..Context::default() };
    test_run(TestRun {
        repeat: frames,
        batch,
        flags: BPF_F_TEST_XDP_LIVE_FRAMES,
        context_size_in: size_of_val(&context) as u32,
        context_in: ptr::from_ref(&context).addr() as u64,
        ..of(program, frame)
    })
}

fn of(program: BorrowedFd<'_>, frame: &[u8]) -> TestRun {
    TestRun {
        program: program.as_raw_fd().cast_unsigned(),
        size_in: frame.len() as u32,
        frame_in: frame.as_ptr().addr() as u64,
        ..TestRun::default()
    }
}

fn test_run(mut attributes: TestRun) -> Result<Duration> {
    // SAFETY: laid out as the kernel wants it, and every address in it is of something that outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_TEST_RUN,
            ptr::from_mut(&mut attributes),
            size_of_val(&attributes),
        )
    };
    if result < 0 {
        return Err(Error::last_os_error()).context("test-run");
    }
    Ok(Duration::from_nanos(u64::from(attributes.nanoseconds)))
}
