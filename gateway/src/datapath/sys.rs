//! The few commands of bpf(2) that aya keeps for itself: links without its fall-back to netlink, which could push out a
//! program of somebody else, and without its detaching when a value is dropped.

use aya::Pod;
use aya_obj::generated::{
    bpf_attach_type, bpf_attr, bpf_cmd, bpf_link_info, bpf_link_type, bpf_map_info, bpf_map_type,
    bpf_prog_info,
};
use gate25_common::table::Line;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::ffi::{CStr, CString, c_char};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::{fs, io};

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

/// What kind of object a descriptor is of; the kernel tells that nowhere but in `/proc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Map,
    Program,
    Link,
}

pub(super) fn kind(object: BorrowedFd<'_>) -> io::Result<Option<Kind>> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", object.as_raw_fd()))?;
    let kinds = [("map_type:", Kind::Map), ("prog_type:", Kind::Program), ("link_type:", Kind::Link)];
    // A link tells of its program, too.
    let found = text.lines().filter_map(|line| kinds.iter().find(|(key, _)| line.starts_with(key)));
    Ok(found.map(|(_, kind)| *kind).max_by_key(|kind| *kind == Kind::Link))
}

/// Which hook a link is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hook {
    Xdp,
    Tcx,
}

/// What a link joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    /// Index of the interface, in whatever network namespace that is; 0 once detached, or once the interface is gone.
    pub(super) interface: u32,
    /// The kernel's id of the program.
    pub(super) program: u32,
}

/// What a link of that hook joins now; an error if it is none.
pub(super) fn link(link: BorrowedFd<'_>, hook: Hook) -> io::Result<Link> {
    if kind(link)? != Some(Kind::Link) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: integers only.
    let mut found: bpf_link_info = unsafe { std::mem::zeroed() };
    info(link, &mut found)?;
    let wanted = match hook {
        Hook::Xdp => bpf_link_type::BPF_LINK_TYPE_XDP,
        Hook::Tcx => bpf_link_type::BPF_LINK_TYPE_TCX,
    };
    if found.type_ != wanted as u32 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: the link is one of XDP or of tcx, whose parts of the union begin alike.
    Ok(Link { interface: unsafe { found.__bindgen_anon_1.xdp.ifindex }, program: found.prog_id })
}

/// What the kernel says of a map: type, octets of key and value, entries; and its id.
pub(super) fn map(map: BorrowedFd<'_>) -> io::Result<bpf_map_info> {
    if kind(map)? != Some(Kind::Map) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: integers only.
    let mut found: bpf_map_info = unsafe { std::mem::zeroed() };
    info(map, &mut found)?;
    Ok(found)
}

/// A program, as the kernel knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    /// Its id.
    pub(super) id: u32,
    /// Up to 15 octets of its name.
    pub(super) name: String,
    /// Ids of the maps that it uses.
    pub(super) maps: Vec<u32>,
}

/// What a program is; an error if it is none.
pub(super) fn program(program: BorrowedFd<'_>) -> io::Result<Program> {
    if kind(program)? != Some(Kind::Program) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut maps = vec![0_u32; 64];
    // SAFETY: integers only; the kernel writes no more ids than there is room for.
    let mut found: bpf_prog_info = unsafe { std::mem::zeroed() };
    found.nr_map_ids = maps.len() as u32;
    found.map_ids = maps.as_mut_ptr() as u64;
    info(program, &mut found)?;
    maps.truncate(found.nr_map_ids as usize);
    Ok(Program { id: found.id, name: name(&found.name), maps })
}

/// Up to 15 octets of a map's or a program's name.
pub(super) fn name(octets: &[c_char; 16]) -> String {
    let octets = octets.map(|octet| octet.to_ne_bytes()[0]);
    CStr::from_bytes_until_nul(&octets).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// `into` must be what the kernel tells of an object of that kind.
fn info<T>(object: BorrowedFd<'_>, into: &mut T) -> io::Result<()> {
    let mut attributes = zeroed();
    attributes.info.bpf_fd = object.as_raw_fd().cast_unsigned();
    attributes.info.info_len = size_of::<T>() as u32;
    attributes.info.info = std::ptr::from_mut(into) as u64;
    bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attributes).map(drop)
}

/// The map of that id, for whoever has `CAP_SYS_ADMIN`.
pub(super) fn map_by_id(id: u32) -> io::Result<OwnedFd> {
    by_id(bpf_cmd::BPF_MAP_GET_FD_BY_ID, id)
}

