//! Maps, and the constants that the controller sets before loading.

use crate::attempts::Syn;
use crate::judged::Judged;
use aya_ebpf::Global;
use aya_ebpf::bindings::{BPF_F_INNER_MAP, BPF_F_MMAPABLE, BPF_F_NO_PREALLOC};
use aya_ebpf::btf_maps::{Array, ArrayOfMaps, HashMap, LruHashMap, PerCpuArray, PerCpuHashMap, RingBuf};
use aya_ebpf::macros::btf_map;
use gate25_common::abi::{
    Active, EVENT_RING, Event, FLOW_CAPACITY, Flow, FlowKey, Gateway, HALF_FLOW_CAPACITY, LIMIT_CAPACITY,
    LimitKey, PORT_WORDS, Passed, RULE_CAPACITY, RuleCount, SUSPECT_CAPACITY, SubscriberKey, Suspect, Target,
    Thresholds, Trace, ZONE_SLOTS, ZoneCounts,
};
use gate25_common::address::Address;
use gate25_common::parse::{Parsed, Segment};
use gate25_common::table::{HEAD, Line};
use gate25_common::verdict::Family;

/// `unmanaged: block` on this interface: 0 pass, 1 block, 2 block and enforce.
#[unsafe(no_mangle)]
pub(crate) static UNMANAGED: Global<u8> = Global::new(0);
/// Set for `replay`: every verdict is left in [`TRACE`], and answers are not limited.
#[unsafe(no_mangle)]
pub(crate) static REPLAY: Global<u8> = Global::new(0);

/// Both generations of a table; the controller fills the idle one before it flips [`ACTIVE`]. An inner map has room
/// for what its policy needs, so the number here is only the template's.
type Generations<T> = ArrayOfMaps<T, 2>;
const TEMPLATE: usize = 1;
const HASH_FLAGS: usize = BPF_F_NO_PREALLOC as usize;

/// Prefixes and cells of both generations, see [`gate25_common::table`]: their first lines,
#[btf_map]
pub(crate) static HEADS: Array<[Line; HEAD], 2, { BPF_F_MMAPABLE as usize }> = Array::new();
/// and all others.
#[btf_map]
pub(crate) static TABLES: Generations<Rest> = Generations::new();
pub(crate) type Rest = Array<Line, TEMPLATE, { (BPF_F_MMAPABLE | BPF_F_INNER_MAP) as usize }>;
/// Which generation is in force.
#[btf_map]
pub(crate) static ACTIVE: Array<Active, 1> = Array::new();

/// Where zones redirect to, by slot: both generations.
#[btf_map]
pub(crate) static TARGETS: Generations<HashMap<u32, Target, TEMPLATE, HASH_FLAGS>> = Generations::new();
/// The ports of all targets that ever were, a bit each.
#[btf_map]
pub(crate) static PORTS: Array<u64, { PORT_WORDS as usize }> = Array::new();
/// Established connections that are redirected.
#[btf_map]
pub(crate) static FLOWS: HashMap<FlowKey, Flow, { FLOW_CAPACITY as usize }, HASH_FLAGS> = HashMap::new();
/// Those before and after that.
#[btf_map]
pub(crate) static HALF_FLOWS: LruHashMap<FlowKey, Flow, { HALF_FLOW_CAPACITY as usize }> = LruHashMap::new();
/// What happened to them, by event.
#[btf_map]
pub(crate) static FLOW_EVENTS: PerCpuArray<u64, 8> = PerCpuArray::new();
/// What the gateway calls itself on this interface.
#[btf_map]
pub(crate) static GATEWAY: Array<Gateway, 1> = Array::new();

/// `not-smtp`, a row a direction and family: packets and octets.
#[btf_map]
pub(crate) static PASSED: PerCpuArray<Passed, 6> = PerCpuArray::new();
/// Everything else, a row a direction and zone slot.
#[btf_map]
pub(crate) static COUNTS: PerCpuArray<ZoneCounts, { 2 * ZONE_SLOTS as usize }> = PerCpuArray::new();
/// Rules by number; the controller makes the entries.
#[btf_map]
pub(crate) static RULES: PerCpuHashMap<u64, RuleCount, { RULE_CAPACITY as usize }, HASH_FLAGS> =
    PerCpuHashMap::new();
/// Answers carried out, by action.
#[btf_map]
pub(crate) static ACTIONS: PerCpuArray<u64, 8> = PerCpuArray::new();
/// Mixed into hashes, so that nobody can aim at a slot; as old as the tables that they are of.
#[btf_map]
pub(crate) static SEED: Array<u64, 1> = Array::new();
/// The newest SYNs, direct-mapped.
#[btf_map]
pub(crate) static RECENT: PerCpuArray<u64, RECENT_SLOTS> = PerCpuArray::new();
pub(crate) const RECENT_SLOTS: usize = 65_536;
/// The newest SYNs that a limit let through, direct-mapped; of all CPUs, for such a SYN takes nothing when it comes again.
#[btf_map]
pub(crate) static ADMITTED: Array<u64, ADMITTED_SLOTS> = Array::new();
pub(crate) const ADMITTED_SLOTS: usize = 65_536;
/// When each bucket of a limit will be full again, see [`gate25_common::limit`].
#[btf_map]
pub(crate) static BUCKETS: LruHashMap<LimitKey, u64, { LIMIT_CAPACITY as usize }> = LruHashMap::new();
/// What counts as one subscriber in IPv6, in bits, by zone slot.
#[btf_map]
pub(crate) static PREFIXES_V6: Array<u32, { ZONE_SLOTS as usize }> = Array::new();

