//! What XDP program is on an interface.

use crate::{namespace::Namespace, xdp_pass::bpf};
use anyhow::{Context as _, Result, ensure};
use std::ffi::CString;
use std::os::{fd::AsRawFd as _, fd::OwnedFd, unix::ffi::OsStrExt as _};
use std::{path::Path, process::Command};

const BPF_OBJ_GET: libc::c_long = 7;
const BPF_PROG_GET_FD_BY_ID: libc::c_long = 13;
const BPF_LINK_DETACH: libc::c_long = 34;

/// The head of `union bpf_attr` for `BPF_PROG_GET_FD_BY_ID`.
#[repr(C)]
struct ById {
    program: u32,
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
    unsafe { bpf(BPF_PROG_GET_FD_BY_ID, &ById { program: number, next: 0, flags: 0 }) }
        .with_context(|| format!("program {number}"))
}

/// The head of `union bpf_attr` for `BPF_OBJ_GET`.
#[repr(C)]
struct Get {
    path: u64,
    descriptor: u32,
    flags: u32,
}

/// Detaches a pinned link by force, and leaves the pin: what `bpftool link detach` does.
pub fn force_off(pin: &Path) -> Result<()> {
    let path = CString::new(pin.as_os_str().as_bytes())?;
    let get = Get { path: path.as_ptr().addr() as u64, descriptor: 0, flags: 0 };
    // SAFETY: the path outlives the call.
    let link = unsafe { bpf(BPF_OBJ_GET, &get) }.with_context(|| pin.display().to_string())?;
    let detach = link.as_raw_fd();
    // SAFETY: the kernel reads the descriptor.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_LINK_DETACH, &raw const detach, size_of_val(&detach)) };
    ensure!(result == 0, "{}: {}", pin.display(), std::io::Error::last_os_error());
    Ok(())
}
