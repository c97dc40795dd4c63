//! New connections: which SYNs are new, what each subscriber tried in vain, and what the controller is told of it.

use crate::judged::Judged;
use crate::{atomic, limits, maps};
use aya_ebpf::bindings::{BPF_NOEXIST, xdp_md};
use aya_ebpf::helpers::generated::bpf_ktime_get_coarse_ns;
use aya_ebpf::programs::XdpContext;
use gate25_common::abi::{NO_ZONE, SubscriberKey, Suspect};
use gate25_common::answer::TO_FLAGS;
use gate25_common::limit::spend;
use gate25_common::parse::Segment;
use gate25_common::suspect::{OVER, QUIET, hash, mix};
use gate25_common::verdict::EventKind;

/// Events a second and CPU of subscribers that are in no zone, and so not kept.
const STRANGERS: u64 = 100;
const SECOND: u64 = 1_000_000_000;
/// What the kernel says of a hash that has no room.
const E2BIG: i32 = -7;
/// How long a CPU then takes nobody new: an instant of a controller's, which makes room.
const PAUSE: u64 = SECOND / 100;

/// A packet that opens a connection, if it is one.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Syn {
    /// What makes it the same one again: addresses, port and sequence number. 0: it opens no connection.
    pub(crate) identity: u64,
    /// Host byte order.
    pub(crate) sequence: u32,
}

impl Syn {
    /// No such packet.
    pub(crate) const NONE: Self = Self { identity: 0, sequence: 0 };

    /// Of a SYN without ACK.
    #[inline(always)]
    pub(crate) fn new(header: &[u8; TO_FLAGS], segment: &Segment) -> Self {
        let sequence = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        let mut hash = mix(maps::seed(), u64::from(sequence) << 16 | u64::from(segment.subscriber_port));
        for word in segment.subscriber.words().into_iter().chain(segment.remote.words()) {
            hash = mix(hash, word);
        }
        Self { identity: hash | 1, sequence }
    }

    /// Leaves it for functions that are called.
    #[inline(always)]
    pub(crate) fn keep(self) {
        if let Some(scratch) = maps::scratch() {
            scratch.syn = self;
        }
    }

    /// What was kept.
    #[inline(always)]
    pub(crate) fn kept() -> Self {
        maps::scratch().map_or(Self::NONE, |scratch| scratch.syn)
    }

    /// Whether it is one.
    #[inline(always)]
    pub(crate) fn opens(&self) -> bool {
        self.identity != 0
    }

    /// Whether it is new: not the one that its slot holds.
    #[inline(always)]
    pub(crate) fn is_new(&self) -> bool {
        let place = (self.identity >> 1) as u32 % maps::RECENT_SLOTS as u32;
        if !self.opens() {
            return false;
        }
        let Some(slot) = maps::RECENT.get_ptr_mut(place) else { return true };
        // SAFETY: an element of a per-CPU array.
        let before = unsafe { core::mem::replace(&mut *slot, self.identity) };
        before != self.identity
    }
}

/// A new connection was blocked, whether or not that was carried out: that of the segment that was kept.
#[inline(always)]
pub(crate) fn blocked(ctx: &XdpContext, judged: Judged) {
    judged.keep();
    gate25_blocked(ctx.ctx);
}

/// The same, as a function that the kernel verifies by itself, once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn gate25_blocked(ctx: *mut xdp_md) -> u32 {
    if let (Some(segment), Some(judged)) = (&maps::kept(), &Judged::kept()) {
        remember(&XdpContext::new(ctx), segment, judged);
    }
    0
}

#[inline(always)]
fn remember(ctx: &XdpContext, segment: &Segment, judged: &Judged) {
    // SAFETY: reads a clock.
    let now = unsafe { bpf_ktime_get_coarse_ns() };
    let attempts = if judged.zone == NO_ZONE { stranger(now) } else { subscriber(ctx, segment, judged, now) };
    if let Some(attempts) = attempts {
        tell(ctx, segment, judged, now, (EventKind::Blocked, segment.subscriber.words(), attempts));
    }
}