/// Subscribers whose connections were blocked. Nothing is pushed out of it: the controller clears what is old or little.
#[btf_map]
pub(crate) static SUSPECTS: HashMap<SubscriberKey, Suspect, { SUSPECT_CAPACITY as usize }, HASH_FLAGS> =
    HashMap::new();
/// What an entry begins as; nobody writes it. (On the stack there is no room.)
#[btf_map]
pub(crate) static BLANK: Array<Suspect, 1> = Array::new();
/// Until when a CPU does not try to add to [`SUSPECTS`].
#[btf_map]
pub(crate) static FULL_UNTIL: PerCpuArray<u64, 1> = PerCpuArray::new();
/// When a subscriber becomes a suspect.
#[btf_map]
pub(crate) static THRESHOLDS: Array<Thresholds, 1> = Array::new();
/// What the controller is told.
#[btf_map]
pub(crate) static EVENTS: RingBuf<Event, { EVENT_RING as usize }> = RingBuf::new();
/// What it could not be told, for want of room.
#[btf_map]
pub(crate) static EVENTS_LOST: PerCpuArray<u64, 1> = PerCpuArray::new();
/// The bucket of events about subscribers that are in no zone.
#[btf_map]
pub(crate) static STRANGERS: PerCpuArray<u64, 1> = PerCpuArray::new();

/// The bucket of answers.
#[btf_map]
pub(crate) static BUCKET: PerCpuArray<Bucket, 1> = PerCpuArray::new();
/// The last verdict, for `replay`.
#[btf_map]
pub(crate) static TRACE: Array<Trace, 1> = Array::new();

/// What is too large for the stack of 512 octets: a CPU's own, of one packet at a time.
#[btf_map]
pub(crate) static SCRATCH: PerCpuArray<Scratch, 1> = PerCpuArray::new();

/// See [`SCRATCH`].
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Scratch {
    /// The packet, where it is of interest.
    pub(crate) segment: Segment,
    /// What cannot be read.
    pub(crate) malformed: Malformed,
    /// The SYN that it is, if any.
    pub(crate) syn: Syn,
    /// What was decided on it.
    pub(crate) judged: Judged,
    /// A connection that begins.
    pub(crate) flow: Flow,
    /// Whose limit.
    pub(crate) limit: LimitKey,
    /// Who tries.
    pub(crate) subscriber: SubscriberKey,
}

/// See [`SEED`].
#[inline(always)]
pub(crate) fn seed() -> u64 {
    SEED.get(0).copied().unwrap_or_default()
}

/// The CPU's scratch.
#[inline(always)]
pub(crate) fn scratch() -> Option<&'static mut Scratch> {
    // SAFETY: an element of a per-CPU array; nobody else has it while this packet is dealt with, and each field is used by
    // one function.
    SCRATCH.get_ptr_mut(0).map(|scratch| unsafe { &mut *scratch })
}

/// Keeps what was found of the packet, for the function that deals with it. (Where it is kept, its offsets have no bounds.)
#[inline(always)]
pub(crate) fn keep(segment: Segment) -> Option<&'static mut Scratch> {
    let scratch = scratch()?;
    scratch.segment = segment;
    Some(scratch)
}

/// What was kept, of which the verifier knows nothing.
#[inline(always)]
pub(crate) fn kept() -> Option<Segment> {
    scratch().map(|scratch| scratch.segment.bounded())
}

/// A [`Parsed::Malformed`]. (The halves of an enum that are not defined would not pass the verifier.)
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Malformed {
    pub(crate) subscriber: Address,
    /// A [`Family`].
    pub(crate) family: u8,
    pub(crate) known: bool,
}

/// Keeps what is known of what cannot be read.
#[inline(always)]
pub(crate) fn keep_malformed(malformed: Malformed) {
    if let Some(scratch) = scratch() {
        scratch.malformed = malformed;
    }
}

/// What was kept of it.
#[inline(always)]
pub(crate) fn kept_malformed() -> Option<Parsed> {
    let Malformed { subscriber, family, known } = scratch()?.malformed;
    let family = match family {
        0 => Family::Ipv4,
        1 => Family::Ipv6,
        _ => Family::Other,
    };
    Some(Parsed::Malformed { family, subscriber, known })
}

/// A token bucket of one CPU.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Bucket {
    /// Nanoseconds of credit.
    pub(crate) credit: u64,
    /// Monotonic clock of the last refill.
    pub(crate) refilled: u64,
}
