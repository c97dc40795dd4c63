//! Attaching, and what outlives us: links.

use super::fault::Fault;
use super::netlink;
use super::object;
use super::pins::Pins;
use super::place::{Place, is_here, place, refused};
use super::sys::{self, Hook};
use aya::Ebpf;
use serde::{Deserialize, Serialize};
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};
use tracing::warn;

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
    mode: XdpMode,
    link: OwnedFd,
    program: OwnedFd,
    /// How a start that fails takes it back.
    before: Before,
    /// The kernel refused it then, for this reason.
    refused: Option<(Instant, Fault)>,
}

/// What was on an interface before a start.
#[derive(Debug)]
enum Before {
    Nothing,
    Program(OwnedFd),
    /// The start is over.
    Settled,
}

/// How it stands with an attachment.
#[derive(Debug)]
pub enum State {
    /// It is as it should be.
    Attached,
    /// Nothing is on the interface of that index, and ours belongs there.
    Free(u32),
    /// Nothing can be done now, and why.
    Off(Fault),
}

/// How long an interface is left alone whose driver refused the program.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether an interface can be attached to, as far as that is known without trying; so that a start that cannot succeed
/// does not begin. True if an earlier controller left its program there.
pub fn look(name: &str, mode: XdpMode, pins: &Pins) -> Result<bool, Fault> {
    place(name, mode, pins).map(|place| matches!(place, Place::Ours(_)))
}

/// Attaches a loaded program, or puts it in the place of the one that an earlier controller left there.
pub fn attach(ebpf: &mut Ebpf, name: &str, mode: XdpMode, pins: &Pins) -> Result<Attachment, Fault> {
    let program = object::xdp(ebpf)?.fd().map_err(|error| Fault::kernel("program", error))?;
    let program = program.as_fd().try_clone_to_owned();
    let program = program.map_err(|error| Fault::kernel("program", error))?;
    let failed = |error: std::io::Error| Fault::kernel(format!("link of {name}"), error);
    let (link, before) = match place(name, mode, pins)? {
        Place::Ours(link) => {
            let joined = sys::link(link.as_fd(), Hook::Xdp).map_err(failed)?;
            let pin = pins.program(name);
            let before = sys::program_of(joined, &pin).map_err(|error| Fault::hidden(&pin, &error))?;
            sys::link_update(link.as_fd(), program.as_fd()).map_err(failed)?;
            (link, Before::Program(before))
        }
        Place::Free { interface } => {
            (link_to(interface, program.as_fd(), name, mode, pins)?, Before::Nothing)
        }
    };
    pin_program(program.as_fd(), name, pins);
    Ok(Attachment { name: name.to_owned(), mode, link, program, before, refused: None })
}

/// A new link, pinned. One whose interface is gone may still be pinned there.
fn link_to(
    interface: u32,
    program: BorrowedFd<'_>,
    name: &str,
    mode: XdpMode,
    pins: &Pins,
) -> Result<OwnedFd, Fault> {
    let link =
        sys::link_create(program, interface, mode.flags()).map_err(|error| refused(name, mode, &error))?;
    let pin = pins.link(name);
    let _ = fs::remove_file(&pin);
    sys::pin(link.as_fd(), &pin).map_err(|error| Fault::kernel(pin.display(), error))?;
    Ok(link)
}

/// In the place of an earlier one: the link holds the program, but only the pin gives it to the next controller.
fn pin_program(program: BorrowedFd<'_>, name: &str, pins: &Pins) {
    let at = pins.program(name);
    if let Err(error) = sys::pin_program(program, &at, object::XDP) {
        warn!("{}: {error}: the program is not pinned there", at.display());
    }
}

