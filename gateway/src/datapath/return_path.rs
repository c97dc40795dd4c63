//! The program of the way back on an interface: on tcx (Linux 6.6), whose link is pinned, or else as a filter of clsact,
//! which the kernel keeps until somebody takes it off.

use super::attach::detach_link;
use super::fault::Fault;
use super::netlink;
use super::object::{self, Options, last};
use super::pins::{self, Pins};
use super::sys;
use aya::programs::tc::{NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle, qdisc_add_clsact};
use aya::programs::{SchedClassifier, TcAttachType};
use gate25_common::verdict::Direction;
use rustix::io::Errno;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};

/// Where the kernel hooks the program in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// A link of tcx.
    Tcx,
    /// A filter of clsact, older and slower.
    Clsact,
}

/// Our filter among those of clsact: looked at early, and found again by the number.
const PRIORITY: u16 = 25;
const MINOR: u16 = 25;
const HANDLE: TcHandle = TcHandle::new(0, MINOR);

/// The program on an interface. Dropping it changes nothing.
#[derive(Debug)]
pub struct ReturnPath {
    name: String,
    index: u32,
    /// Of tcx.
    link: Option<OwnedFd>,
}

impl ReturnPath {
    /// Loads the program and attaches it, or puts it in the place of one that is there already.
    pub fn attach(name: &str, pins: &Pins) -> Result<Self, Fault> {
        match Self::attach_to(name, pins, Hook::Tcx) {
            Err(Refused::NoTcx) => Self::attach_to(name, pins, Hook::Clsact),
            result => result,
        }
        .map_err(|refused| match refused {
            Refused::NoTcx => Fault::kernel(format!("return path of {name}"), "the kernel has no tcx"),
            Refused::Fault(fault) => fault,
        })
    }

    /// The same, on a hook of one's choice.
    pub fn attach_to(name: &str, pins: &Pins, hook: Hook) -> Result<Self, Refused> {
        let index = netlink::interface(name)?.index;
        let mut ebpf =
            object::load(&[Direction::Return], &Options { pins: Some((pins, name)), ..Options::default() })?;
        let program = object::classifier(&mut ebpf)?;
        let link = match hook {
            Hook::Tcx => Some(tcx(program, index, name, pins)?),
            Hook::Clsact => {
                clsact(program, name, pins)?;
                None
            }
        };
        Ok(Self { name: name.to_owned(), index, link })
    }

    /// The interface.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Why packets toward subscribers are not looked at, or `None` while all is well.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let here = match &self.link {
            Some(link) => sys::link(link.as_fd()).is_ok_and(|joined| joined.interface == self.index),
            None => has_filter(&self.name).is_ok_and(|index| index == Some(self.index)),
        };
        (!here).then(|| {
            format!("interface: {}: the return path was detached (start gate25 again to enforce)", self.name)
        })
    }

    /// Takes the program off.
    pub fn detach(self, pins: &Pins) -> Result<(), Fault> {
        match self.link {
            Some(_) => detach_link(&pins.return_link(&self.name)),
            None => detach_filter(&self.name, pins),
        }
    }
}

/// Why the program is not on a hook.
#[derive(Debug)]
pub enum Refused {
    /// The kernel is older than tcx.
    NoTcx,
    /// Anything else.
    Fault(Fault),
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

fn tcx(program: &SchedClassifier, index: u32, name: &str, pins: &Pins) -> Result<OwnedFd, Refused> {
    let failed = |error: std::io::Error| Fault::kernel(format!("return path of {name}"), error);
    let program = program.fd().map_err(|error| Fault::kernel("program", last(&error)))?;
    let pin = pins.return_link(name);
    if let Ok(link) = sys::open(&pin) {
        if sys::link(link.as_fd()).is_ok_and(|joined| joined.interface == index) {
            sys::link_update(link.as_fd(), program.as_fd()).map_err(failed)?;
            return Ok(link);
        }
        // Its interface is gone.
        fs::remove_file(&pin).map_err(failed)?;
    }
    let link = sys::tcx_create(program.as_fd(), index).map_err(|error| {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::INVAL) => Refused::NoTcx,
            _ => failed(error).into(),
        }
    })?;
    sys::pin(link.as_fd(), &pin).map_err(failed)?;
    Ok(link)
}

/// The pinned program says that the filter is ours.
fn clsact(program: &mut SchedClassifier, name: &str, pins: &Pins) -> Result<(), Fault> {
    let failed = |error: &dyn std::error::Error| Fault::kernel(format!("return path of {name}"), last(error));
    // It may be there already, ours or somebody else's; whether there is one is seen when the filter is added.
    let _ = qdisc_add_clsact(name);
    let pin = pins.return_filter(name);
    // The pin may have outlived the filter, or the interface.
    let id = if has_filter(name)?.is_some() {
        program.attach_to_link(filter(name).map_err(|error| failed(&error))?)
    } else {
        let options = NlOptions { priority: PRIORITY, handle: HANDLE, classid: None };
        program.attach_with_options(name, TcAttachType::Egress, TcAttachOptions::Netlink(options))
    };
    let link = program.take_link(id.map_err(|error| failed(&error))?).map_err(|error| failed(&error))?;
    // Dropped, it would take the filter off.
    std::mem::forget(link);
    let _ = fs::remove_file(&pin);
    let program = program.fd().map_err(|error| failed(&error))?;
    sys::pin(program.as_fd(), &pin).map_err(|error| Fault::kernel(pin.display(), error))
}

/// The interface's index, if our filter is there.
fn has_filter(name: &str) -> Result<Option<u32>, Fault> {
    let index = netlink::interface(name)?.index;
    let found = netlink::has_filter(index, PRIORITY, MINOR)
        .map_err(|error| Fault::kernel(format!("filters of {name}"), error))?;
    Ok(found.then_some(index))
}

fn filter(name: &str) -> std::io::Result<SchedClassifierLink> {
    SchedClassifierLink::attached(name, TcAttachType::Egress, PRIORITY, HANDLE, None)
}

/// Detaches every return path that is pinned.
pub fn detach_all(pins: &Pins) -> Result<(), Fault> {
    for file in fs::read_dir(pins.return_links()).into_iter().flatten().flatten() {
        detach_link(&file.path())?;
    }
    for file in fs::read_dir(pins.return_filters()).into_iter().flatten().flatten() {
        detach_filter(&pins::decode(&file.file_name().to_string_lossy()), pins)?;
    }
    Ok(())
}

fn detach_filter(name: &str, pins: &Pins) -> Result<(), Fault> {
    use aya::programs::links::Link as _;
    let failed = |error: &dyn std::error::Error| Fault::kernel(format!("return path of {name}"), last(error));
    // Without its interface the filter is gone; and somebody may have taken it off.
    if matches!(has_filter(name), Ok(Some(_))) {
        filter(name).map_err(|error| failed(&error))?.detach().map_err(|error| failed(&error))?;
    }
    fs::remove_file(pins.return_filter(name)).map_err(|error| failed(&error))
}
