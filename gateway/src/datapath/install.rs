//! Puts a generation of tables into force: fill the idle place, make the rules' counters, flip one number.

mod rooms;

use super::fault::Fault;
use super::object::{self, SHARED};
use super::pins::Pins;
use crate::progress::{Step, note};
use crate::suspects;
use crate::tables::{Tables, Targets, pack};
use aya::Ebpf;
use aya::maps::{Array, Map, MapData, MapError, PerCpuHashMap, PerCpuValues};
use aya::util::nr_cpus;
use gate25_common::abi::{Active, RuleCount, Thresholds};
use rooms::Room;
use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::io::ErrorKind;

/// `BPF_F_NO_PREALLOC` of `linux/bpf.h`, as in the object's templates.
const NO_PREALLOC: u32 = 1;
/// `BPF_NOEXIST`: insert only what is not there.
const NO_EXIST: u64 = 1;

/// The shared tables, writable.
pub struct Store {
    maps: BTreeMap<&'static str, Map>,
    /// What is in the places of generations, by slot.
    rooms: [Room; 2],
    /// No packet reads the idle place any more, for sure.
    is_quiet: bool,
    /// How many lines the last generation had.
    lines: usize,
}

impl Store {
    /// The pinned ones.
    pub fn pinned(pins: &Pins) -> Result<Self, Fault> {
        let open = |name: &&'static str| {
            let data = object::open(&pins.tables().join(name))?;
            Ok((*name, Map::from_map_data(data).map_err(|error| Fault::kernel(name, error))?))
        };
        let mut store = Self::over(SHARED.iter().map(open).collect::<Result<_, Fault>>()?);
        store.seed()?;
        Ok(store)
    }

    /// Those of a program of one's own.
    pub fn of(ebpf: &mut Ebpf) -> Result<Self, Fault> {
        let take = |name: &&'static str| Ok((*name, object::take(ebpf, name)?));
        Ok(Self::over(SHARED.iter().map(take).collect::<Result<_, Fault>>()?))
    }

    fn over(maps: BTreeMap<&'static str, Map>) -> Self {
        Self { maps, rooms: Default::default(), is_quiet: false, lines: 0 }
    }

    /// Draws the secret of the program's hashes, unless it was drawn before.
    fn seed(&mut self) -> Result<(), Fault> {
        let mut seed: Array<&mut MapData, u64> =
            self.map("SEED")?.try_into().map_err(|error| fault("SEED", error))?;
        if seed.get(&0, 0).map_err(|error| fault("SEED", error))? == 0 {
            // The standard library's hasher is seeded by the system.
            let drawn = RandomState::new().hash_one(0);
            seed.set(0, drawn, 0).map_err(|error| fault("SEED", error))?;
        }
        Ok(())
    }

    /// Another handle on the rules' counters.
    pub(super) fn rule_counters(&mut self) -> Result<MapData, Fault> {
        let info = match self.map("RULES")? {
            Map::PerCpuHashMap(data) => data.info(),
            _ => return Err(Fault::kernel("RULES", "is of another type")),
        };
        info.and_then(|info| MapData::from_id(info.id())).map_err(|error| fault("RULES", error))
    }

    /// What is in force.
    pub fn active(&mut self) -> Result<Active, Fault> {
        self.array()?.get(&0, 0).map_err(|error| fault("ACTIVE", error))
    }

    /// Installs: nothing changes for any packet until the last step, and then everything at once. On an error the
    /// generation in force stays. What is left to do behind that is [`Self::retire`]'s.
    pub fn install(&mut self, tables: &Tables) -> Result<Active, Fault> {
        let prefixes = [false, true].map(|ipv6| tables.subscribers.len(ipv6) + tables.destinations.len(ipv6));
        let prefixes = prefixes.iter().sum();
        note(Step::Installed, 0, Some(prefixes));
        let lines = pack(tables)?;
        let generation = self.active()?.generation().wrapping_add(1) & (u32::MAX >> 3);
        let flags = [
            (tables.any_enforced, Active::ENFORCES),
            (tables.any_return_enforced, Active::ENFORCES_RETURN),
            (tables.redirects_to_smtp, Active::REDIRECTS_TO_SMTP),
        ];
        let flags = flags.iter().filter(|(holds, _)| *holds).fold(0, |all, (_, flag)| all | flag);
        let next = Active::new(generation, flags);
        self.add_rules(tables)?;
        self.fill(next.slot(), &lines, &tables.targets)?;
        self.fill_settings(tables)?;
        self.flip(next)?;
        self.lines = lines.len();
        note(Step::Installed, prefixes, Some(prefixes));
        Ok(next)
    }

    /// What follows an install, and nobody has to wait for: when no packet reads the generation before any more, the counters
    /// of all rules but these go; and its place has room for as much as there is now, and not much more, so that the next
    /// install finds it ready.
    pub fn retire(&mut self, kept: impl Fn(u64) -> bool) -> Result<(), Fault> {
        self.quieten()?;
        let gone = self.rule_numbers()?;
        let mut rules = self.rules()?;
        gone.iter()
            .filter(|number| !kept(**number))
            .try_for_each(|number| rules.remove(number))
            .map_err(|error| fault("RULES", error))?;
        let idle = self.active()?.slot() ^ 1;
        self.make_room(idle, self.lines)
    }

    /// Back to the generation before the last install, whose tables still stand. The other's go when it is retired.
    pub fn revert(&mut self, before: Active) -> Result<(), Fault> {
        self.lines = 0;
        self.flip(before)
    }

    /// From here on packets read the place that was idle, and some may still be reading the other one.
    fn flip(&mut self, to: Active) -> Result<(), Fault> {
        self.is_quiet = false;
        self.array()?.set(0, to, 0).map_err(|error| fault("ACTIVE", error))
    }

    /// Changes where the zones of the generation in force redirect to; one without a target resets.
    pub fn set_targets(&mut self, targets: &Targets) -> Result<(), Fault> {
        let slot = self.active()?.slot();
        self.aim(slot, targets)
    }

    /// What decides on no packet, and so has no generations: who counts as one subscriber, and when it is a suspect.
    fn fill_settings(&mut self, tables: &Tables) -> Result<(), Fault> {
        let mut prefixes: Array<&mut MapData, u32> =
            self.map("PREFIXES_V6")?.try_into().map_err(|error| fault("PREFIXES_V6", error))?;
        for (zone, bits) in &tables.prefixes_v6 {
            prefixes.set(*zone, u32::from(*bits), 0).map_err(|error| fault("PREFIXES_V6", error))?;
        }
        let mut thresholds: Array<&mut MapData, Thresholds> =
            self.map("THRESHOLDS")?.try_into().map_err(|error| fault("THRESHOLDS", error))?;
        thresholds
            .set(0, suspects::thresholds(&tables.suspects), 0)
            .map_err(|error| fault("THRESHOLDS", error))
    }

    /// Ports stay marked: connections may go on that were redirected to one that no zone has any more.
    fn add_ports(&mut self, targets: &Targets) -> Result<(), Fault> {
        let mut words: Array<&mut MapData, u64> =
            self.map("PORTS")?.try_into().map_err(|error| fault("PORTS", error))?;
        for port in targets.values().flat_map(|target| [target.ipv4_port, target.ipv6_port]) {
            if port != 0 {
                let index = u32::from(port) / u64::BITS;
                let word = words.get(&index, 0).map_err(|error| fault("PORTS", error))?;
                words
                    .set(index, word | 1 << (u32::from(port) % u64::BITS), 0)
                    .map_err(|error| fault("PORTS", error))?;
            }
        }
        Ok(())
    }

    /// Counters of rules that are new; the others keep counting.
    fn add_rules(&mut self, tables: &Tables) -> Result<(), Fault> {
        let mut rules = self.rules()?;
        let cpus = nr_cpus().map_err(|(_, error)| Fault::kernel("processors", error))?;
        for number in tables.rules.keys() {
            let zero = PerCpuValues::try_from(vec![RuleCount::default(); cpus])
                .map_err(|error| Fault::kernel("processors", error))?;
            match rules.insert(number, zero, NO_EXIST) {
                Err(MapError::SyscallError(error)) if error.io_error.kind() == ErrorKind::AlreadyExists => {}
                result => result.map_err(|error| fault("RULES", error))?,
            }
        }
        Ok(())
    }

    /// The rules that have counters.
    pub fn rule_numbers(&mut self) -> Result<HashSet<u64>, Fault> {
        self.rules()?.keys().collect::<Result<_, _>>().map_err(|error| fault("RULES", error))
    }

    fn map(&mut self, name: &'static str) -> Result<&mut Map, Fault> {
        self.maps.get_mut(name).ok_or_else(|| Fault::kernel(name, "is not open"))
    }

    fn array(&mut self) -> Result<Array<&mut MapData, Active>, Fault> {
        self.map("ACTIVE")?.try_into().map_err(|error| fault("ACTIVE", error))
    }

    fn rules(&mut self) -> Result<PerCpuHashMap<&mut MapData, u64, RuleCount>, Fault> {
        self.map("RULES")?.try_into().map_err(|error| fault("RULES", error))
    }
}

fn fault(name: &'static str, error: MapError) -> Fault {
    Fault::kernel(format!("map {name}"), object::last(&error))
}
