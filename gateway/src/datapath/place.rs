//! What is on an interface, and why nothing of ours can be.

use super::attach::XdpMode;
use super::fault::Fault;
use super::holders;
use super::netlink::{self, Attached, Interface};
use super::object;
use super::pins::Pins;
use super::sys::{self, Hook};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};

/// What is on an interface.
pub(super) enum Place {
    /// The link that an earlier controller left.
    Ours(OwnedFd),
    /// Nothing.
    Free {
        /// Its index.
        interface: u32,
    },
}

/// What is on the interface of that name, and whether ours can be.
pub(super) fn place(name: &str, mode: XdpMode, pins: &Pins) -> Result<Place, Fault> {
    let interface = netlink::interface(name)?;
    let pin = pins.link(name);
    let strange =
        |cause: &str| Fault::new("pin", pin.display(), cause, "remove it, or move it to where it belongs");
    if let Some(link) = sys::open_if_there(&pin).map_err(|error| strange(&error.to_string()))? {
        let joined =
            sys::link(link.as_fd(), Hook::Xdp).map_err(|_| strange("is not the link of an XDP program"))?;
        match &interface.attached {
            Some(attached) if is_here(joined, &interface) => {
                if attached.mode == mode {
                    return Ok(Place::Ours(link));
                }
                let cause = format!("is attached in {} mode already", attached.mode.label());
                let remedy = "`gate25 detach` first, which stops enforcing";
                return Err(Fault::new("interface", name, cause, remedy));
            }
            _ if joined.interface == 0 => {}
            _ => {
                if let Some((other, found)) = netlink::interface_at(joined.interface)
                    && is_here(joined, &found)
                {
                    return Err(strange(&format!("is the link of {other}, not of {name}")));
                }
                let cause = format!("is attached to another {name}, of another network namespace");
                let remedy = "give each network namespace a `pin` of its own";
                return Err(Fault::new("pin", pin.display(), cause, remedy));
            }
        }
    }
    match &interface.attached {
        Some(attached) => Err(occupied(name, attached)),
        None => Ok(Place::Free { interface: interface.index }),
    }
}

/// Whether a link is on that very interface: an index alone may be another one's, in another network namespace.
pub(super) fn is_here(joined: sys::Link, interface: &Interface) -> bool {
    let attached = interface.attached.as_ref();
    joined.interface == interface.index && attached.is_some_and(|attached| attached.program == joined.program)
}

fn occupied(name: &str, attached: &Attached) -> Fault {
    if attached.name().as_deref() == Some(object::XDP) {
        let at = holders::describe(attached.program);
        let cause = format!("has the program of another gate25: {attached}{at}");
        let remedy = "`gate25 detach` with the `pin` of that one first";
        return Fault::new("interface", name, cause, remedy);
    }
    let cause = format!("has another XDP program: {attached}");
    Fault::new(
        "interface",
        name,
        cause,
        format!("take it off first, as `ip link set dev {name} xdp off` does"),
    )
}

/// Why the kernel does not take the link.
pub(super) fn refused(name: &str, mode: XdpMode, error: &std::io::Error) -> Fault {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::OPNOTSUPP) if mode == XdpMode::Native => {
            let remedy = "use a driver that has, or accept the cost of `mode: generic`";
            Fault::new("interface", name, "its driver has no native XDP", remedy)
        }
        Some(Errno::BUSY | Errno::EXIST) => {
            let remedy = format!("`ip -details link show {name}` names it; take it off first");
            Fault::new("interface", name, "has another XDP program", remedy)
        }
        Some(Errno::PERM | Errno::ACCESS) => Fault::kernel(format!("link of {name}"), error),
        _ => {
            let remedy = "the driver says why in the kernel log: MTU, offloads (LRO) or queues, mostly";
            Fault::new("interface", name, format!("the kernel refuses the program: {error}"), remedy)
        }
    }
}
