//! The tables of redirected connections: established ones, and those before and after that.

use crate::attempts::Syn;
use crate::maps;
use aya_ebpf::bindings::BPF_NOEXIST;
use gate25_common::abi::{Flow, FlowKey};
use gate25_common::flow::Move;
use gate25_common::parse::Segment;
use gate25_common::verdict::FlowEvent;

/// An entry, in place.
pub(crate) struct Entry {
    pub(crate) flow: *mut Flow,
    pub(crate) established: bool,
}

/// Looks for a connection.
#[inline(always)]
pub(crate) fn find(key: &FlowKey) -> Option<Entry> {
    match maps::FLOWS.get_ptr_mut(key) {
        Some(flow) => Some(Entry { flow, established: true }),
        None => maps::HALF_FLOWS.get_ptr_mut(key).map(|flow| Entry { flow, established: false }),
    }
}

/// Whether a packet that is allowed is of a connection that was redirected all the same: it was over a limit when it began.
#[inline(always)]
pub(crate) fn is_redirected(segment: &Segment, syn: &Syn) -> bool {
    let Some(entry) = find(&FlowKey::new(segment.subscriber, segment.subscriber_port)) else { return false };
    // SAFETY: an element that was found.
    let flow = unsafe { &*entry.flow };
    !flow.is_direct() && flow.is_with(segment.remote) && (!syn.opens() || flow.sequence == syn.sequence)
}

/// Makes the entry of a connection that begins, in the place of one that is over.
#[inline(always)]
pub(crate) fn open(key: &FlowKey, flow: &Flow, may_be_established: bool) {
    if may_be_established {
        let _ = maps::FLOWS.remove(key);
    }
    let _ = maps::HALF_FLOWS.insert(key, flow, 0);
}

/// Forgets a connection that has ended, for the subscriber uses its port for another one.
#[inline(always)]
pub(crate) fn forget(key: &FlowKey) {
    let _ = maps::FLOWS.remove(key);
    let _ = maps::HALF_FLOWS.remove(key);
}

/// Moves an entry. `None` where there is no room among the established ones.
#[inline(always)]
pub(crate) fn carry_out(step: Move, key: &FlowKey, entry: &Entry) -> Option<()> {
    // SAFETY: an element that was found; its fields are integers, and each has one writer.
    let flow = unsafe { &*entry.flow };
    match step {
        Move::Establish if !entry.established => {
            if maps::FLOWS.insert(key, flow, u64::from(BPF_NOEXIST)).is_err() {
                let _ = maps::HALF_FLOWS.remove(key);
                count(FlowEvent::Full);
                return None;
            }
            let _ = maps::HALF_FLOWS.remove(key);
            count(FlowEvent::Established);
        }
        Move::Close if entry.established => {
            let _ = maps::HALF_FLOWS.insert(key, flow, 0);
            let _ = maps::FLOWS.remove(key);
        }
        _ => {}
    }
    Some(())
}

/// Counts what happened to a connection.
#[inline(always)]
pub(crate) fn count(event: FlowEvent) {
    if let Some(count) = maps::FLOW_EVENTS.get_ptr_mut(event as u32) {
        // SAFETY: an element of a per-CPU array.
        unsafe { *count += 1 };
    }
}
