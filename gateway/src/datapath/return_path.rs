//! The program of the way back on an interface: on tcx (Linux 6.6), whose link is pinned, or else as a filter of clsact,
//! which the kernel keeps until somebody takes it off.

use super::fault::Fault;
use super::netlink;
use super::object::{self, CLASSIFIER, Options, last};
use super::pins::{self, Pins};
use super::removal::detach_link;
use super::sys;
use aya::Ebpf;
use aya::programs::tc::{NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle, qdisc_add_clsact};
use aya::programs::{SchedClassifier, TcAttachType};
use gate25_common::verdict::Direction;
use rustix::io::Errno;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use tracing::warn;

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

/// The program of an interface. Dropping it changes nothing.
#[derive(Debug)]
pub struct ReturnPath {
    name: String,
    /// The program, loaded; ready for an interface that goes and comes back.
    ebpf: Ebpf,
    /// Where it is attached, if it is.
    at: Option<At>,
    /// How a start that fails takes it back; `None` once that is over.
    before: Option<Before>,
}

#[derive(Debug)]
struct At {
    index: u32,
    /// Of tcx.
    link: Option<OwnedFd>,
}

/// What was on the interface.
#[derive(Debug)]
enum Before {
    Nothing,
    /// A program of an earlier controller; `None` while ours is not in its place.
    Program(Option<OwnedFd>),
}

impl ReturnPath {
    /// Loads the program.
    pub fn load(name: &str, pins: &Pins) -> Result<Self, Fault> {
        let options = Options { pins: Some((pins, name)), ..Options::default() };
        let ebpf = object::load(&[Direction::Return], &options)?;
        Ok(Self { name: name.to_owned(), ebpf, at: None, before: Some(Before::Program(None)) })
    }

    /// Attaches it, or puts it in the place of one that is there already.
    pub fn attach(&mut self, pins: &Pins) -> Result<(), Fault> {
        let attached = match self.attach_on(pins, Hook::Tcx) {
            Err(Refused::NoTcx) => self.attach_on(pins, Hook::Clsact),
            result => result,
        };
        attached.map_err(|refused| match refused {
            Refused::NoTcx => Fault::kernel(format!("return path of {}", self.name), "the kernel has no tcx"),
            Refused::Fault(fault) => fault,
        })
    }

    /// Loads and attaches it, on a hook of one's choice.
    pub fn attach_to(name: &str, pins: &Pins, hook: Hook) -> Result<Self, Refused> {
        let mut path = Self::load(name, pins)?;
        path.attach_on(pins, hook)?;
        Ok(path)
    }

    fn attach_on(&mut self, pins: &Pins, hook: Hook) -> Result<(), Refused> {
        let index = netlink::interface(&self.name)?.index;
        let program = object::classifier(&mut self.ebpf)?;
        let (link, before) = match hook {
            Hook::Tcx => {
                let (link, before) = tcx(program, index, &self.name, pins)?;
                (Some(link), before)
            }
            Hook::Clsact => (None, clsact(program, &self.name, pins)?),
        };
        self.at = Some(At { index, link });
        self.before = self
            .before
            .take()
            .map(|_| before.map_or(Before::Nothing, |program| Before::Program(Some(program))));
        Ok(())
    }

    /// The interface.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Why packets toward subscribers are not looked at, or `None` while all is well.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let here = match &self.at {
            None => false,
            Some(At { index, link: Some(link) }) => {
                let is_ours =
                    sys::link(link.as_fd(), sys::Hook::Tcx).is_ok_and(|joined| joined.interface == *index);
                is_ours && netlink::interface(&self.name).is_ok_and(|found| found.index == *index)
            }
            Some(At { index, link: None }) => has_filter(&self.name).is_ok_and(|found| found == Some(*index)),
        };
        (!here).then(|| {
            format!("interface: {}: the return path was detached (start gate25 again to enforce)", self.name)
        })
    }

    /// Pins again what somebody removed: the link would end with this process, and the filter would be nobody's.
    pub fn keep_pinned(&mut self, pins: &Pins) {
        let Some(At { link, .. }) = &self.at else { return };
        let link = link.as_ref().map(|link| (link.as_fd(), pins.return_link(&self.name)));
        let pin =
            if link.is_some() { pins.return_program(&self.name) } else { pins.return_filter(&self.name) };
        let program = program(&mut self.ebpf).map(|program| (program, pin));
        for (object, pin) in link.into_iter().chain(program).filter(|(_, pin)| !pin.exists()) {
            let has_folder = pin.parent().is_some_and(|folder| pins.make(folder).is_ok());
            if has_folder && sys::pin(object, &pin).is_ok() {
                warn!("{}: was gone, and is pinned again", pin.display());
            }
        }
    }

    /// Takes the program off.
    pub fn detach(self, pins: &Pins) -> Result<(), Fault> {
        match self.at {
            Some(At { link: Some(_), .. }) => detach_linked(&pins.return_link(&self.name), pins),
            Some(At { link: None, .. }) => detach_filter(&self.name, pins),
            None => Ok(()),
        }
    }

    /// The start is over: what was there before is let go of.
    pub fn settle(&mut self) {
        self.before = None;
    }

    /// Takes it back, because a start fails: what was there before goes on.
    pub fn undo(self, pins: &Pins) {
        let name = self.name.clone();
        let undone = match (&self.before, &self.at) {
            (Some(Before::Nothing), _) => self.detach(pins),
            (Some(Before::Program(Some(before))), Some(At { link: Some(link), .. })) => {
                sys::link_update(link.as_fd(), before.as_fd())
                    .and_then(|()| sys::pin_program(before.as_fd(), &pins.return_program(&name), CLASSIFIER))
                    .map_err(|error| Fault::kernel(format!("return path of {name}"), error))
            }
            (Some(Before::Program(Some(before))), Some(At { link: None, .. })) => {
                put_back(before.as_fd(), &name, pins)
            }
            _ => Ok(()),
        };
        if let Err(fault) = undone {
            warn!("{fault}: the new program stays");
        }
    }
}

