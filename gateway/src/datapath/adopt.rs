//! What earlier controllers left below `pin`, and how a start takes it up: maps of this version are used as they are,
//! counters of an older one are carried over, what somebody removed is pinned again, and nothing foreign is touched.

use super::fault::Fault;
use super::object::{self, OWN, SHARED, Shape};
use super::pins::{self, Pins};
use super::removal;
use super::sys::{self, Hook};
use super::{tallies, zones};
use gate25_common::abi::ABI_VERSION;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use tracing::{info, warn};

/// The first ABI version whose counters and redirected connections are laid out as they are now.
pub const COUNTERS_SINCE: u32 = 2;

/// Shared maps that count, or remember, across versions; the other shared ones are tables, which every install fills anew.
/// Zones come first: without them nobody knows whose the interfaces' counters are.
const CARRIED: [&str; 6] = [zones::MAP, "RULES", "PORTS", "FLOWS", "HALF_FLOWS", tallies::MAP];

/// Makes the tree of this version ready for the loader, for these interfaces. Carried maps are the very same objects
/// below both versions: the old program and the new one count in one place until the link is switched, so nothing is
/// lost, nor counted twice, whenever that happens.
pub fn prepare<'a>(pins: &Pins, names: impl Iterator<Item = &'a str>) -> Result<(), Fault> {
    let start = Start::look(pins)?;
    pins.make(&pins.tables())?;
    let here = ids(&pins.tables());
    let of_this_tree = |running: &&Running| running.maps.iter().any(|id| here.contains(id));
    for name in SHARED.iter().filter(|name| !CARRIED.contains(name)) {
        let running = start.running.iter().filter(of_this_tree);
        let at = pins.tables().join(name);
        // Another in its place would be another generation for the program that runs.
        if let Some(Running { names: Err(hidden), .. }) = running.clone().next().filter(|_| !at.exists()) {
            return Err(Fault::hidden(&at, hidden));
        }
        start.settle(&at, name, running, None)?;
    }
    for name in CARRIED {
        let older = start.older.as_ref().map(|tree| tree.join("tables").join(name));
        start.settle(&pins.tables().join(name), name, start.trusted(), older)?;
    }
    let has_zones = pins.tables().join(zones::MAP).exists();
    let own = |folder: &Path| {
        pins.make(folder)?;
        let interface = pins::interface_of(folder);
        let running = || start.trusted().filter(|running| running.interface == interface);
        for name in OWN.iter().filter(|name| has_zones || **name != "COUNTS" || folder.join(name).exists()) {
            let older = start.older.as_ref().zip(folder.file_name());
            let older = older.map(|(tree, folder)| tree.join(folder).join(name));
            start.settle(&folder.join(name), name, running(), older)?;
        }
        Ok(())
    };
    // Also of interfaces that are not in the configuration now, and may be again.
    let others = start.older.iter().flat_map(|tree| pins::interfaces(tree));
    let others = others.filter_map(|folder| Some(pins.tables().parent()?.join(folder.file_name()?)));
    let all: BTreeSet<PathBuf> = names.map(|name| pins.interface(name)).chain(others).collect();
    all.iter().try_for_each(|folder| own(folder))
}

/// Removes the trees of other versions, once this one is in force; but not one that a link still needs.
pub fn retire(pins: &Pins) {
    let Ok(running) = running(pins) else { return };
    for (version, tree) in pins.other_trees() {
        let needed = ids(&tree.join("tables"));
        // Carried maps are of both.
        let needed: BTreeSet<_> = needed.difference(&ids(&pins.tables())).copied().collect();
        let user = running.iter().find(|running| running.maps.iter().any(|id| needed.contains(id)));
        if let Some(user) = user {
            let name = &user.interface;
            warn!(
                "{}: stays, for {name} runs a program of that version (`gate25 detach` ends it)",
                tree.display()
            );
            continue;
        }
        let left = removal::remove_tree(&tree, |_, _| true);
        if left.is_empty() {
            info!("{}: removed: ABI version {ABI_VERSION} has taken the place of {version}", tree.display());
        }
        for path in left {
            warn!("{}: is left, for it is not gate25's", path.display());
        }
    }
}

/// Whether a pin is what gate25 keeps there in this version.
pub(super) fn is_ours(name: &str, map: &OwnedFd) -> bool {
    shapes().is_ok_and(|shapes| shapes.get(name) == shape(map).ok().as_ref())
}

/// What a start finds.
struct Start {
    shapes: BTreeMap<String, Shape>,
    running: Vec<Running>,
    /// The newest tree whose counters can be carried over.
    older: Option<PathBuf>,
    /// Maps of trees whose counters cannot.
    strange: BTreeSet<u32>,
}

/// A program on an interface, and its maps.
struct Running {
    interface: String,
    maps: BTreeSet<u32>,
    /// The same by name, where this process may see that.
    names: io::Result<BTreeMap<String, u32>>,
}

impl Start {
    fn look(pins: &Pins) -> Result<Self, Fault> {
        let (mut older, mut strange) = (None, BTreeSet::new());
        for (version, tree) in pins.other_trees() {
            if (COUNTERS_SINCE..ABI_VERSION).contains(&version) {
                older = Some(tree);
            } else {
                warn!("{}: is of ABI version {version}: its counters are not carried over", tree.display());
                strange.extend(ids(&tree.join("tables")));
            }
        }
        Ok(Self { shapes: shapes()?, running: running(pins)?, older, strange })
    }

    /// Programs whose counters are laid out as ours.
    fn trusted(&self) -> impl Iterator<Item = &Running> {
        self.running.iter().filter(|running| running.maps.is_disjoint(&self.strange))
    }

