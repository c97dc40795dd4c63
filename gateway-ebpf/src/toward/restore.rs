//! The source of a redirected connection's answers, as the subscriber knows it. The kernel's helpers mend checksums that are
//! finished, and those that the interface is still to finish.

use crate::flows::{self, Entry};
use crate::frame::{load, store};
use aya_ebpf::bindings::BPF_F_PSEUDO_HDR;
use aya_ebpf::helpers::generated::bpf_l4_csum_replace;
use aya_ebpf::programs::TcContext;
use gate25_common::abi::{Flow, FlowKey};
use gate25_common::address::Address;
use gate25_common::answer::TO_FLAGS;
use gate25_common::checksum::{address_sum, difference, mended};
use gate25_common::parse::{SMTP, Segment};

/// Whom the subscriber believes to hear, if the packet is of a redirected connection.
#[inline(always)]
pub(super) fn original(segment: &Segment, header: &[u8; TO_FLAGS]) -> Option<Address> {
    if segment.fragment {
        return None;
    }
    let key = FlowKey::new(segment.subscriber, segment.subscriber_port);
    let entry = flows::find(&key)?;
    // SAFETY: an element that was found.
    let flow = unsafe { &mut *entry.flow };
    let remote = told(flow, segment.remote, segment.remote_port)?;
    let sequence = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    let acknowledgement = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
    if !flow.is_answered_by(header[13], acknowledgement) {
        flows::forget(&key);
        return None;
    }
    let step = flow.heard_target(header[13], sequence);
    let _ = flows::carry_out(step, &key, &entry);
    (!flow.is_direct()).then_some(remote)
}

/// Whom the subscriber of a connection believes to hear where it hears `target`.
#[inline(always)]
fn told(flow: &Flow, target: Address, port: u16) -> Option<Address> {
    let is_it = flow.target == target.words() && flow.target_port == port;
    is_it.then(|| Address::from_words(flow.remote, target.is_ipv6()))
}

/// The same for a packet to the target that somebody quotes.
#[inline(always)]
pub(super) fn quoted(subscriber: Address, port: u16, target: Address, target_port: u16) -> Option<Address> {
    let Entry { flow, .. } = flows::find(&FlowKey::new(subscriber, port))?;
    // SAFETY: an element that was found.
    told(unsafe { &*flow }, target, target_port)
}

/// Overwrites source address and port. `None` where the packet is half changed, and must not go on.
#[inline(always)]
pub(super) fn write(ctx: &TcContext, segment: &Segment, original: Address) -> Option<()> {
    let port = SMTP.to_be_bytes();
    let address = difference(address_sum(segment.remote), address_sum(original));
    let ports = difference(word(segment.remote_port.to_be_bytes()), word(port));
    mend(ctx, segment.transport + 16, address, ports)?;
    store(ctx, segment.transport, &port)?;
    if original.is_ipv6() {
        return store(ctx, segment.network + 8, &original.words());
    }
    let checksum = mended(load(ctx, segment.network + 10)?, 0, address);
    store(ctx, segment.network + 10, &checksum)?;
    store(ctx, segment.network + 12, &original.ipv4_octets())
}

/// The TCP checksum, for what addresses and ports gain. One that the interface is still to finish covers addresses alone;
/// which it is only the kernel's helpers know.
#[inline(always)]
fn mend(ctx: &TcContext, offset: usize, address: u64, ports: u64) -> Option<()> {
    if offset & 1 == 1 {
        // Behind a PPP protocol of one octet, where the helpers refuse to work; no stack of ours sends that.
        return store(ctx, offset, &mended(load(ctx, offset)?, 0, address + ports));
    }
    let (skb, offset) = (ctx.skb.skb, offset as u32);
    // SAFETY: helpers on the program's own context; they check their bounds.
    let status = unsafe {
        bpf_l4_csum_replace(skb, offset, 0, address, u64::from(BPF_F_PSEUDO_HDR))
            | bpf_l4_csum_replace(skb, offset, 0, ports, 0)
    };
    (status == 0).then_some(())
}

#[inline(always)]
fn word(octets: [u8; 2]) -> u64 {
    u64::from(u16::from_ne_bytes(octets))
}
