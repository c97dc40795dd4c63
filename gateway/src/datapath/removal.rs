//! `gate25 detach`: takes off what is gate25's, removes its pins, and says of each what became of it.

use super::adopt;
use super::fault::Fault;
use super::object::{CLASSIFIER, XDP};
use super::pins::{self, Pins};
use super::return_path;
use super::sys::{self, Hook};
use gate25_common::abi::ABI_VERSION;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Detaches every program, removes all tables and counters, and `pin` itself if nothing else is in it. `say` hears a
/// line for each. What fails keeps nothing else from going, and is told last.
pub fn detach(pins: &Pins, mut say: impl FnMut(String)) -> Result<(), Fault> {
    let mut taken = Taken { left: Vec::new(), failed: None, any: false };
    // From here on no running controller attaches anything again.
    let links = pins.detached();
    if pins.links().is_dir() && fs::rename(pins.links(), &links).is_err() {
        // Of one that did not come to its end.
        taken.links(&links, pins, &mut say);
        let _ = fs::remove_dir(&links);
        fs::rename(pins.links(), &links)
            .map_err(|error| Fault::new("pin", pins.links().display(), error, "remove it as root"))?;
    }
    taken.links(&links, pins, &mut say);
    taken.return_paths(pins, &mut say);
    for (folder, name) in [(pins.programs(), XDP), (pins.return_programs(), CLASSIFIER)] {
        for pin in pins::entries(&folder) {
            if is_program(&pin, name) {
                taken.remove(&pin);
            } else {
                taken.left.push(pin);
            }
        }
    }
    let programs = [pins.programs(), pins.return_programs()];
    for folder in [&links, &pins.return_links(), &pins.return_filters()].into_iter().chain(&programs) {
        taken.any |= folder.is_dir();
        let _ = fs::remove_dir(folder);
    }
    // What is left in there is somebody else's, who knows it by that name.
    if fs::rename(&links, pins.links()).is_ok() {
        for path in &mut taken.left {
            *path = path.strip_prefix(&links).map_or_else(|_| path.clone(), |name| pins.links().join(name));
        }
    }
    for (version, tree) in pins.trees() {
        let left = remove_tree(&tree, |name, map| version != ABI_VERSION || adopt::is_ours(name, map));
        if !tree.exists() {
            say(format!("{}: removed, with its tables and counters", tree.display()));
        }
        taken.any = true;
        taken.left.extend(left);
    }
    for path in pins::entries(pins.root()) {
        if !taken.left.iter().any(|left| left.starts_with(&path)) {
            taken.left.push(path);
        }
    }
    for path in &taken.left {
        say(format!("{}: left, for it is not gate25's", path.display()));
    }
    let root = pins.root().display();
    match fs::remove_dir(pins.root()) {
        _ if !taken.any => say(format!("{root}: nothing was attached")),
        Ok(()) => say(format!("{root}: removed")),
        Err(_) => {}
    }
    taken.failed.map_or(Ok(()), Err)
}

/// What happened so far.
struct Taken {
    left: Vec<PathBuf>,
    failed: Option<Fault>,
    /// Something of ours was there.
    any: bool,
}

impl Taken {
    fn links(&mut self, folder: &Path, pins: &Pins, say: &mut impl FnMut(String)) {
        for pin in pins::entries(folder) {
            let name = pins::decode(&pin);
            match detach_link(&pin, Hook::Xdp, pins) {
                Ok(Some(true)) => say(format!("{name}: detached, no longer enforced")),
                Ok(Some(false)) => say(format!("{name}: was not attached any more")),
                Ok(None) => self.left.push(pin),
                Err(fault) => self.failed = Some(fault),
            }
        }
    }

    fn return_paths(&mut self, pins: &Pins, say: &mut impl FnMut(String)) {
        for pin in pins::entries(&pins.return_links()) {
            match detach_link(&pin, Hook::Tcx, pins) {
                Ok(Some(_)) => say(format!("{}: return path detached", pins::decode(&pin))),
                Ok(None) => self.left.push(pin),
                Err(fault) => self.failed = Some(fault),
            }
        }
        for pin in pins::entries(&pins.return_filters()) {
            if !is_program(&pin, CLASSIFIER) {
                self.left.push(pin);
                continue;
            }
            match return_path::detach_filter(&pins::decode(&pin), pins) {
                Ok(()) => say(format!("{}: return path detached", pins::decode(&pin))),
                Err(fault) => self.failed = Some(fault),
            }
        }
    }

    fn remove(&mut self, pin: &Path) {
        if let Err(error) = fs::remove_file(pin) {
            self.failed = Some(Fault::new("pin", pin.display(), error, "remove it as root"));
        }
    }
}

fn is_program(pin: &Path, name: &str) -> bool {
    let program = sys::open(pin).and_then(|program| sys::program(program.as_fd()));
    program.is_ok_and(|program| program.name == name)
}

/// Detaches a pinned link of ours and removes the pin: whether it was attached; `None` where the pin is something else.
pub(super) fn detach_link(pin: &Path, hook: Hook, pins: &Pins) -> Result<Option<bool>, Fault> {
    let failed = |error| Fault::kernel(pin.display(), error);
    let name = pins::decode(pin);
    let (ours, program) = match hook {
        Hook::Xdp => (XDP, pins.program(&name)),
        Hook::Tcx => (CLASSIFIER, pins.return_program(&name)),
    };
    let Ok(link) = sys::open(pin) else { return Ok(None) };
    let Ok(joined) = sys::link(link.as_fd(), hook) else { return Ok(None) };
    let found = sys::program_of(joined, &program).map_err(|error| Fault::hidden(&program, &error))?;
    if sys::program(found.as_fd()).map_err(failed)?.name != ours {
        return Ok(None);
    }
    let was_attached = joined.interface != 0;
    if was_attached && let Err(error) = sys::link_detach(link.as_fd()) {
        // The interface is gone by now.
        if error.raw_os_error() != Some(libc::ENOLINK) {
            return Err(failed(error));
        }
    }
    fs::remove_file(pin).map_err(failed)?;
    Ok(Some(was_attached))
}

/// Removes a tree of tables and counters; what is left, because it is not gate25's. Maps of other versions are known by
/// their names alone.
pub(super) fn remove_tree(tree: &Path, is_ours: impl Fn(&str, &OwnedFd) -> bool) -> Vec<PathBuf> {
    let mut left = Vec::new();
    for folder in pins::entries(tree) {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if !folder.is_dir() || !(name == "tables" || name.starts_with("interface:")) {
            left.push(folder);
            continue;
        }
        for pin in pins::entries(&folder) {
            let name = pin.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let is_name = name.bytes().all(|octet| matches!(octet, b'A'..=b'Z' | b'0'..=b'9' | b'_'));
            let map = sys::open(&pin).ok().filter(|map| sys::map(map.as_fd()).is_ok());
            if !(is_name && map.is_some_and(|map| is_ours(&name, &map)) && fs::remove_file(&pin).is_ok()) {
                left.push(pin);
            }
        }
        let _ = fs::remove_dir(&folder);
    }
    let _ = fs::remove_dir(tree);
    left
}
