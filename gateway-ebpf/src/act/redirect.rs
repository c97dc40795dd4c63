//! A blocked connection led to another server: the destination is rewritten, and the kernel routes the packet there. The
//! way back is [`crate::toward::restore`]'s.

use crate::flows::{self, Entry};
use crate::frame::Linear;
use crate::judged::Judged;
use crate::lookup::Generation;
use crate::maps;
use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::generated::bpf_ktime_get_coarse_ns;
use aya_ebpf::programs::XdpContext;
use gate25_common::abi::{Active, Flow, FlowKey};
use gate25_common::address::Address;
use gate25_common::answer::redirectable;
use gate25_common::checksum::{address_sum, mended};
use gate25_common::flow::opens;
use gate25_common::frame::Bytes;
use gate25_common::parse::{SMTP, Segment};
use gate25_common::verdict::FlowEvent;

/// What became of a packet that the policy wants redirected.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Outcome {
    /// It has another destination now, and may pass.
    Redirected,
    /// It cannot be: it is to be reset.
    Refused,
    /// It is of no connection that was redirected, or not whole.
    Stray,
}

/// Leads the segment that was kept to its zone's target, or says what would become of it: an [`Outcome`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn gate25_redirect(ctx: *mut xdp_md, active: u32) -> u32 {
    let frame = &Linear::of_xdp(&XdpContext::new(ctx));
    let outcome = match (&maps::kept(), &Judged::kept()) {
        (Some(segment), Some(judged)) if judged.enforced() => {
            forward(frame, segment, judged, &Generation::of(Active(active)))
        }
        (Some(segment), _) => would(frame, segment),
        _ => Outcome::Stray,
    };
    outcome as u32
}

/// Leads the packet to the zone's target.
#[inline(always)]
fn forward(frame: &Linear, segment: &Segment, judged: &Judged, generation: &Generation) -> Outcome {
    let Some(header) = redirectable(frame, segment) else { return Outcome::Stray };
    let key = FlowKey::new(segment.subscriber, segment.subscriber_port);
    // SAFETY: reads a clock.
    let now = unsafe { bpf_ktime_get_coarse_ns() };
    let entry = flows::find(&key);
    let is_ipv6 = segment.subscriber.is_ipv6();
    let (address, port) = if opens(header[13]) {
        let Some((address, port)) = generation.target(judged.zone, is_ipv6) else { return Outcome::Refused };
        match entry {
            Some(entry) if is_again(&entry, segment, address, port) => {
                // SAFETY: an element that was found.
                let flow = unsafe { &mut *entry.flow };
                (flow.seen, flow.sequence) = (now, sequence(&header));
            }
            Some(entry) if !gives_way(&entry, segment, now) => {
                flows::count(FlowEvent::Conflict);
                return Outcome::Refused;
            }
            entry => {
                let Some(flow) = new(segment, judged, &header, (address, port), now) else {
                    return Outcome::Refused;
                };
                flows::open(&key, flow, entry.is_some_and(|entry| entry.established));
                flows::count(FlowEvent::Opened);
            }
        }
        (address, port)
    } else {
        let Some(entry) = entry else {
            let has_target = generation.target(judged.zone, is_ipv6).is_some();
            return if has_target { stray() } else { Outcome::Refused };
        };
        // SAFETY: an element that was found.
        let flow = unsafe { &mut *entry.flow };
        if !flow.is_with(segment.remote) {
            return stray();
        }
        let target = (Address::from_words(flow.target, is_ipv6), flow.target_port);
        let acknowledgement = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
        let step = flow.heard_subscriber(header[13], acknowledgement, now);
        if flows::carry_out(step, &key, &entry).is_none() {
            return Outcome::Refused;
        }
        target
    };
    match rewrite(frame, segment, &header, address, port) {
        Some(()) => Outcome::Redirected,
        None => Outcome::Stray,
    }
}

/// Whether a SYN is of the very connection that the entry was made for.
#[inline(always)]
fn is_again(entry: &Entry, segment: &Segment, address: Address, port: u16) -> bool {
    // SAFETY: an element that was found.
    let flow = unsafe { &*entry.flow };
    flow.is_with(segment.remote)
        && flow.target == address.words()
        && flow.target_port == port
        && !flow.is_closing()
}

/// Whether the connection of an entry may be forgotten for another one from the same port.
#[inline(always)]
fn gives_way(entry: &Entry, segment: &Segment, now: u64) -> bool {
    // SAFETY: an element that was found.
    let flow = unsafe { &*entry.flow };
    flow.is_with(segment.remote) || flow.gives_way(entry.established, now)
}

