//! Attaching, and what outlives us: links.

use super::fault::Fault;
use super::netlink::{self, Attached, Interface};
use super::object;
use super::pins::{self, Pins};
use super::sys;
use aya::Ebpf;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Where in the kernel the program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum XdpMode {
    /// In the driver.
    #[default]
    Native,
    /// In the stack: any interface, at a price.
    Generic,
}

impl XdpMode {
    /// The word of the configuration and the metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }

    /// `XDP_FLAGS_DRV_MODE`, `XDP_FLAGS_SKB_MODE` of `linux/if_link.h`.
    const fn flags(self) -> u32 {
        match self {
            Self::Native => 1 << 2,
            Self::Generic => 1 << 1,
        }
    }
}

/// A program on an interface. Dropping it changes nothing: the pin holds the link, the link the program.
#[derive(Debug)]
pub struct Attachment {
    name: String,
    link: OwnedFd,
    /// The link is new, not one that an earlier controller left.
    fresh: bool,
}

/// Whether an interface can be attached to, as far as that is known without trying; so that a start that cannot succeed
/// does not begin. True if an earlier controller left its program there.
pub fn look(name: &str, mode: XdpMode, pins: &Pins) -> Result<bool, Fault> {
    place(name, mode, pins).map(|place| matches!(place, Place::Ours(_)))
}

/// Attaches a loaded program, or puts it in the place of the one that an earlier controller left there.
pub fn attach(ebpf: &mut Ebpf, name: &str, mode: XdpMode, pins: &Pins) -> Result<Attachment, Fault> {
    let program = object::xdp(ebpf)?.fd().map_err(|error| Fault::kernel("program", error))?.try_clone();
    let program = program.map_err(|error| Fault::kernel("program", error))?;
    let failed = |error: std::io::Error| Fault::kernel(format!("link of {name}"), error);
    let (link, fresh) = match place(name, mode, pins)? {
        Place::Ours(link) => {
            sys::link_update(link.as_fd(), program.as_fd()).map_err(failed)?;
            (link, false)
        }
        Place::Free { interface } => {
            let link = sys::link_create(program.as_fd(), interface, mode.flags())
                .map_err(|error| refused(name, mode, &error))?;
            // A link whose interface is gone may still be pinned there.
            let _ = fs::remove_file(pins.link(name));
            sys::pin(link.as_fd(), &pins.link(name)).map_err(failed)?;
            (link, true)
        }
    };
    let attachment = Attachment { name: name.to_owned(), link, fresh };
    match pin_program(program.as_fd(), name, pins) {
        Ok(()) => Ok(attachment),
        Err(fault) => {
            attachment.undo(pins);
            Err(fault)
        }
    }
}

/// What is on an interface.
enum Place {
    /// The link that an earlier controller left.
    Ours(OwnedFd),
    /// Nothing.
    Free {
        /// Its index.
        interface: u32,
    },
}

fn place(name: &str, mode: XdpMode, pins: &Pins) -> Result<Place, Fault> {
    let interface = netlink::interface(name)?;
    if let Ok(link) = sys::open(&pins.link(name)) {
        let joined =
            sys::link(link.as_fd()).map_err(|error| Fault::kernel(format!("link of {name}"), error))?;
        match &interface.attached {
            Some(attached) if is_here(joined, &interface) => {
                if attached.mode == mode {
                    return Ok(Place::Ours(link));
                }
                let cause = format!("is attached in {} mode already", attached.mode.label());
                let remedy = "`gate25 detach` first, which stops enforcing";
                return Err(Fault::new("interface", name, cause, remedy));
            }
            _ if joined.interface != 0 => {
                let cause = format!("is attached to another {name}, of another network namespace");
                let remedy = "give each network namespace a `pin` of its own";
                return Err(Fault::new("pin", pins.link(name).display(), cause, remedy));
            }
            _ => {}
        }
    }
    match &interface.attached {
        Some(attached) => Err(occupied(name, attached)),
        None => Ok(Place::Free { interface: interface.index }),
    }
}

/// Whether a link is on that very interface: an index alone may be another one's, in another network namespace.
fn is_here(joined: sys::Link, interface: &Interface) -> bool {
    let attached = interface.attached.as_ref();
    joined.interface == interface.index && attached.is_some_and(|attached| attached.program == joined.program)
}

/// In the place of an earlier one. The link holds the program, so nothing is without it meanwhile.
fn pin_program(program: BorrowedFd<'_>, name: &str, pins: &Pins) -> Result<(), Fault> {
    let at = pins.program(name);
    let _ = fs::remove_file(&at);
    sys::pin(program, &at).map_err(|error| Fault::kernel(at.display(), error))
}

fn occupied(name: &str, attached: &Attached) -> Fault {
    let cause = format!("has another XDP program: {attached}");
    Fault::new(
        "interface",
        name,
        cause,
        format!("take it off first, as `ip link set dev {name} xdp off` does"),
    )
}

fn refused(name: &str, mode: XdpMode, error: &std::io::Error) -> Fault {
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

impl Attachment {
    /// The interface.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Why nothing is enforced on the interface, or `None` while all is well.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let interface = match netlink::interface(&self.name) {
            Ok(interface) => interface,
            Err(fault) => return Some(fault.to_string()),
        };
        match sys::link(self.link.as_fd()) {
            Ok(joined) if is_here(joined, &interface) => None,
            Ok(sys::Link { interface: 0, .. }) => Some(format!(
                "interface: {}: the program was detached (start gate25 again to enforce)",
                self.name
            )),
            Ok(_) => Some(format!("interface: {}: was made anew (start gate25 again to enforce)", self.name)),
            Err(error) => Some(Fault::kernel(format!("link of {}", self.name), error).to_string()),
        }
    }

    /// Takes back an attachment that is fresh, because another one failed; an old one goes on.
    pub fn undo(self, pins: &Pins) {
        if self.fresh {
            let _ = sys::link_detach(self.link.as_fd());
            let _ = fs::remove_file(pins.link(&self.name));
            let _ = fs::remove_file(pins.program(&self.name));
        }
    }
}

/// Detaches every link that is pinned; the names of their interfaces.
pub fn detach_all(pins: &Pins) -> Result<Vec<String>, Fault> {
    let Ok(links) = fs::read_dir(pins.links()) else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for file in links.flatten() {
        detach_link(&file.path())?;
        names.push(pins::decode(&file.file_name().to_string_lossy()));
    }
    names.sort();
    Ok(names)
}

/// Detaches a pinned link, of whatever kind, and removes the pin.
pub(super) fn detach_link(pin: &Path) -> Result<(), Fault> {
    let failed = |error| Fault::kernel(pin.display(), error);
    let link = sys::open(pin).map_err(failed)?;
    match sys::link_detach(link.as_fd()) {
        // The interface is gone already.
        Err(error) if error.raw_os_error() == Some(Errno::NOLINK.raw_os_error()) => {}
        result => result.map_err(failed)?,
    }
    fs::remove_file(pin).map_err(failed)
}