fn program(ebpf: &mut Ebpf) -> Option<BorrowedFd<'_>> {
    let program = object::classifier(ebpf).ok()?;
    program.fd().ok().map(AsFd::as_fd)
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

/// The link, and the program that it had.
fn tcx(
    program: &SchedClassifier,
    index: u32,
    name: &str,
    pins: &Pins,
) -> Result<(OwnedFd, Option<OwnedFd>), Refused> {
    let failed = |error: std::io::Error| Fault::kernel(format!("return path of {name}"), error);
    let program = program.fd().map_err(|error| Fault::kernel("program", last(&error)))?;
    let (pin, held) = (pins.return_link(name), pins.return_program(name));
    let strange = || Fault::new("pin", pin.display(), "is not the link of a return path", "remove it");
    if let Some(link) = sys::open_if_there(&pin).map_err(|_| strange())? {
        let joined = sys::link(link.as_fd(), sys::Hook::Tcx).map_err(|_| strange())?;
        if joined.interface == index {
            let before = sys::program_of(joined, &held).map_err(|error| Fault::hidden(&held, &error))?;
            sys::link_update(link.as_fd(), program.as_fd()).map_err(failed)?;
            sys::pin_program(program.as_fd(), &held, CLASSIFIER).map_err(failed)?;
            return Ok((link, Some(before)));
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
    sys::pin_program(program.as_fd(), &held, CLASSIFIER).map_err(failed)?;
    Ok((link, None))
}

/// The pinned program says that the filter is ours; the program that it was.
fn clsact(program: &mut SchedClassifier, name: &str, pins: &Pins) -> Result<Option<OwnedFd>, Fault> {
    let failed = |error: &dyn std::error::Error| Fault::kernel(format!("return path of {name}"), last(error));
    // It may be there already, ours or somebody else's; whether there is one is seen when the filter is added.
    let _ = qdisc_add_clsact(name);
    let pin = pins.return_filter(name);
    let before = sys::open_if_there(&pin).map_err(|error| failed(&error))?;
    if before.as_ref().is_some_and(|before| sys::program(before.as_fd()).is_err()) {
        return Err(Fault::new("pin", pin.display(), "is not the program of a return path", "remove it"));
    }
    // The pin may have outlived the filter, or the interface.
    let has_filter = has_filter(name)?.is_some();
    let id = if has_filter {
        program.attach_to_link(filter(name).map_err(|error| failed(&error))?)
    } else {
        let options = NlOptions { priority: PRIORITY, handle: HANDLE, classid: None };
        program.attach_with_options(name, TcAttachType::Egress, TcAttachOptions::Netlink(options))
    };
    let link = program.take_link(id.map_err(|error| failed(&error))?).map_err(|error| failed(&error))?;
    // Dropped, it would take the filter off.
    std::mem::forget(link);
    let program = program.fd().map_err(|error| failed(&error))?;
    let _ = fs::remove_file(&pin);
    sys::pin(program.as_fd(), &pin).map_err(|error| Fault::kernel(pin.display(), error))?;
    Ok(before.filter(|_| has_filter))
}

/// The program that the filter was, in the place of ours.
fn put_back(before: BorrowedFd<'_>, name: &str, pins: &Pins) -> Result<(), Fault> {
    let pin = pins.return_filter(name);
    let failed = |error: &dyn std::error::Error| Fault::kernel(pin.display(), last(error));
    fs::remove_file(&pin).map_err(|error| failed(&error))?;
    sys::pin(before, &pin).map_err(|error| failed(&error))?;
    let mut program = SchedClassifier::from_pin(&pin).map_err(|error| failed(&error))?;
    let id = program.attach_to_link(filter(name).map_err(|error| failed(&error))?);
    let link = program.take_link(id.map_err(|error| failed(&error))?).map_err(|error| failed(&error))?;
    std::mem::forget(link);
    Ok(())
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
    for pin in pins::entries(&pins.return_links()) {
        detach_linked(&pin, pins)?;
    }
    for pin in pins::entries(&pins.return_filters()) {
        detach_filter(&pins::decode(&pin), pins)?;
    }
    Ok(())
}

fn detach_linked(pin: &Path, pins: &Pins) -> Result<(), Fault> {
    if detach_link(pin, sys::Hook::Tcx, pins)?.is_some() {
        let _ = fs::remove_file(pins.return_program(&pins::decode(pin)));
    }
    Ok(())
}

pub(super) fn detach_filter(name: &str, pins: &Pins) -> Result<(), Fault> {
    use aya::programs::links::Link as _;
    let failed = |error: &dyn std::error::Error| Fault::kernel(format!("return path of {name}"), last(error));
    // Without its interface the filter is gone; and somebody may have taken it off.
    if matches!(has_filter(name), Ok(Some(_))) {
        filter(name).map_err(|error| failed(&error))?.detach().map_err(|error| failed(&error))?;
    }
    fs::remove_file(pins.return_filter(name)).map_err(|error| failed(&error))
}
