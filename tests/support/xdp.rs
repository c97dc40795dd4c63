//! What XDP program is on an interface.

use crate::{namespace::Namespace, xdp_pass::bpf};
use anyhow::{Context as _, Result, ensure};
use std::ffi::CString;
use std::os::{fd::AsRawFd as _, fd::OwnedFd, unix::ffi::OsStrExt as _};
use std::{path::Path, process::Command};

const BPF_MAP_LOOKUP_ELEM: libc::c_long = 1;
const BPF_OBJ_GET: libc::c_long = 7;
const BPF_PROG_GET_FD_BY_ID: libc::c_long = 13;
const BPF_MAP_GET_FD_BY_ID: libc::c_long = 14;
const BPF_LINK_DETACH: libc::c_long = 34;

/// The head of `union bpf_attr` for `BPF_PROG_GET_FD_BY_ID` and its like.
#[repr(C)]
struct ById {
    number: u32,
    next: u32,
    flags: u32,
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
    self::program(program).is_ok()
}

/// The program of that number.
pub fn program(number: u32) -> Result<OwnedFd> {
    // SAFETY: there is no address in it.
    unsafe { bpf(BPF_PROG_GET_FD_BY_ID, &ById { number, next: 0, flags: 0 }) }
        .with_context(|| format!("program {number}"))
}

/// The head of `union bpf_attr` for `BPF_OBJ_GET`.
#[repr(C)]
struct Get {
    path: u64,
    descriptor: u32,
    flags: u32,
}

/// What is pinned there: a map, a program, a link.
pub fn pinned(pin: &Path) -> Result<OwnedFd> {
    let path = CString::new(pin.as_os_str().as_bytes())?;
    let get = Get { path: path.as_ptr().addr() as u64, descriptor: 0, flags: 0 };
    // SAFETY: the path outlives the call.
    unsafe { bpf(BPF_OBJ_GET, &get) }.with_context(|| pin.display().to_string())
}

/// The head of `union bpf_attr` for `BPF_MAP_LOOKUP_ELEM`.
#[repr(C)]
struct Element {
    map: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// The map at that place of an array of maps, if there is one.
#[must_use]
pub fn inner_map(outer: &OwnedFd, index: u32) -> Option<OwnedFd> {
    let mut number = 0_u32;
    let element = Element {
        map: outer.as_raw_fd().cast_unsigned(),
        key: std::ptr::from_ref(&index).addr() as u64,
        value: std::ptr::from_mut(&mut number).addr() as u64,
        flags: 0,
    };
    // SAFETY: key and value are words, as those of every such array, and outlive the call.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, BPF_MAP_LOOKUP_ELEM, &raw const element, size_of_val(&element))
    };
    // SAFETY: there is no address in it.
    let map = || unsafe { bpf(BPF_MAP_GET_FD_BY_ID, &ById { number, next: 0, flags: 0 }) }.ok();
    (result == 0).then(map).flatten()
}

/// Detaches a pinned link by force, and leaves the pin: what `bpftool link detach` does.
pub fn force_off(pin: &Path) -> Result<()> {
    let link = pinned(pin)?;
    let detach = link.as_raw_fd();
    // SAFETY: the kernel reads the descriptor.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_LINK_DETACH, &raw const detach, size_of_val(&detach)) };
    ensure!(result == 0, "{}: {}", pin.display(), std::io::Error::last_os_error());
    Ok(())
}
