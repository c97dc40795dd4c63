//! Who holds a program: for a fault that names it.

use super::lock;
use super::pins;
use super::sys::{self, Hook};
use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// `, pinned at …, of pid …`, as far as that can be found.
pub(super) fn describe(program: u32) -> String {
    let pinned = pin(program).map(|pin| format!(", pinned at {}", pin.display())).unwrap_or_default();
    let of = process(program).map(|process| format!(", of {process}")).unwrap_or_default();
    format!("{pinned}{of}")
}

/// The pin of a link below any `PIN`, on any bpffs that is mounted here, that runs the program.
fn pin(program: u32) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let roots = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (at, kind) = (words.nth(1)?, words.next()?);
        (kind == "bpf").then(|| PathBuf::from(at))
    });
    roots.flat_map(|root| links(&root, 3)).find(|pin| {
        let link = sys::open(pin).and_then(|link| sys::link(link.as_fd(), Hook::Xdp));
        link.is_ok_and(|joined| joined.program == program)
    })
}

/// What lies in the folders that links are in (see [`pins::Pins::links`], [`pins::Pins::detached`]), at most so deep.
fn links(folder: &Path, depth: u32) -> Vec<PathBuf> {
    let folders = pins::entries(folder).into_iter().filter(|path| path.is_dir());
    let found = folders.map(|path| match path.file_name() {
        Some(name) if name == "links" || name == "detached" => pins::entries(&path),
        _ if depth > 0 => links(&path, depth - 1),
        _ => Vec::new(),
    });
    found.flatten().collect()
}

/// The process, of those that may be looked at, that holds a link which runs the program.
fn process(program: u32) -> Option<String> {
    let wanted = program.to_string();
    let is_it = |text: &str| {
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        value("link_type:").is_some() && value("prog_id:") == Some(&wanted)
    };
    let ids = pins::entries(Path::new("/proc")).into_iter();
    let ids = ids.filter_map(|path| path.file_name()?.to_str()?.parse::<i32>().ok());
    let mut others = ids.filter(|id| id.unsigned_abs() != std::process::id());
    let found = others.find(|id| {
        let infos = pins::entries(Path::new(&format!("/proc/{id}/fdinfo")));
        infos.iter().filter_map(|info| fs::read_to_string(info).ok()).any(|text| is_it(&text))
    });
    lock::process(found?)
}
