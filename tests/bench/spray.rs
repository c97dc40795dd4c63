//! The program that gives each frame new addresses, driven from here.

use crate::plan::{FRAME, Field, POOL, Plan};
use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf, EbpfLoader, Pod,
    maps::{Array, MapData, ProgramArray},
    programs::{ProgramFd, Xdp},
};
use gate25_tests::packet::{Link, Tcp, packet};
use std::{
    env,
    ffi::c_void,
    fs,
    net::IpAddr,
    os::fd::{AsFd as _, AsRawFd as _},
    path::PathBuf,
    ptr,
};

/// A plan, as the kernel takes it.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Written(Plan);

// SAFETY: integers, none of them with a gap before it.
unsafe impl Pod for Written {}

/// Where the addresses of one side come from.
#[derive(Clone, Copy)]
pub(crate) enum Side {
    /// This one.
    Fixed(IpAddr),
    /// This one, with random bits where the other has ones.
    Random(IpAddr, IpAddr),
    /// One after the other of those given to [`Spray::fill`].
    Pool(IpAddr),
}

/// The folder of the objects that `cargo xtask bench` builds.
pub(crate) fn programs() -> Result<PathBuf> {
    let folder = env::var_os("GATE25_BENCH_PROGRAMS");
    folder.map(PathBuf::from).context("GATE25_BENCH_PROGRAMS: not set (start this by `cargo xtask bench`)")
}

/// The loaded program.
pub(crate) struct Spray {
    ebpf: Ebpf,
    empty: ProgramFd,
    pub(crate) program: ProgramFd,
}

impl Spray {
    pub(crate) fn load() -> Result<Self> {
        let path = programs()?.join("gate25-bench-ebpf");
        let object = fs::read(&path).with_context(|| path.display().to_string())?;
        let mut ebpf = EbpfLoader::new().load(&object)?;
        let mut program = |name| -> Result<ProgramFd> {
            let program: &mut Xdp = ebpf.program_mut(name).context(name)?.try_into()?;
            program.load()?;
            Ok(program.fd()?.try_clone()?)
        };
        let (empty, program) = (program("empty")?, program("spray")?);
        let mut spray = Self { ebpf, empty, program };
        let mut state: Array<_, [u64; 2]> = spray.map("STATE")?;
        state.set(0, [0x9e37_79b9_7f4a_7c15, 0], 0)?;
        Ok(spray)
    }

    /// The program that does nothing, loaded as the one under test must be.
    pub(crate) fn empty(&self) -> Result<ProgramFd> {
        Ok(self.empty.try_clone()?)
    }

    /// From now on each packet goes on to that program.
    pub(crate) fn test(&mut self, program: &ProgramFd) -> Result<()> {
        let mut tested: ProgramArray<&mut MapData> =
            self.ebpf.map_mut("TESTED").context("TESTED")?.try_into()?;
        Ok(tested.set(0, program, 0)?)
    }

    /// How frames are made from now on; gives one. Each has new addresses, or is made whole, of a connection of its own, as
    /// live ones must be. With a code of 0 the program under test comes behind that; another is returned.
    pub(crate) fn plan(
        &mut self,
        (source, remote): (Side, Side),
        tcp: &Tcp,
        whole: bool,
        code: u8,
    ) -> Result<Vec<u8>> {
        let addresses = [source, remote].map(|side| match side {
            Side::Fixed(address) | Side::Random(address, _) | Side::Pool(address) => address,
        });
        let mut frame = Link::new().carry(packet(addresses[0], addresses[1], tcp));
        ensure!(frame.len() <= FRAME, "{} octets of headers", frame.len());
        frame.resize(FRAME, 0);
        let header = frame[14..34].chunks(2).map(|pair| u64::from(u16::from_ne_bytes([pair[0], pair[1]])));
        // Neither the checksum nor the addresses.
        let sum = header.enumerate().filter(|(place, _)| *place < 5).map(|(_, word)| word).sum();
        let mut words = [0; FRAME / 8];
        for (word, octets) in words.iter_mut().zip(frame.chunks_exact(8)) {
            *word = u64::from_ne_bytes(octets.try_into()?);
        }
        let plan = Plan {
            whole: whole.into(),
            frame: words,
            ipv6: u64::from(addresses[0].is_ipv6()),
            sum,
            source: field(source),
            remote: field(remote),
            code: code.into(),
        };
        self.map("PLAN")?.set(0, Written(plan), 0)?;
        Ok(frame)
    }

    /// The pools of [`Side::Pool`], from lists that are repeated as often as needed.
    pub(crate) fn fill(&mut self, name: &str, addresses: &[IpAddr]) -> Result<()> {
        let octets = POOL * size_of::<[u64; 2]>();
        let data = self.ebpf.map(name).context("pool")?;
        let aya::maps::Map::Array(data) = data else { anyhow::bail!("{name}: is of another type") };
        let file = data.fd().as_fd().as_raw_fd();
        // SAFETY: a mapping of its own, of a map that has that size and may be mapped.
        let start =
            unsafe { libc::mmap(ptr::null_mut(), octets, libc::PROT_WRITE, libc::MAP_SHARED, file, 0) };
        ensure!(start != libc::MAP_FAILED, "{name}: {}", std::io::Error::last_os_error());
        // SAFETY: as large as mapped just now, and nobody else's.
        let pool = unsafe { std::slice::from_raw_parts_mut(start.cast::<[u64; 2]>(), POOL) };
        for (place, address) in pool.iter_mut().zip(addresses.iter().cycle()) {
            *place = words(*address);
        }
        // SAFETY: mapped above, used no more.
        ensure!(unsafe { libc::munmap(start.cast::<c_void>(), octets) } == 0);
        Ok(())
    }

    fn map<V: Pod>(&mut self, name: &str) -> Result<Array<&mut MapData, V>> {
        Ok(self.ebpf.map_mut(name).with_context(|| name.to_owned())?.try_into()?)
    }
}

fn field(side: Side) -> Field {
    match side {
        Side::Fixed(value) => Field { pooled: 0, value: words(value), free: [0; 2] },
        Side::Random(value, free) => Field { pooled: 0, value: words(value), free: words(free) },
        Side::Pool(_) => Field { pooled: 1, value: [0; 2], free: [0; 2] },
    }
}

/// As in the packet.
fn words(address: IpAddr) -> [u64; 2] {
    let octets = match address {
        IpAddr::V4(address) => {
            let mut octets = [0; 16];
            octets[..4].copy_from_slice(&address.octets());
            octets
        }
        IpAddr::V6(address) => address.octets(),
    };
    let word = |at: usize| u64::from_ne_bytes(octets[at..at + 8].try_into().unwrap_or_default());
    [word(0), word(8)]
}