/// Counts an attempt of a zone's subscriber. `Some` where it may be told now: how many attempts that is.
#[inline(always)]
fn subscriber(ctx: &XdpContext, segment: &Segment, judged: &Judged, now: u64) -> Option<u64> {
    let key = &mut maps::scratch()?.subscriber;
    *key = SubscriberKey::new(segment.subscriber, limits::prefix_v6(judged.zone));
    let Some(entry) = entry(key, now) else {
        lost();
        return None;
    };
    let thresholds = maps::THRESHOLDS.get(0).copied().unwrap_or_default();
    // SAFETY: an element that was found; several CPUs add to this field at once, and only so.
    unsafe { atomic::add(&raw mut (*entry).attempts, 1) };
    // SAFETY: the other fields are integers; where CPUs meet, the newer word stays.
    let suspect = unsafe { &mut *entry };
    suspect.heard(now, hash(segment.remote, maps::seed()), thresholds.within);
    (suspect.zone, suspect.reason, suspect.action) = (judged.zone, judged.reason(), judged.action());
    suspect.enforced = u8::from(judged.enforced());
    if suspect.is_over(&thresholds) {
        report(ctx, segment, judged, key, entry, now);
    }
    suspect.tell(now)
}

/// The subscriber's entry, new if there is none. `None`: the table is full, or was changed at this very moment.
#[inline(always)]
fn entry(key: &SubscriberKey, now: u64) -> Option<*mut Suspect> {
    if let Some(entry) = maps::SUSPECTS.get_ptr_mut(key) {
        return Some(entry);
    }
    // Under a flood of forged sources, all that is learnt of each is that there is no room: no lock is taken for that.
    let full_until = maps::FULL_UNTIL.get_ptr_mut(0)?;
    // SAFETY: an element of a per-CPU array.
    if now < unsafe { *full_until } {
        return None;
    }
    let blank = maps::BLANK.get(0)?;
    match maps::SUSPECTS.insert(key, blank, u64::from(BPF_NOEXIST)) {
        Err(E2BIG) => {
            // SAFETY: as above.
            unsafe { *full_until = now + PAUSE };
            None
        }
        // Another CPU may have made it meanwhile.
        _ => maps::SUSPECTS.get_ptr_mut(key),
    }
}

/// The subscriber is over the thresholds: that is told once.
#[inline(always)]
fn report(
    ctx: &XdpContext,
    segment: &Segment,
    judged: &Judged,
    key: &SubscriberKey,
    entry: *mut Suspect,
    now: u64,
) {
    // SAFETY: an element that was found.
    let suspect = unsafe { &*entry };
    let (before, attempts) = (suspect.standing, suspect.in_window());
    // SAFETY: as above; whoever changes it tells.
    let first = before != OVER && unsafe { atomic::replace(&raw mut (*entry).standing, before, OVER) };
    if first && before == QUIET {
        tell(ctx, segment, judged, now, (EventKind::Suspect, key.words, attempts));
    }
}

/// As many a second as one likes to read.
#[inline(always)]
fn stranger(now: u64) -> Option<u64> {
    let told = maps::STRANGERS.get_ptr_mut(0)?;
    // SAFETY: an element of a per-CPU array.
    let told = unsafe { &mut *told };
    match spend(*told, now, SECOND / STRANGERS, SECOND) {
        Some(next) => {
            *told = next;
            Some(1)
        }
        None => {
            lost();
            None
        }
    }
}

#[inline(always)]
fn tell(
    ctx: &XdpContext,
    segment: &Segment,
    judged: &Judged,
    now: u64,
    (kind, subscriber, attempts): (EventKind, [u64; 2], u64),
) {
    let Some(mut place) = maps::EVENTS.reserve(0) else {
        lost();
        return;
    };
    // SAFETY: room for one, which is wholly written; made on the stack it would not fit there.
    unsafe {
        let event = place.as_mut_ptr();
        (*event).time = now;
        (*event).subscriber = subscriber;
        (*event).remote = segment.remote.words();
        (*event).rule = judged.rule;
        (*event).attempts = attempts;
        (*event).interface = (*ctx.ctx).ingress_ifindex;
        (*event).zone = judged.zone;
        (*event).subscriber_port = segment.subscriber_port;
        (*event).kind = kind as u8;
        (*event).is_ipv6 = u8::from(segment.subscriber.is_ipv6());
        (*event).reason = judged.reason();
        (*event).action = judged.action();
        (*event).enforced = u8::from(judged.enforced());
        (*event).padding = 0;
    }
    place.submit(0);
}

/// Nobody will read of it.
#[inline(always)]
fn lost() {
    if let Some(lost) = maps::EVENTS_LOST.get_ptr_mut(0) {
        // SAFETY: an element of a per-CPU array.
        unsafe { *lost += 1 };
    }
}