/// The program of that id, for whoever has `CAP_SYS_ADMIN`.
pub(super) fn program_by_id(id: u32) -> io::Result<OwnedFd> {
    by_id(bpf_cmd::BPF_PROG_GET_FD_BY_ID, id)
}

fn by_id(command: bpf_cmd, id: u32) -> io::Result<OwnedFd> {
    let mut attributes = zeroed();
    attributes.__bindgen_anon_6.__bindgen_anon_1.map_id = id;
    bpf(command, &mut attributes).map(owned)
}

/// The program of a link, which is pinned beside it. Where it is not, the kernel gives it to `CAP_SYS_ADMIN` alone.
pub(super) fn program_of(joined: Link, pin: &Path) -> io::Result<OwnedFd> {
    let is_it = |pinned: &OwnedFd| program(pinned.as_fd()).is_ok_and(|program| program.id == joined.program);
    open(pin).ok().filter(is_it).map_or_else(|| program_by_id(joined.program), Ok)
}

/// Pins a program in the place of an earlier one of that name.
pub(super) fn pin_program(program: BorrowedFd<'_>, at: &Path, name: &str) -> io::Result<()> {
    match open_if_there(at) {
        Ok(None) => pin(program, at),
        Ok(Some(there)) if self::program(there.as_fd()).is_ok_and(|there| there.name == name) => {
            fs::remove_file(at).and_then(|()| pin(program, at))
        }
        _ => Err(io::Error::other("is not gate25's, and stays")),
    }
}

/// Opens what is pinned there, if anything is.
pub(super) fn open_if_there(at: &Path) -> io::Result<Option<OwnedFd>> {
    match open(at) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

/// Of `linux/bpf.h`: such an array can be shared with this process, and be in an array of maps beside one of another size.
const SHARED_INNER: u32 = 0x400 | 0x1000;

/// An array of so many lines, at least one: written by [`write`], without a system call for each, that is 1 ns a line, not 300
/// (in batches) or 900.
pub(super) fn array(lines: usize) -> io::Result<OwnedFd> {
    let mut attributes = zeroed();
    attributes.__bindgen_anon_1.map_type = bpf_map_type::BPF_MAP_TYPE_ARRAY as u32;
    attributes.__bindgen_anon_1.key_size = size_of::<u32>() as u32;
    attributes.__bindgen_anon_1.value_size = size_of::<Line>() as u32;
    attributes.__bindgen_anon_1.max_entries = u32::try_from(lines).map_err(io::Error::other)?;
    attributes.__bindgen_anon_1.map_flags = SHARED_INNER;
    bpf(bpf_cmd::BPF_MAP_CREATE, &mut attributes).map(owned)
}

/// Writes into an array that can be shared, from an octet on that begins a page. There must be room.
pub(super) fn write(map: BorrowedFd<'_>, from: u64, lines: &[Line]) -> io::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let (length, access) = (size_of_val(lines), ProtFlags::READ | ProtFlags::WRITE);
    // SAFETY: a new mapping, as long as what is written, and then gone. The kernel refuses one beyond the array.
    unsafe {
        let shared = mmap(std::ptr::null_mut(), length, access, MapFlags::SHARED, map, from)?;
        std::ptr::copy_nonoverlapping(lines.as_ptr(), shared.cast(), lines.len());
        munmap(shared, length)?;
    }
    Ok(())
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

/// Reads entries of a hash map into both slices, from that place on (`None`: the beginning): how many there are, and the
/// next place if there may be more.
pub(super) fn lookup_batch<K: Pod, V: Pod>(
    map: BorrowedFd<'_>,
    from: Option<u32>,
    keys: &mut [K],
    values: &mut [V],
) -> io::Result<(usize, Option<u32>)> {
    let (from, mut next) = (from.as_ref(), 0_u32);
    let mut attributes = zeroed();
    attributes.batch.map_fd = map.as_raw_fd().cast_unsigned();
    attributes.batch.in_batch = from.map_or(0, |place| std::ptr::from_ref(place) as u64);
    attributes.batch.out_batch = &raw mut next as u64;
    attributes.batch.keys = keys.as_mut_ptr() as u64;
    attributes.batch.values = values.as_mut_ptr() as u64;
    attributes.batch.count = u32::try_from(keys.len().min(values.len())).unwrap_or(u32::MAX);
    let result = bpf(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut attributes);
    // SAFETY: an integer, of which the kernel made how many it wrote.
    let count = unsafe { attributes.batch.count } as usize;
    match result {
        Ok(_) => Ok((count, Some(next))),
        // These were the last.
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok((count, None)),
        Err(error) => Err(error),
    }
}
