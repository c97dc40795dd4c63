//! Capabilities, given up as soon as nothing needs them any more. Threads have their own; each gives up its own.
//!
//! A controller that follows its policy needs those of `KEPT`: it makes maps, loads the program of the way back, attaches
//! to interfaces that return. A start may use some more (`STARTING`) if it has them. Whoever talks to strangers (metrics,
//! the control socket, name servers, probes) needs none.

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};
use tracing::warn;

/// What is needed as long as the controller runs.
const KEPT: CapabilitySet = CapabilitySet::BPF.union(CapabilitySet::NET_ADMIN).union(CapabilitySet::PERFMON);

/// What a start may use besides: to give the control socket to its group, to listen below port 1024, to say which process
/// holds what it needs, and to find what programs that run have and nobody pinned.
const STARTING: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_PTRACE)
    .union(CapabilitySet::SYS_ADMIN);

/// Before a start: keeps what that may need. No thread that is made after this can get back the rest.
pub fn prepare() {
    let keep = permitted() & (KEPT | STARTING);
    let limited = set_no_new_privs(true).and_then(|()| clear_ambient_capability_set());
    for capability in CapabilitySet::all().difference(KEPT) {
        // Only root may, and it is enough that no new privileges are gained.
        let _ = remove_capability_from_bounding_set(capability);
    }
    tell(limited.and_then(|()| limit(keep)));
}

/// Behind a start: this thread keeps what the controller needs.
pub fn keep() {
    let permitted = permitted();
    // Before Linux 5.8 that was all of them, and some containers still have it in their place.
    let instead = if permitted.contains(KEPT) { CapabilitySet::empty() } else { CapabilitySet::SYS_ADMIN };
    tell(limit(permitted & (KEPT | instead)));
}

/// This thread needs none.
pub fn drop_all() {
    tell(limit(CapabilitySet::empty()));
}

fn permitted() -> CapabilitySet {
    capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.permitted)
}

fn limit(to: CapabilitySet) -> rustix::io::Result<()> {
    set_capabilities(
        None,
        CapabilitySets { effective: to, permitted: to, inheritable: CapabilitySet::empty() },
    )
}

fn tell(limited: rustix::io::Result<()>) {
    if let Err(error) = limited {
        warn!("capabilities: {error}: more are kept than needed");
    }
}
