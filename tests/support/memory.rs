//! Memory: the most that a process ever had, and what the kernel holds for maps.

use crate::xdp;
use anyhow::{Context as _, Result};
use std::{
    collections::BTreeMap,
    fs,
    os::fd::{AsRawFd as _, OwnedFd},
    path::Path,
};

/// `BPF_MAP_TYPE_ARRAY_OF_MAPS` of `linux/bpf.h`.
const ARRAY_OF_MAPS: u64 = 12;

/// The peak of a process' resident memory, in octets.
pub fn peak(process: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    let word = line.split_whitespace().next().context("VmHWM")?;
    Ok(word.parse::<u64>()? * 1024)
}

/// What the kernel says it holds for all maps pinned in that folder and below, and for those inside them, in octets.
pub fn pinned(folder: &Path) -> Result<u64> {
    let mut maps = BTreeMap::new();
    collect(folder, &mut maps)?;
    Ok(maps.values().sum())
}

/// The same, and for all maps that a process has open.
pub fn held(process: u32, folder: &Path) -> Result<u64> {
    let mut maps = BTreeMap::new();
    collect(folder, &mut maps)?;
    for entry in fs::read_dir(format!("/proc/{process}/fdinfo"))?.flatten() {
        // One that was closed meanwhile holds nothing.
        note(&fs::read_to_string(entry.path()).unwrap_or_default(), &mut maps);
    }
    Ok(maps.values().sum())
}

/// Octets by the map's number.
fn collect(folder: &Path, maps: &mut BTreeMap<u64, u64>) -> Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), maps)?;
        } else {
            add(&xdp::pinned(&entry.path())?, maps)?;
        }
    }
    Ok(())
}

fn add(object: &OwnedFd, maps: &mut BTreeMap<u64, u64>) -> Result<()> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", object.as_raw_fd()))?;
    if note(&text, maps) == Some(ARRAY_OF_MAPS) {
        let entries = value(&text, "max_entries:").unwrap_or_default() as u32;
        for inner in (0..entries).filter_map(|index| xdp::inner_map(object, index)) {
            add(&inner, maps)?;
        }
    }
    Ok(())
}

/// Notes what the kernel tells of a descriptor, if that is of a map; its type.
fn note(text: &str, maps: &mut BTreeMap<u64, u64>) -> Option<u64> {
    // Programs and links have none.
    let (kind, number) = (value(text, "map_type:")?, value(text, "map_id:")?);
    maps.insert(number, value(text, "memlock:").unwrap_or_default());
    Some(kind)
}

fn value(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key))?.trim().parse().ok()
}
