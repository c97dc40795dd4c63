//! Prefixes in the kernel's LPM tries: something to measure our tables beside. All that is not a prefix stays in those.

use aya_ebpf::bindings::BPF_F_NO_PREALLOC;
use aya_ebpf::btf_maps::{ArrayOfMaps, LpmTrie, lpm_trie::Key};
use aya_ebpf::macros::btf_map;
use gate25_common::address::Address;
use gate25_common::table::Table;

/// Both generations; the tries have room for what they need.
type Tries<K> = ArrayOfMaps<LpmTrie<K, u32, 1, { BPF_F_NO_PREALLOC as usize }>, 2>;

#[btf_map]
static SUBSCRIBERS_V4: Tries<[u8; 4]> = Tries::new();
#[btf_map]
static SUBSCRIBERS_V6: Tries<[u64; 2]> = Tries::new();
#[btf_map]
static DESTINATIONS_V4: Tries<[u8; 4]> = Tries::new();
#[btf_map]
static DESTINATIONS_V6: Tries<[u64; 2]> = Tries::new();

/// What [`gate25_common::table::find`] finds.
#[inline(always)]
pub(crate) fn find(slot: u32, table: Table, address: Address) -> u32 {
    let found = if address.is_ipv6() {
        let tries = if table == Table::Subscribers { &SUBSCRIBERS_V6 } else { &DESTINATIONS_V6 };
        tries.get(slot).and_then(|trie| trie.get(&Key::new(128, address.words())))
    } else {
        let tries = if table == Table::Subscribers { &SUBSCRIBERS_V4 } else { &DESTINATIONS_V4 };
        tries.get(slot).and_then(|trie| trie.get(&Key::new(32, address.ipv4_octets())))
    };
    found.copied().unwrap_or_default()
}
