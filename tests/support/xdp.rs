//! An XDP program that passes everything, and what is on an interface. A frame answered by `XDP_TX` reaches a veth peer
//! only if that has such a program.

use crate::namespace::Namespace;
use anyhow::{Context as _, Result};
use std::{
    io::{Error, Result as IoResult},
    mem::size_of_val,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    process::Command,
    ptr,
};

const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_GET_FD_BY_ID: libc::c_long = 13;
const BPF_LINK_CREATE: libc::c_long = 28;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_XDP: u32 = 37;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;

/// `r0 = XDP_PASS; exit`, as `struct bpf_insn` lays them out.
const PROGRAM: [[u8; 8]; 2] = [[0xb7, 0, 0, 0, 2, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]];

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

/// The head of `union bpf_attr` for `BPF_PROG_GET_FD_BY_ID`.
#[repr(C)]
struct ById {
    program: u32,
    next: u32,
    flags: u32,
}

/// The head of `union bpf_attr` for `BPF_LINK_CREATE`.
#[repr(C)]
struct Attach {
    program: i32,
    interface: u32,
    kind: u32,
    flags: u32,
}

/// Attaches the program, in native mode, to an interface of this thread's network namespace, for as long as the
/// result lives.
pub fn attach(interface: &str) -> Result<OwnedFd> {
    let load = Load {
        kind: BPF_PROG_TYPE_XDP,
        instruction_count: PROGRAM.len() as u32,
        instructions: ptr::from_ref(&PROGRAM).addr() as u64,
        license: c"GPL".as_ptr().addr() as u64,
        log: [0; 2],
        kernel_version: 0,
        flags: 0,
        name: *b"lab_pass\0\0\0\0\0\0\0\0",
    };
    // SAFETY: the two addresses in it point to constants.
    let program = unsafe { bpf(BPF_PROG_LOAD, &load) }.context("cannot load an XDP program (not root?)")?;
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

/// An XDP program on an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// As `ip` says it: `xdp` (native) or `xdpgeneric`.
    pub mode: String,
    /// The kernel's number of the program.
    pub program: u32,
}

/// What is on an interface of that namespace.
pub fn on(namespace: &Namespace, interface: &str) -> Result<Option<Attached>> {
    let mut command = Command::new("ip");
    command.args(["link", "show", "dev", interface]);
    let output = namespace.output(command)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut words = text.split_whitespace();
    let Some(mode) = words.find(|word| word.starts_with("xdp")) else { return Ok(None) };
    let program = words.skip_while(|word| *word != "prog/xdp").nth(2).and_then(|id| id.parse().ok());
    let program = program.with_context(|| format!("no program in: {text}"))?;
    Ok(Some(Attached { mode: mode.to_owned(), program }))
}

/// Whether the kernel still has a program of that number.
#[must_use]
pub fn exists(program: u32) -> bool {
    // SAFETY: there is no address in it.
    unsafe { bpf(BPF_PROG_GET_FD_BY_ID, &ById { program, next: 0, flags: 0 }) }.is_ok()
}

/// `bpf(2)`, those of its commands that give a descriptor.
///
/// # Safety
/// `attributes` is laid out as that command wants it, and every address in it is good.
unsafe fn bpf<T>(command: libc::c_long, attributes: &T) -> IoResult<OwnedFd> {
    // SAFETY: the kernel reads exactly that many octets of `attributes`; the rest is the caller's promise.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, ptr::from_ref(attributes), size_of_val(attributes)) };
    match i32::try_from(result) {
        // SAFETY: a result that is no error is a descriptor, and it is ours alone.
        Ok(descriptor @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        _ => Err(Error::last_os_error()),
    }
}
