//! Attachments are looked at, and made again: an interface went and came back, or somebody took the program off.

use super::Controller;
use crate::datapath::attach::{Attachment, State};
use crate::datapath::fault::Fault;
use crate::datapath::lock::Lock;
use crate::datapath::pins::Pins;
use crate::datapath::return_path::ReturnPath;
use crate::status::Interface;
use tracing::{error, info, warn};

impl Controller {
    /// Attaches what is off and can be on again, takes off the way back where no policy needs it, and tells how it stands.
    pub(super) fn look_at_attachments(&mut self) {
        self.close_return_paths();
        let places = 0..self.attachments.len();
        let now = places.map(|place| self.look_at(place)).collect::<Vec<Interface>>();
        let mut status = self.status.lock();
        let before = std::mem::replace(&mut status.interfaces, now.clone());
        drop(status);
        for (before, now) in before.iter().zip(&now) {
            match (&before.why, &now.why) {
                (None, Some(why)) => {
                    error!("not enforcing: {why}");
                    self.events.policy(None, &format!("not enforcing: {why}"));
                }
                (Some(was), Some(why)) if was != why => warn!("still not enforcing: {why}"),
                (Some(_), None) => {
                    info!("enforcing again on {}", now.name);
                    self.events.policy(None, &format!("enforcing again on {}", now.name));
                }
                _ => {}
            }
        }
    }

    /// One interface, as it stands when all was done that can be done.
    fn look_at(&mut self, place: usize) -> Interface {
        let interface = &self.config.interfaces[place];
        let (name, mode) = (interface.name.clone(), interface.mode);
        let why = self.mended(place).err().map(|fault| fault.to_string());
        Interface { name, mode, attached: why.is_none(), why }
    }

    fn mended(&mut self, place: usize) -> Result<(), Fault> {
        let pins = self.pins();
        let attachment = &mut self.attachments[place];
        let name = attachment.name().to_owned();
        let pins = match pins {
            Err(_) if !attachment.is_alive() => return Err(attachment.detached()),
            pins => pins?,
        };
        let state = attachment.state(&pins);
        if let State::Off(fault) = state {
            return Err(fault);
        }
        let mut path = self.return_paths.iter_mut().find(|path| path.name() == name);
        if let Some(path) = path.as_mut().filter(|path| path.fault().is_some()) {
            if !pins.links().is_dir() {
                return Err(Fault::new(
                    "interface",
                    name,
                    "the return path was detached",
                    "start gate25 again to enforce",
                ));
            }
            // First: what is redirected must find its way back.
            path.attach(&pins)?;
            warn!("{name}: the return path is attached again");
        } else if let Some(path) = path
            && pins.link(&name).exists()
        {
            path.keep_pinned(&pins);
        }
        if let State::Free(index) = state {
            attachment.attach_again(index, &pins)?;
            let what = format!("{name}: the interface had no program, and has it again");
            warn!("{what}");
            self.events.policy(None, &what);
        }
        Ok(())
    }

    /// Where things are pinned, if that is still the folder that this controller took.
    pub(super) fn pins(&self) -> Result<Pins, Fault> {
        let pins = Pins::below(&self.config.pin)?;
        if self.lock.is_of(&pins) {
            return Ok(pins);
        }
        let remedy = "it is made again in a few seconds";
        Err(Fault::new(
            "pin",
            self.config.pin.display(),
            "was removed: enforcement ends with this controller",
            remedy,
        ))
    }

    /// Loads the way back for every interface, if a policy needs it, and attaches it to those that are there; the others
    /// get it when they return. This comes before that policy is in force, so that no connection is redirected whose
    /// answers would go astray.
    pub(super) fn open_return_paths(&mut self) -> Result<(), Fault> {
        let Ok(pins) = self.pins() else { return Ok(()) };
        if !pins.links().is_dir() {
            return Ok(());
        }
        for place in self.return_paths.len()..self.config.interfaces.len() {
            let name = &self.config.interfaces[place].name;
            let mut path = ReturnPath::load(name, &pins)?;
            // At a start there are no attachments yet, and every interface is there.
            let is_there = self
                .attachments
                .get(place)
                .is_none_or(|attachment| matches!(attachment.state(&pins), State::Attached));
            if is_there {
                path.attach(&pins)?;
                info!("the return path of {name} is looked at");
            }
            self.return_paths.push(path);
        }
        Ok(())
    }

    /// Takes the way back off every interface once no policy needs it.
    fn close_return_paths(&mut self) {
        if self.needs_return || !self.may_have_return {
            return;
        }
        let Ok(pins) = self.pins() else { return };
        let mut detached = self.return_paths.drain(..).try_for_each(|path| path.detach(&pins));
        // Also what an earlier controller left.
        detached = detached.and(crate::datapath::return_path::detach_all(&pins));
        if let Err(fault) = detached {
            warn!("{fault}: packets toward subscribers are looked at in vain");
        }
        self.may_have_return = false;
    }

    /// Pins again what somebody removed from under the programs that run.
    pub(super) fn mend_pins(&mut self) {
        let Ok(pins) = Pins::below(&self.config.pin) else { return };
        let is_alive = self.attachments.iter().any(Attachment::is_alive);
        let is_gone = is_alive && !(self.lock.is_of(&pins) && pins.links().is_dir());
        // `detach`, which removes the folders too, is through by the second look, and its links are dead.
        if is_gone && self.pins_were_gone {
            match self.make_again(&pins) {
                Ok(()) => warn!("{}: was removed, and is made again", pins.root().display()),
                Err(fault) => error!("{fault}: enforcement ends with this controller"),
            }
        }
        self.pins_were_gone = is_gone;
        if is_gone || !self.lock.is_of(&pins) {
            return;
        }
        for attachment in self.attachments.iter().filter(|attachment| attachment.is_alive()) {
            attachment.keep_program_pinned(&pins);
        }
        self.held.mend(&pins, |name| {
            let attachment = self.attachments.iter().find(|attachment| attachment.name() == name);
            attachment.is_some_and(Attachment::is_alive) || pins.return_link(name).exists()
        });
        if is_alive {
            self.slots.keep_pinned();
            self.tallies.keep_pinned(&pins);
        }
    }

    fn make_again(&mut self, pins: &Pins) -> Result<(), Fault> {
        if !self.lock.is_of(pins) {
            self.lock = Lock::take(pins)?;
        }
        for attachment in &self.attachments {
            pins.make_all(attachment.name())?;
            if attachment.is_alive() && !pins.link(attachment.name()).exists() {
                attachment.pin_again(pins);
            }
        }
        Ok(())
    }
}
