//! Exim as a sender on a host.

use super::{exim, file};
use crate::{
    command::{self, Ended},
    lab::{Host, Lab},
};
use anyhow::{Context as _, Result};
use std::{fs, os::unix::fs::chown, path::PathBuf, process::Command, time::Duration};

/// `nobody` of every Debian.
const OWNER: u32 = 65534;

/// Debian's Exim insists on a user of its name, which only its installation would make: it gets one in its own sight.
const WITH_A_USER: &str = r#"
cd "$1" && shift
cp /etc/passwd passwd && echo 'Debian-exim:x:65534:65534::/:/bin/false' >>passwd && mount --bind passwd /etc/passwd
cp /etc/group group && echo 'Debian-exim:x:65534:' >>group && mount --bind group /etc/group
exec "$@"
"#;

/// Exim's configuration and files on a host; there is no daemon.
#[derive(Debug)]
pub struct Exim<'lab> {
    host: &'lab Host,
    folder: PathBuf,
}

impl<'lab> Exim<'lab> {
    /// An Exim that sends mail as `routes` say, in the syntax of `route_list`; mail for `<host>.example` it keeps.
    pub fn new(lab: &Lab, host: &'lab Host, routes: &str) -> Result<Self> {
        let folder = lab.folder().join(format!("exim-{}", host.name));
        fs::create_dir_all(folder.join("spool"))?;
        // Where its user can start it, which the workspace need not be.
        let program = exim().context("exim4: not unpacked (cargo xtask setup does it)")?;
        command::copy(&program, &folder.join("exim4"), "")?;
        chown(&folder, Some(OWNER), Some(OWNER))?;
        chown(folder.join("spool"), Some(OWNER), Some(OWNER))?;
        let (name, here) = (host.name, folder.display());
        fs::write(
            folder.join("config"),
            format!(
                "primary_hostname = {name}.example
exim_path = {here}/exim4
spool_directory = {here}/spool
log_file_path = {here}/%slog
keep_environment =
tls_advertise_hosts =
begin routers
own:
  driver = accept
  domains = {name}.example
  transport = box
out:
  driver = manualroute
  route_list = {routes}
  transport = out
begin transports
box:
  driver = appendfile
  file = {here}/box
  user = {OWNER}
  group = {OWNER}
out:
  driver = smtp
  hosts_avoid_tls = *
begin retry
* * F,1h,1s\n"
            ),
        )?;
        Ok(Self { host, folder })
    }

    /// Sends a message, or tries to; it has tried when this returns.
    pub fn send(&self, from: &str, to: &str, message: &str) -> Result<Ended> {
        let message = file(&self.folder.join("message"), message)?;
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", WITH_A_USER, "sh"])
            .args([&self.folder, &self.folder.join("exim4")]);
        command.arg("-C").arg(self.folder.join("config")).args(["-odf", "-f", from, to]).stdin(message);
        command::finish(&self.host.namespace, command, Duration::from_mins(1))
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("mainlog")).unwrap_or_default()
    }

    /// The mailbox, all of it.
    #[must_use]
    pub fn mailbox(&self) -> String {
        fs::read_to_string(self.folder.join("box")).unwrap_or_default()
    }
}
