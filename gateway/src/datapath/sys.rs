//! The few commands of bpf(2) that aya keeps for itself: links without its fall-back to netlink, which could push out a
//! program of somebody else, and without its detaching when a value is dropped.

use aya_obj::generated::{bpf_attach_type, bpf_attr, bpf_cmd, bpf_link_info};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

fn bpf(command: bpf_cmd, attributes: &mut bpf_attr) -> io::Result<i64> {
    // SAFETY: the union is zeroed beyond what was set, and every pointer in it outlives the call.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_long, &raw mut *attributes, size_of::<bpf_attr>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn zeroed() -> bpf_attr {
    // SAFETY: a union of integers; all zeros is what the kernel wants of fields that are not used.
    unsafe { std::mem::zeroed() }
}

fn owned(descriptor: i64) -> OwnedFd {
    // SAFETY: the kernel just made this descriptor for us.
    unsafe { OwnedFd::from_raw_fd(descriptor as i32) }
}

fn path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

/// Attaches an XDP program to an interface; `flags` are `XDP_FLAGS_*` of `linux/if_link.h`.
pub(super) fn link_create(program: BorrowedFd<'_>, interface: u32, flags: u32) -> io::Result<OwnedFd> {
    let mut attributes = zeroed();
    attributes.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd().cast_unsigned();
    attributes.link_create.__bindgen_anon_2.target_ifindex = interface;
    attributes.link_create.attach_type = bpf_attach_type::BPF_XDP as u32;
    attributes.link_create.flags = flags;
    bpf(bpf_cmd::BPF_LINK_CREATE, &mut attributes).map(owned)
}

/// Attaches a TC program to what leaves an interface, behind those that are there (tcx, Linux 6.6).
pub(super) fn tcx_create(program: BorrowedFd<'_>, interface: u32) -> io::Result<OwnedFd> {
    let mut attributes = zeroed();
    attributes.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd().cast_unsigned();
    attributes.link_create.__bindgen_anon_2.target_ifindex = interface;
    attributes.link_create.attach_type = bpf_attach_type::BPF_TCX_EGRESS as u32;
    bpf(bpf_cmd::BPF_LINK_CREATE, &mut attributes).map(owned)
}

/// Replaces a link's program: no packet goes without one.
pub(super) fn link_update(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attributes = zeroed();
    attributes.link_update.link_fd = link.as_raw_fd().cast_unsigned();
    attributes.link_update.__bindgen_anon_1.new_prog_fd = program.as_raw_fd().cast_unsigned();
    bpf(bpf_cmd::BPF_LINK_UPDATE, &mut attributes).map(drop)
}

/// Detaches a link for everybody who holds it.
pub(super) fn link_detach(link: BorrowedFd<'_>) -> io::Result<()> {
    let mut attributes = zeroed();
    attributes.link_detach.link_fd = link.as_raw_fd().cast_unsigned();
    bpf(bpf_cmd::BPF_LINK_DETACH, &mut attributes).map(drop)
}

/// What a link joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    /// Index of the interface, in whatever network namespace that is; 0 once detached, or once the interface is gone.
    pub(super) interface: u32,
    /// The kernel's id of the program.
    pub(super) program: u32,
}

/// What a link joins now.
pub(super) fn link(link: BorrowedFd<'_>) -> io::Result<Link> {
    // SAFETY: integers only.
    let mut info: bpf_link_info = unsafe { std::mem::zeroed() };
    let mut attributes = zeroed();
    attributes.info.bpf_fd = link.as_raw_fd().cast_unsigned();
    attributes.info.info_len = size_of::<bpf_link_info>() as u32;
    attributes.info.info = &raw mut info as u64;
    bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attributes)?;
    // SAFETY: the link is one of XDP or of tcx, whose parts of the union begin alike.
    Ok(Link { interface: unsafe { info.__bindgen_anon_1.xdp.ifindex }, program: info.prog_id })
}

/// Pins an object on a bpffs.
pub(super) fn pin(object: BorrowedFd<'_>, at: &Path) -> io::Result<()> {
    let name = path(at)?;
    let mut attributes = zeroed();
    attributes.__bindgen_anon_4.pathname = name.as_ptr() as u64;
    attributes.__bindgen_anon_4.bpf_fd = object.as_raw_fd().cast_unsigned();
    bpf(bpf_cmd::BPF_OBJ_PIN, &mut attributes).map(drop)
}

/// Opens a pinned object.
pub(super) fn open(at: &Path) -> io::Result<OwnedFd> {
    let name = path(at)?;
    let mut attributes = zeroed();
    attributes.__bindgen_anon_4.pathname = name.as_ptr() as u64;
    bpf(bpf_cmd::BPF_OBJ_GET, &mut attributes).map(owned)
}
