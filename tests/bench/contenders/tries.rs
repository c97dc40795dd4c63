//! Our own program with the kernel's LPM tries where ours has its own tables: all other maps are those of ours.

use crate::spray::programs;
use anyhow::{Context as _, Result};
use aya::{
    Ebpf, EbpfLoader, Pod,
    maps::{ArrayOfMaps, InnerMap, LpmTrie, Map, MapData, lpm_trie::Key},
    programs::{ProgramFd, Xdp, loaded_programs},
};
use gate25::tables::Tables;
use gate25_tests::lab::Lab;
use ipnetwork::IpNetwork;
use std::{
    fs,
    net::IpAddr,
    os::fd::{AsFd as _, AsRawFd as _},
    path::Path,
};

/// `BPF_F_NO_PREALLOC` of `linux/bpf.h`.
const NO_PREALLOC: u32 = 1;
/// Its own maps: prefix to what our tables give for it.
const OWN: [&str; 4] = ["SUBSCRIBERS_V4", "SUBSCRIBERS_V6", "DESTINATIONS_V4", "DESTINATIONS_V6"];

/// The loaded program.
pub(super) struct Tries(Ebpf);

impl Tries {
    /// Beside that program, whose maps it shares.
    pub(super) fn beside(ours: &ProgramFd) -> Result<(Self, ProgramFd)> {
        let path = programs()?.join("gate25-ebpf");
        let object = fs::read(&path).with_context(|| path.display().to_string())?;
        let lab = Lab::new()?;
        let pins = lab.pin();
        fs::create_dir_all(&pins)?;
        let mut loader = EbpfLoader::new();
        loader.override_global("AYA_LOG_LEVEL", &0_u8, true);
        let names = pinned(ours, &pins)?;
        for name in &names {
            loader.map_pin_path(name, pins.join(name));
        }
        let mut ebpf = loader.load(&object)?;
        let program: &mut Xdp = ebpf.program_mut("gate25").context("gate25")?.try_into()?;
        program.load()?;
        let program = program.fd()?.try_clone()?;
        let mut tries = Self(ebpf);
        // Empty ones, for now; and so it is known whether they fit.
        tries
            .install(&Tables::default())
            .context("the object has none (built without the feature `tries`)")?;
        Ok((tries, program))
    }

    /// Puts the prefixes of these tables, which are in force already, into the tries.
    pub(super) fn install(&mut self, tables: &Tables) -> Result<()> {
        // What holds for subscribers is numbered from 1, in the order in which it is met.
        let mut known = Vec::new();
        let mut number = |entry| {
            let place = known.iter().position(|known| *known == entry).unwrap_or_else(|| {
                known.push(entry);
                known.len() - 1
            });
            place as u32 + 1
        };
        for (ipv6, name) in [(false, OWN[0]), (true, OWN[1])] {
            let entries = tables.subscribers.iter(ipv6).map(|(prefix, entry)| (prefix, number(entry)));
            self.fill(name, ipv6, &entries.collect::<Vec<_>>())?;
        }
        for (ipv6, name) in [(false, OWN[2]), (true, OWN[3])] {
            self.fill(name, ipv6, &tables.destinations.iter(ipv6).collect::<Vec<_>>())?;
        }
        Ok(())
    }

    fn fill(&mut self, name: &str, ipv6: bool, entries: &[(IpNetwork, u32)]) -> Result<()> {
        let map = self.0.map_mut(name).with_context(|| name.to_owned())?;
        let lengths = entries.iter().map(|(prefix, _)| u32::from(prefix.prefix()));
        let octets = entries.iter().map(|(prefix, _)| prefix.network());
        let values = entries.iter().map(|(_, value)| *value);
        if ipv6 {
            let octets = octets.map(|address| match address {
                IpAddr::V6(address) => address.octets(),
                IpAddr::V4(_) => [0; 16],
            });
            filled(map, entries.len(), lengths.zip(octets).zip(values))
        } else {
            let octets = octets.map(|address| match address {
                IpAddr::V4(address) => address.octets(),
                IpAddr::V6(_) => [0; 4],
            });
            filled(map, entries.len(), lengths.zip(octets).zip(values))
        }
    }
}

/// Fills a new trie and makes it that of both generations, one of which is in force.
fn filled<K: Pod>(map: &mut Map, room: usize, entries: impl Iterator<Item = ((u32, K), u32)>) -> Result<()>
where
    LpmTrie<MapData, K, u32>: InnerMap,
{
    let mut trie = LpmTrie::<MapData, K, u32>::create(u32::try_from(room)?.max(1), NO_PREALLOC)?;
    for ((length, octets), value) in entries {
        trie.insert(&Key::new(length, octets), value, 0)?;
    }
    let mut generations: ArrayOfMaps<&mut MapData, LpmTrie<MapData, K, u32>> = map.try_into()?;
    [0, 1].into_iter().try_for_each(|slot| Ok(generations.set(slot, &trie, 0)?))
}

/// Pins all maps of that program but those that are to be others, each under its name; gives the names.
fn pinned(program: &ProgramFd, folder: &Path) -> Result<Vec<String>> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", program.as_fd().as_raw_fd()))?;
    let number = info.lines().find_map(|line| line.strip_prefix("prog_id:")).context("prog_id")?;
    let number: u32 = number.trim().parse()?;
    let program = loaded_programs().flatten().find(|program| program.id() == number).context("program")?;
    let mut names = Vec::new();
    for number in program.map_ids()?.context("its maps")? {
        let map = MapData::from_id(number)?;
        let name = map.info()?.name_as_str().unwrap_or_default().to_owned();
        // Constants are each program's own.
        if !name.starts_with('.') && !name.is_empty() && !OWN.contains(&name.as_str()) {
            map.pin(folder.join(&name))?;
            names.push(name);
        }
    }
    Ok(names)
}
