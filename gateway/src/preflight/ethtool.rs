//! Driver and offloads of an interface, by the old interface of ethtool (`linux/ethtool.h`), which needs no privilege.

use rustix::net::{AddressFamily, SocketType, socket};
use std::ffi::CStr;
use std::os::fd::{AsRawFd, OwnedFd};

/// Offloads that matter to XDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Offloads {
    /// `rx-vlan-hw-parse`: tags are taken off.
    pub(super) vlan: bool,
    /// `rx-lro`.
    pub(super) lro: bool,
    /// `rx-gro-hw`.
    pub(super) gro_hw: bool,
}

const SIOCETHTOOL: libc::Ioctl = 0x8946;
const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETHTOOL_GFEATURES: u32 = 0x3a;
const ETH_SS_FEATURES: u32 = 4;
/// Octets of a feature's name.
const NAME: usize = 32;

/// What the driver calls itself.
pub(super) fn driver(name: &str) -> Option<String> {
    // struct ethtool_drvinfo is 196 octets; the driver's name follows the command.
    let mut words = [0_u32; 49];
    words[0] = ETHTOOL_GDRVINFO;
    ask(name, &mut words)?;
    let octets: Vec<u8> = words[1..9].iter().flat_map(|word| word.to_ne_bytes()).collect();
    let text = CStr::from_bytes_until_nul(&octets).ok()?;
    Some(text.to_string_lossy().into_owned())
}

/// Which offloads are on; `None` where the driver does not say.
pub(super) fn offloads(name: &str) -> Option<Offloads> {
    // struct ethtool_sset_info: command, reserved, a mask of sets (64 bits), then one count.
    let mut info = [ETHTOOL_GSSET_INFO, 0, 1 << ETH_SS_FEATURES, 0, 0];
    if cfg!(target_endian = "big") {
        info.swap(2, 3);
    }
    ask(name, &mut info)?;
    let count = usize::try_from(info[4]).ok().filter(|count| (1..=1024).contains(count))?;
    // struct ethtool_gstrings: command, set, count, names.
    let mut names = vec![0_u32; 3 + count * NAME / 4];
    names[..3].copy_from_slice(&[ETHTOOL_GSTRINGS, ETH_SS_FEATURES, count as u32]);
    ask(name, &mut names)?;
    // struct ethtool_gfeatures: command, blocks, and for each block available, requested, active, never_changed.
    let blocks = count.div_ceil(32);
    let mut features = vec![0_u32; 2 + blocks * 4];
    features[..2].copy_from_slice(&[ETHTOOL_GFEATURES, blocks as u32]);
    ask(name, &mut features)?;
    let octets: Vec<u8> = names[3..].iter().flat_map(|word| word.to_ne_bytes()).collect();
    let is_on = |wanted: &CStr| {
        let place = octets.chunks_exact(NAME).position(|name| CStr::from_bytes_until_nul(name) == Ok(wanted));
        place.is_some_and(|bit| features[2 + bit / 32 * 4 + 2] >> (bit % 32) & 1 == 1)
    };
    Some(Offloads { vlan: is_on(c"rx-vlan-hw-parse"), lro: is_on(c"rx-lro"), gro_hw: is_on(c"rx-gro-hw") })
}

/// Asks, with a command and room for its answer.
fn ask(name: &str, words: &mut [u32]) -> Option<()> {
    let socket: OwnedFd = socket(AddressFamily::INET, SocketType::DGRAM, None).ok()?;
    // SAFETY: zeros are a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return None;
    }
    for (place, octet) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *place = libc::c_char::from_ne_bytes([octet]);
    }
    request.ifr_ifru.ifru_data = words.as_mut_ptr().cast();
    // SAFETY: the kernel writes no more than the command's struct, for which `words` has room.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
    (result >= 0).then_some(())
}
