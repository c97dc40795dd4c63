//! The policy, what lies where, and where the controller listens.

use super::{Line, Status, kernel};
use crate::clock;
use crate::config::Config;
use crate::datapath::fault::Fault;
use crate::datapath::pins::Pins;
use crate::policy::compile::compile;
use crate::policy::{self, Loaded, Refused};
use crate::progress::Progress;
use crate::{control, http};
use rustix::fs::{Access, Mode, OFlags, access, open, statfs};
use rustix::io::Errno;
use std::path::Path;

/// The policy's line, and whether it has the way back looked at.
pub(super) fn policy(config: &Config) -> (Line, bool) {
    let line = |found: String| Line::ok("policy", found, "valid");
    let shown = config.policy.display();
    let _progress = Progress::shown();
    match policy::load(&config.policy) {
        Ok(Loaded { policy, .. }) => {
            match compile(&policy, clock::now(), config.enforce, |zone| zone as u32 + 1) {
                Ok(tables) => (line(format!("{shown}, valid")), tables.needs_return),
                Err(too_large) => {
                    (line(too_large.to_string()).but(Status::Fail, format!("gate25 check {shown}")), false)
                }
            }
        }
        Err(Refused { problems, .. }) => {
            let first = problems.first().map(ToString::to_string).unwrap_or_default();
            let found = if problems.len() == 1 { "1 problem" } else { "problems" };
            let remedy = format!("`gate25 check {shown}` tells all: {first}");
            (line(found.to_owned()).but(Status::Fail, remedy), false)
        }
    }
}

/// Where pins are to be.
pub(super) fn pin(config: &Config, pins: &Result<Pins, Fault>) -> Vec<Line> {
    let what = format!("pin {}", config.pin.display());
    match pins {
        Err(_) if hidden(&config.pin) => {
            vec![Line::unknown(what, "below a bpffs, writable", "look as root")]
        }
        Err(fault) => vec![Line::fault(what, fault, "below a bpffs, writable")],
        Ok(_) => vec![writable(what, &config.pin, "below a bpffs, writable", Status::Fail, |_| Ok(()))],
    }
}

/// What the controller writes, and where it is asked.
pub(super) fn lines(config: &Config) -> Vec<Line> {
    let folder = |path: &Path| path.parent().unwrap_or(path).to_owned();
    let written = "writable";
    let mut lines = vec![
        listen(config),
        writable(
            format!("control {}", config.control.display()),
            &folder(&config.control),
            written,
            Status::Warn,
            has_files,
        ),
        writable(
            format!("state {}", config.state.display()),
            &config.state,
            written,
            Status::Warn,
            has_files,
        ),
    ];
    // `-` is standard output.
    if let Some(events) = config.events.as_ref().filter(|events| events.file.as_os_str() != "-") {
        lines.push(writable(
            format!("events {}", events.file.display()),
            &folder(&events.file),
            written,
            Status::Warn,
            has_files,
        ));
    }
    lines
}

/// Whether files can be made in a folder. One without a name is made and gone again, which nobody sees.
fn has_files(folder: &Path) -> Result<(), Errno> {
    match open(folder, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR) {
        // Those of the kernel's own, as /proc, have no room; others may know only files with a name.
        Err(Errno::OPNOTSUPP) if statfs(folder)?.f_blocks > 0 => Ok(()),
        made => made.map(drop),
    }
}

/// Whether a folder, or the nearest one above that is there, can be written to, and is fit for what is made there.
fn writable(
    what: String,
    folder: &Path,
    needed: &str,
    otherwise: Status,
    is_fit: fn(&Path) -> Result<(), Errno>,
) -> Line {
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let allowed =
        if there.is_dir() { access(there, Access::WRITE_OK | Access::EXEC_OK) } else { Err(Errno::NOTDIR) };
    match allowed.and_then(|()| is_fit(there)) {
        Ok(()) => Line::ok(what, "writable", needed),
        Err(error) => {
            let cause = match error {
                Errno::ROFS => "is read-only",
                Errno::NOTDIR => "is no folder",
                Errno::OPNOTSUPP => "is no place for files",
                Errno::NOSPC | Errno::DQUOT => "is full",
                _ => "may not be written to",
            };
            let remedy = match error {
                Errno::NOSPC | Errno::DQUOT => "make room there, or name another folder".to_owned(),
                Errno::NOTDIR | Errno::OPNOTSUPP => "name another folder".to_owned(),
                _ => format!(
                    "give {} to the user that gate25 runs as, or name another folder",
                    there.display()
                ),
            };
            Line::ok(what, format!("{} {cause}", there.display()), needed).but(otherwise, remedy)
        }
    }
}

/// Whether permissions keep us from seeing if a path is there.
fn hidden(path: &Path) -> bool {
    !kernel::is_privileged()
        && path.ancestors().any(|path| access(path, Access::EXISTS) == Err(Errno::ACCESS))
}

fn listen(config: &Config) -> Line {
    let needed = "free";
    match http::bind(config.listen) {
        Ok(_) => Line::ok(format!("listen {}", config.listen), "free", needed),
        Err(_) if control::server::is_listened_to(&config.control) => {
            Line::ok(format!("listen {}", config.listen), "a controller runs", needed)
        }
        Err(fault) => Line::fault(format!("listen {}", config.listen), &fault, needed),
    }
}