    /// Sees to it that the right map is pinned there, or nothing: then the loader makes it.
    fn settle<'a>(
        &self,
        at: &Path,
        name: &str,
        mut running: impl Iterator<Item = &'a Running>,
        older: Option<PathBuf>,
    ) -> Result<(), Fault> {
        let fits = |map: &OwnedFd| shape(map).ok().as_ref() == self.shapes.get(name);
        match sys::open_if_there(at) {
            Ok(Some(map)) if fits(&map) => return Ok(()),
            Ok(None) => {}
            _ => {
                let remedy = match name {
                    zones::MAP | tallies::MAP => "remove it; what it counted begins anew",
                    _ => "remove it; a program that runs keeps its own, and that is pinned there again",
                };
                return Err(Fault::new(
                    "pin",
                    at.display(),
                    "is not the map that gate25 keeps there",
                    remedy,
                ));
            }
        }
        let pin =
            |map: OwnedFd| sys::pin(map.as_fd(), at).map_err(|error| Fault::kernel(at.display(), error));
        let kept = running.find_map(|running| running.names.as_ref().ok()?.get(name));
        if let Some(map) = kept.and_then(|id| sys::map_by_id(*id).ok()).filter(fits) {
            if older.is_none() {
                warn!("{}: was gone; the running program's own is pinned there again", at.display());
            }
            return pin(map);
        }
        match older.and_then(|older| Some((sys::open_if_there(&older).ok()??, older))) {
            Some((map, _)) if fits(&map) => pin(map),
            Some((_, older)) => {
                warn!("{}: has another layout: what it counted begins anew", older.display());
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// The shapes of all maps that are pinned.
fn shapes() -> Result<BTreeMap<String, Shape>, Fault> {
    let mut shapes = object::shapes()?;
    shapes.insert(zones::MAP.to_owned(), zones::SHAPE);
    shapes.insert(tallies::MAP.to_owned(), tallies::SHAPE);
    Ok(shapes)
}

fn shape(map: &OwnedFd) -> io::Result<Shape> {
    let found = sys::map(map.as_fd())?;
    Ok([found.type_, found.key_size, found.value_size, found.max_entries])
}

/// Ids of the maps that are pinned in a folder.
fn ids(folder: &Path) -> BTreeSet<u32> {
    let id = |path: PathBuf| Some(sys::map(sys::open(&path).ok()?.as_fd()).ok()?.id);
    pins::entries(folder).into_iter().filter_map(id).collect()
}

/// What our links and filters run.
fn running(pins: &Pins) -> Result<Vec<Running>, Fault> {
    let mut found = Vec::new();
    let linked = [(pins.links(), Hook::Xdp), (pins.return_links(), Hook::Tcx)];
    for (folder, hook) in linked {
        for pin in pins::entries(&folder) {
            let name = pins::decode(&pin);
            let held = if hook == Hook::Xdp { pins.program(&name) } else { pins.return_program(&name) };
            let Ok(joined) = sys::open(&pin).and_then(|link| sys::link(link.as_fd(), hook)) else { continue };
            let program = sys::program_of(joined, &held).map_err(|error| Fault::hidden(&held, &error))?;
            found.extend(run(&pin, &program));
        }
    }
    for pin in pins::entries(&pins.return_filters()) {
        found.extend(sys::open(&pin).ok().and_then(|program| run(&pin, &program)));
    }
    Ok(found)
}

/// What an interface's program is made of; nothing if it is no program.
fn run(pin: &Path, program: &OwnedFd) -> Option<Running> {
    let maps = sys::program(program.as_fd()).ok()?.maps;
    let of = |id: &u32| {
        let map = sys::map_by_id(*id).and_then(|map| sys::map(map.as_fd()))?;
        Ok((sys::name(&map.name), *id))
    };
    let names = maps.iter().map(of).collect();
    Some(Running { interface: pins::decode(pin), maps: maps.into_iter().collect(), names })
}

/// The maps of programs that run, held: who may not ask the kernel for them by number could not pin them again otherwise.
#[derive(Debug, Default)]
pub struct Held(Vec<Map>);

/// A map, and where it is pinned.
#[derive(Debug)]
struct Map {
    /// Whose it is, unless all share it.
    interface: Option<String>,
    at: PathBuf,
    open: OwnedFd,
}

impl Held {
    /// Those that are pinned for these interfaces.
    #[must_use]
    pub fn pinned<'a>(pins: &Pins, names: impl Iterator<Item = &'a str>) -> Self {
        let shared = SHARED.iter().map(|map| (None, pins.tables().join(map)));
        let own = names
            .flat_map(|name| OWN.iter().map(|map| (Some(name.to_owned()), pins.interface(name).join(map))));
        let held = |(interface, at): (_, PathBuf)| Some(Map { interface, open: sys::open(&at).ok()?, at });
        Self(shared.chain(own).filter_map(held).collect())
    }

    /// Pins again what somebody removed from under a controller and the programs of those interfaces that run.
    pub fn mend(&self, pins: &Pins, runs: impl Fn(&str) -> bool) {
        let any_runs = self.0.iter().filter_map(|map| map.interface.as_deref()).any(&runs);
        let gone = |map: &&Map| map.interface.as_deref().map_or(any_runs, &runs) && !map.at.exists();
        for Map { at, open, .. } in self.0.iter().filter(gone) {
            let has_folder = at.parent().is_some_and(|folder| pins.make(folder).is_ok());
            if has_folder && sys::pin(open.as_fd(), at).is_ok() {
                warn!("{}: was gone; the running program's own is pinned there again", at.display());
            }
        }
    }
}
