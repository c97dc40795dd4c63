//! Memory: the most that a process ever had, and what the kernel holds for pinned maps.

use anyhow::{Context as _, Result};
use gate25_tests::xdp;
use std::{
    collections::BTreeMap,
    fs,
    os::fd::{AsRawFd as _, OwnedFd},
    path::Path,
};

/// `BPF_MAP_TYPE_ARRAY_OF_MAPS` of `linux/bpf.h`.
const ARRAY_OF_MAPS: u64 = 12;

/// The peak of a process' resident memory, in octets.
pub(crate) fn peak(process: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    let word = line.split_whitespace().next().context("VmHWM")?;
    Ok(word.parse::<u64>()? * 1024)
}

/// What the kernel says it holds for all maps pinned in that folder and below, and for those inside them, in octets.
pub(crate) fn pinned(folder: &Path) -> Result<u64> {
    let mut maps = BTreeMap::new();
    collect(folder, &mut maps)?;
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
    let value = |key: &str| -> Option<u64> {
        text.lines().find_map(|line| line.strip_prefix(key))?.trim().parse().ok()
    };
    // Programs and links have none.
    let (Some(kind), Some(number)) = (value("map_type:"), value("map_id:")) else { return Ok(()) };
    maps.insert(number, value("memlock:").unwrap_or_default());
    if kind == ARRAY_OF_MAPS {
        let entries = value("max_entries:").unwrap_or_default() as u32;
        for inner in (0..entries).filter_map(|index| xdp::inner_map(object, index)) {
            add(&inner, maps)?;
        }
    }
    Ok(())
}