impl Attachment {
    /// The interface.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it stands now. What somebody else removed is pinned again; unless that was `detach`, see [`Pins::detached`].
    #[must_use]
    pub fn state(&self, pins: &Pins) -> State {
        let off = |cause: &str, remedy: &str| State::Off(Fault::new("interface", &self.name, cause, remedy));
        let is_pinned = pins.link(&self.name).exists();
        let interface = match netlink::interface(&self.name) {
            Ok(interface) => interface,
            Err(fault) if fault.is_absence() => {
                return off("is gone", "the program is attached again when it returns");
            }
            Err(fault) => return State::Off(fault),
        };
        match sys::link(self.link.as_fd(), Hook::Xdp) {
            Ok(joined) if is_here(joined, &interface) => {
                if !is_pinned && pins.links().is_dir() {
                    self.pin_again(pins);
                }
                return State::Attached;
            }
            Ok(_) => {}
            Err(error) => return State::Off(Fault::kernel(format!("link of {}", self.name), error)),
        }
        match (&interface.attached, &self.refused) {
            _ if !is_pinned => State::Off(self.detached()),
            (Some(attached), _) => {
                off(&format!("has another XDP program: {attached}"), "gate25's is attached again behind that")
            }
            (None, Some((since, fault))) if since.elapsed() < PATIENCE => State::Off(fault.clone()),
            (None, _) => State::Free(interface.index),
        }
    }

    /// Whether the link still is on an interface, of whatever name.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        sys::link(self.link.as_fd(), Hook::Xdp).is_ok_and(|joined| joined.interface != 0)
    }

    /// What `detach` did.
    #[must_use]
    pub fn detached(&self) -> Fault {
        Fault::new("interface", &self.name, "the program was detached", "start gate25 again to enforce")
    }

    /// Pins a link whose pin somebody removed: it would end with this process.
    pub fn pin_again(&self, pins: &Pins) {
        let pin = pins.link(&self.name);
        match sys::pin(self.link.as_fd(), &pin) {
            Ok(()) => {
                warn!("{}: was gone, and is pinned again", pin.display());
                pin_program(self.program.as_fd(), &self.name, pins);
            }
            Err(error) => warn!("{}: is gone: {error}: enforcement ends with this controller", pin.display()),
        }
    }

    /// Pins the program again if somebody removed its pin.
    pub fn keep_program_pinned(&self, pins: &Pins) {
        if !pins.program(&self.name).exists() {
            pin_program(self.program.as_fd(), &self.name, pins);
        }
    }

    /// Attaches the program to the interface of that index, which has the name of the one that is gone, or lost its
    /// program by force.
    pub fn attach_again(&mut self, interface: u32, pins: &Pins) -> Result<(), Fault> {
        self.leave_renamed(pins);
        match link_to(interface, self.program.as_fd(), &self.name, self.mode, pins) {
            Ok(link) => {
                self.link = link;
                self.refused = None;
                Ok(())
            }
            Err(fault) => {
                self.refused = Some((Instant::now(), fault.clone()));
                Err(fault)
            }
        }
    }

    /// An interface that has another name now keeps its program, under that name.
    fn leave_renamed(&self, pins: &Pins) {
        let Ok(joined) = sys::link(self.link.as_fd(), Hook::Xdp) else { return };
        let found = netlink::interface_at(joined.interface);
        let Some((name, _)) = found.filter(|(name, _)| *name != self.name) else { return };
        if fs::rename(pins.link(&self.name), pins.link(&name)).is_ok() {
            pin_program(self.program.as_fd(), &name, pins);
            warn!(
                "{name} was {} before: it stays enforced, but is not looked after (name it in the node's configuration)",
                self.name
            );
        }
    }

    /// The start is over: what was there before is let go of.
    pub fn settle(&mut self) {
        self.before = Before::Settled;
    }

    /// Takes it back, because a start fails: what was there before goes on.
    pub fn undo(self, pins: &Pins) {
        match self.before {
            Before::Nothing => {
                let _ = sys::link_detach(self.link.as_fd());
                let _ = fs::remove_file(pins.link(&self.name));
            }
            Before::Program(before) => {
                if let Err(error) = sys::link_update(self.link.as_fd(), before.as_fd()) {
                    warn!("link of {}: {error}: the new program stays", self.name);
                }
                pin_program(before.as_fd(), &self.name, pins);
            }
            Before::Settled => {}
        }
    }
}
