//! The embedded eBPF object and its loading.

use super::fault::Fault;
use super::pins::Pins;
use aya::maps::{MapData, MapError};
use aya::programs::{Program, SchedClassifier, Xdp};
use aya::{Ebpf, EbpfError, EbpfLoader};
use aya_obj::Object;
use gate25_common::verdict::Direction;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};

/// The object, as `gateway-ebpf` was built for this very binary.
static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("GATE25_OBJECT"));

/// Maps that all interfaces share.
pub(super) const SHARED: [&str; 14] = [
    "HEADS",
    "TABLES",
    "TARGETS",
    "ACTIVE",
    "RULES",
    "PORTS",
    "FLOWS",
    "HALF_FLOWS",
    "BUCKETS",
    "PREFIXES_V6",
    "SUSPECTS",
    "THRESHOLDS",
    "EVENTS",
    "SEED",
];
/// Maps that each interface has, and that outlive its programs; the last one is nobody's business but theirs.
pub(super) const OWN: [&str; 7] =
    ["PASSED", "COUNTS", "ACTIONS", "FLOW_EVENTS", "GATEWAY", "EVENTS_LOST", "RECENT"];

/// What the program does with sources of no zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Unmanaged {
    /// They pass.
    #[default]
    Pass = 0,
    /// They are blocked, but this node does not enforce.
    BlockMonitored = 1,
    /// They are blocked.
    Block = 2,
}

/// How to load.
#[derive(Debug, Clone, Default)]
pub struct Options<'a> {
    /// Where maps are pinned, and the interface; `None` for a program of one's own, gone with the process.
    pub pins: Option<(&'a Pins, &'a str)>,
    /// See [`Unmanaged`].
    pub unmanaged: Unmanaged,
    /// Leave every verdict behind, limit no answers.
    pub replay: bool,
    /// Log blocked packets through aya-log.
    pub log: bool,
}

/// Loads the programs of these directions, with maps in common; the kernel has verified them when this returns.
pub fn load(directions: &[Direction], options: &Options<'_>) -> Result<Ebpf, Fault> {
    let mut loader = EbpfLoader::new();
    let level = if options.log { aya_log_level::INFO } else { aya_log_level::OFF };
    let (unmanaged, replay) = (options.unmanaged as u8, u8::from(options.replay));
    loader
        .override_global("UNMANAGED", &unmanaged, true)
        .override_global("REPLAY", &replay, true)
        .override_global("AYA_LOG_LEVEL", &level, true);
    for (name, path) in pinned(options)? {
        loader.map_pin_path(name, Cow::<Path>::Owned(path));
    }
    let mut ebpf = loader.load(OBJECT).map_err(|error| unloadable(&error))?;
    for direction in directions {
        let verified = match direction {
            Direction::Egress => xdp(&mut ebpf)?.load(),
            Direction::Return => classifier(&mut ebpf)?.load(),
        };
        verified.map_err(|error| Fault::kernel("program", last(&error)))?;
    }
    Ok(ebpf)
}

fn pinned(options: &Options<'_>) -> Result<Vec<(&'static str, PathBuf)>, Fault> {
    let Some((pins, interface)) = options.pins else { return Ok(Vec::new()) };
    let (tables, own) = (pins.tables(), pins.interface(interface));
    pins.make_all(interface)?;
    let shared = SHARED.iter().map(|name| (*name, tables.join(name)));
    Ok(shared.chain(OWN.iter().map(|name| (*name, own.join(name)))).collect())
}

/// Type, octets of a key and of a value, entries: what must fit where a map is pinned already.
pub(super) type Shape = [u32; 4];

/// The shapes of all maps in the object, by name.
pub(super) fn shapes() -> Result<BTreeMap<String, Shape>, Fault> {
    let object = Object::parse(OBJECT).map_err(|error| Fault::kernel("object", last(&error)))?;
    let shape = |map: &aya_obj::Map| [map.map_type(), map.key_size(), map.value_size(), map.max_entries()];
    Ok(object.maps.iter().map(|(name, map)| (name.clone(), shape(map))).collect())
}

/// The names of the programs, as the kernel shows them.
pub(super) const XDP: &str = "gate25";
/// See [`XDP`].
pub(super) const CLASSIFIER: &str = "gate25_return";

/// The XDP program in a loaded object: what arrives from subscribers.
pub fn xdp(ebpf: &mut Ebpf) -> Result<&mut Xdp, Fault> {
    program(ebpf, XDP)?.try_into().map_err(|error| Fault::kernel("program", error))
}

/// The TC program in a loaded object: what leaves toward them.
pub fn classifier(ebpf: &mut Ebpf) -> Result<&mut SchedClassifier, Fault> {
    program(ebpf, CLASSIFIER)?.try_into().map_err(|error| Fault::kernel("program", error))
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Program, Fault> {
    ebpf.program_mut(name).ok_or_else(|| Fault::kernel(format!("program {name}"), "is not in the object"))
}

/// A map of a loaded object, by value.
pub(super) fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<aya::maps::Map, Fault> {
    ebpf.take_map(name).ok_or_else(|| Fault::kernel(name, "is not in the object"))
}

/// Opens a pinned map.
pub(super) fn open(path: &Path) -> Result<MapData, Fault> {
    MapData::from_pin(path).map_err(|error| Fault::kernel(path.display(), last(&error)))
}

fn unloadable(error: &EbpfError) -> Fault {
    match error {
        EbpfError::MapError(MapError::CreateError { name, io_error }) => {
            Fault::kernel(format!("map {name}"), io_error)
        }
        error => Fault::kernel("object", last(error)),
    }
}

/// The innermost error, which says most.
pub(super) fn last(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

mod aya_log_level {
    //! Levels of aya-log-common.
    pub(super) const OFF: u8 = 0;
    pub(super) const INFO: u8 = 3;
}