/// A packet that may pass, and is headed for the very server that others are redirected to: at that server a redirected
/// connection from the same port could not be told from this one. So this one has an entry too, and takes the place of
/// one that was redirected, whose next packet is then dropped.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn gate25_note_direct(ctx: *mut xdp_md, active: u32) -> u32 {
    if let (Some(segment), Some(judged)) = (&maps::kept(), &Judged::kept()) {
        let frame = &Linear::of_xdp(&XdpContext::new(ctx));
        note_direct(frame, segment, judged, &Generation::of(Active(active)));
    }
    0
}

#[inline(always)]
fn note_direct(frame: &Linear, segment: &Segment, judged: &Judged, generation: &Generation) {
    let Some((address, port)) = generation.target(judged.zone, segment.subscriber.is_ipv6()) else { return };
    if address.words() != segment.remote.words() || port != SMTP || segment.transport + 14 > segment.end {
        return;
    }
    let Some(header) = frame.read::<14>(segment.transport) else { return };
    let key = FlowKey::new(segment.subscriber, segment.subscriber_port);
    // SAFETY: reads a clock.
    let now = unsafe { bpf_ktime_get_coarse_ns() };
    if opens(header[13]) {
        if let Some(Entry { flow, .. }) = flows::find(&key) {
            // SAFETY: an element that was found.
            let flow = unsafe { &*flow };
            if !flow.is_direct() && !flow.is_over() {
                flows::count(FlowEvent::Conflict);
            }
        }
        if let Some(flow) = new(segment, judged, &header, (address, port), now) {
            flows::open(&key, flow, true);
        }
    } else if let Some(Entry { flow, .. }) = flows::find(&key) {
        // SAFETY: an element that was found.
        let flow = unsafe { &mut *flow };
        if flow.is_direct() && flow.is_with(segment.remote) {
            // It stays among those that may give way: only a redirected connection is lost with its entry.
            let _ = flow.heard_subscriber(header[13], 0, now);
        }
    }
}

#[inline(always)]
fn sequence<const N: usize>(header: &[u8; N]) -> u32 {
    u32::from_be_bytes([header[4], header[5], header[6], header[7]])
}

/// The entry of a connection that begins, in the scratch.
#[inline(always)]
fn new<const N: usize>(
    segment: &Segment,
    judged: &Judged,
    header: &[u8; N],
    (target, target_port): (Address, u16),
    now: u64,
) -> Option<&'static Flow> {
    let flow = &mut maps::scratch()?.flow;
    *flow = Flow {
        remote: segment.remote.words(),
        target: target.words(),
        rule: judged.rule,
        seen: now,
        acknowledges: 0,
        sequence: sequence(header),
        zone: judged.zone,
        target_port,
        reason: judged.reason(),
        action: judged.action(),
        from_subscriber: 0,
        from_target: 0,
        padding: [0; 6],
    };
    Some(flow)
}

/// What would become of a packet, were the zone to enforce: connections are not followed, so that only the first packet
/// is known to be of one. Nobody sees this but `replay`.
#[inline(always)]
fn would(frame: &Linear, segment: &Segment) -> Outcome {
    if maps::REPLAY.load() == 0 || redirectable(frame, segment).is_some_and(|header| opens(header[13])) {
        Outcome::Redirected
    } else {
        Outcome::Stray
    }
}

#[inline(always)]
fn stray() -> Outcome {
    flows::count(FlowEvent::Stray);
    Outcome::Stray
}

/// Destination address and port, with the checksums that cover them. `None` where they are not in the linear part.
#[inline(always)]
fn rewrite(frame: &Linear, segment: &Segment, header: &[u8; 20], target: Address, port: u16) -> Option<()> {
    let [to, port] = [&header[2..4], &port.to_be_bytes()].map(|port| [port[0], port[1]]);
    let sum = |port: [u8; 2], address| u64::from(u16::from_ne_bytes(port)) + address_sum(address);
    let checksum = mended([header[16], header[17]], sum(to, segment.remote), sum(port, target));
    // The last part first: where it has room, all has.
    frame.write(segment.transport + 16, checksum)?;
    frame.write(segment.transport + 2, port)?;
    if segment.subscriber.is_ipv6() {
        let [high, low] = target.ipv6_halves();
        frame.write(segment.network + 24, high)?;
        frame.write(segment.network + 32, low)
    } else {
        let before = frame.read(segment.network + 10)?;
        let checksum = mended(before, address_sum(segment.remote), address_sum(target));
        frame.write(segment.network + 10, checksum)?;
        frame.write(segment.network + 16, target.ipv4_octets())
    }
}
