//! Limits of new connections, a bucket a subscriber and limit; all CPUs share it.

use crate::attempts::Syn;
use crate::{atomic, flows, maps};
use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::helpers::generated::bpf_ktime_get_coarse_ns;
use gate25_common::abi::{FlowKey, LimitKey, SubscriberKey};
use gate25_common::address::Address;
use gate25_common::decide::Limit;
use gate25_common::limit::take;

/// How often a bucket is tried that other CPUs take from at the same moment.
const TRIES: usize = 4;

/// What counts as one subscriber in a zone's IPv6, in bits.
#[inline(always)]
pub(crate) fn prefix_v6(zone: u32) -> u32 {
    maps::PREFIXES_V6.get(zone).copied().unwrap_or(64)
}

/// Whether the segment that was kept may pass, for all that a limit says. (A function that the kernel verifies by itself,
/// once.)
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn gate25_admits(of: u64, per_minute: u32, zone: u32, redirects: u32) -> u32 {
    let Some(segment) = maps::kept() else { return 0 };
    let (redirects, syn) = (redirects != 0, Syn::kept());
    if redirects && flows::is_redirected(&segment, &syn) {
        return 0;
    }
    // No limit is 0.
    if !syn.opens() || per_minute == 0 {
        return 1;
    }
    let admitted = admits(segment.subscriber, syn.identity, &Limit { of, per_minute, zone, redirects });
    if admitted && redirects {
        // The port is used anew.
        flows::forget(&FlowKey::new(segment.subscriber, segment.subscriber_port));
    }
    admitted.into()
}

/// Whether a SYN is within a limit. One that was let through before takes nothing.
#[inline(always)]
fn admits(subscriber: Address, identity: u64, limit: &Limit) -> bool {
    let Some(let_through) = maps::ADMITTED.get_ptr_mut((identity >> 1) as u32 % maps::ADMITTED_SLOTS as u32)
    else {
        return false;
    };
    // SAFETY: an element of an array; the word is read and written whole.
    if unsafe { *let_through } == identity {
        return true;
    }
    let Some(scratch) = maps::scratch() else { return false };
    let key = &mut scratch.limit;
    *key = LimitKey { subscriber: SubscriberKey::new(subscriber, prefix_v6(limit.zone)), of: limit.of };
    let admitted = took(key, limit.per_minute);
    if admitted {
        // SAFETY: as above.
        unsafe { *let_through = identity };
    }
    admitted
}

/// Takes one from a bucket.
#[inline(always)]
fn took(key: &LimitKey, per_minute: u32) -> bool {
    // SAFETY: reads a clock.
    let now = unsafe { bpf_ktime_get_coarse_ns() };
    let Some(bucket) = bucket(key) else { return false };
    for _ in 0..TRIES {
        // SAFETY: an element that was found; all CPUs change it only so.
        let full_at = unsafe { bucket.read_volatile() };
        let Some(next) = take(full_at, now, per_minute) else { return false };
        // SAFETY: as above.
        if unsafe { atomic::replace(bucket, full_at, next) } {
            return true;
        }
    }
    false
}

/// The bucket of a key, full if there was none.
#[inline(always)]
fn bucket(key: &LimitKey) -> Option<*mut u64> {
    if let Some(bucket) = maps::BUCKETS.get_ptr_mut(key) {
        return Some(bucket);
    }
    // Another CPU may have made it meanwhile.
    let _ = maps::BUCKETS.insert(key, 0, u64::from(BPF_NOEXIST));
    maps::BUCKETS.get_ptr_mut(key)
}
