//! XDP and TC programs that do nothing: something to measure against; and a frame that is answered by `XDP_TX` reaches a veth
//! peer only if that has one that passes everything.

use anyhow::{Context as _, Result};
use std::{
    io::{Error, Result as IoResult},
    mem::size_of_val,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
    ptr,
};

const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_LINK_CREATE: libc::c_long = 28;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_XDP: u32 = 37;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;

/// The head of `union bpf_attr` for `BPF_PROG_LOAD`, up to what is needed.
#[repr(C)]
struct Load {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log: [u64; 2],
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
}

/// The head of `union bpf_attr` for `BPF_LINK_CREATE`.
#[repr(C)]
struct Attach {
    program: i32,
    interface: u32,
    kind: u32,
    flags: u32,
}

/// `XDP_DROP`, `XDP_PASS` and `XDP_TX` of `linux/bpf.h`.
pub const DROP: u8 = 1;
/// See [`DROP`].
pub const PASS: u8 = 2;
/// See [`DROP`].
pub const TX: u8 = 3;

/// Loads an XDP program that does nothing but return `code`: the least that any costs.
pub fn load(code: u8) -> Result<OwnedFd> {
    load_of(BPF_PROG_TYPE_XDP, code)
}

/// The same for TC, where the code is `TC_ACT_OK`.
pub fn load_classifier() -> Result<OwnedFd> {
    load_of(BPF_PROG_TYPE_SCHED_CLS, 0)
}

fn load_of(kind: u32, code: u8) -> Result<OwnedFd> {
    // `r0 = code; exit`, as `struct bpf_insn` lays them out.
    let program: [[u8; 8]; 2] = [[0xb7, 0, 0, 0, code, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]];
    let load = Load {
        kind,
        instruction_count: program.len() as u32,
        instructions: ptr::from_ref(&program).addr() as u64,
        license: c"GPL".as_ptr().addr() as u64,
        log: [0; 2],
        kernel_version: 0,
        flags: 0,
        name: *b"lab_pass\0\0\0\0\0\0\0\0",
    };
    // SAFETY: the two addresses in it outlive the call.
    unsafe { bpf(BPF_PROG_LOAD, &load) }.context("cannot load a program (not root?)")
}

/// Attaches one that passes everything, in native mode, to an interface of this thread's network namespace, for as long
/// as the result lives.
pub fn attach(interface: &str) -> Result<OwnedFd> {
    attach_code(interface, PASS)
}

/// The same with another code.
pub fn attach_code(interface: &str, code: u8) -> Result<OwnedFd> {
    attach_program(interface, load(code)?.as_fd())
}

/// The same with a program that is loaded already.
pub fn attach_program(interface: &str, program: BorrowedFd<'_>) -> Result<OwnedFd> {
    let interface_index = nix::net::if_::if_nametoindex(interface).with_context(|| interface.to_owned())?;
    let attach = Attach {
        program: program.as_raw_fd(),
        interface: interface_index,
        kind: BPF_XDP,
        flags: XDP_FLAGS_DRV_MODE,
    };
    // SAFETY: there is no address in it.
    unsafe { bpf(BPF_LINK_CREATE, &attach) }
        .with_context(|| format!("{interface}: cannot attach an XDP program"))
}

/// `bpf(2)`, those of its commands that give a descriptor.
///
/// # Safety
/// `attributes` is laid out as that command wants it, and every address in it is good.
pub(crate) unsafe fn bpf<T>(command: libc::c_long, attributes: &T) -> IoResult<OwnedFd> {
    // SAFETY: the kernel reads exactly that many octets of `attributes`; the rest is the caller's promise.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, ptr::from_ref(attributes), size_of_val(attributes)) };
    match i32::try_from(result) {
        // SAFETY: a result that is no error is a descriptor, and it is ours alone.
        Ok(descriptor @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        _ => Err(Error::last_os_error()),
    }
}
