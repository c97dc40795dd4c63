//! What XDP program is on an interface.

use crate::{namespace::Namespace, xdp_pass::bpf};
use anyhow::{Context as _, Result};
use std::process::Command;

const BPF_PROG_GET_FD_BY_ID: libc::c_long = 13;

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
    // SAFETY: there is no address in it.
    unsafe { bpf(BPF_PROG_GET_FD_BY_ID, &ById { program, next: 0, flags: 0 }) }.is_ok()
}
