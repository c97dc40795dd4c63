//! A Postfix of one's own on a host.

use super::{file, maildir, program};
use crate::{
    lab::{Host, Lab},
    namespace::Namespace,
    process::Process,
    wait,
};
use anyhow::{Context as _, Result, bail};
use nix::unistd::User;
use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::unix::fs::chown,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// How long Postfix may take to start, and mail to go its way.
const PATIENCE: Duration = Duration::from_mins(1);
/// `nobody` of every Debian: whose the mailbox is.
const OWNER: u32 = 65534;

/// Where Debian has the program that starts all others.
const MASTER: &str = "/usr/lib/postfix/sbin/master";

/// What it needs of Debian's services, none of them in a chroot; mail comes in at one more port.
const SERVICES: &str = "\
smtp     inet  n - n - - smtpd
2525     inet  n - n - - smtpd
pickup   unix  n - n 60 1 pickup
cleanup  unix  n - n - 0 cleanup
qmgr     unix  n - n 300 1 qmgr
rewrite  unix  - - n - - trivial-rewrite
bounce   unix  - - n - 0 bounce
defer    unix  - - n - 0 bounce
trace    unix  - - n - 0 bounce
flush    unix  n - n 1000? 0 flush
proxymap unix  - - n - - proxymap
smtp     unix  - - n - - smtp
error    unix  - - n - - error
retry    unix  - - n - - error
virtual  unix  - n n - - virtual
anvil    unix  - - n - 1 anvil
scache   unix  - - n - 1 scache
postlog  unix-dgram n - n - 1 postlogd
";

/// The folders of its queue, which are its user's.
const QUEUES: &str =
    "active bounce corrupt defer deferred flush hold incoming maildrop private public saved trace";

/// A running Postfix, of whose mail all that it takes itself is in one mailbox; killed when dropped.
#[derive(Debug)]
pub struct Postfix<'lab> {
    namespace: &'lab Namespace,
    folder: PathBuf,
    messages: AtomicU32,
    master: Process,
}

impl<'lab> Postfix<'lab> {
    /// Starts it and awaits that it listens. Mail for those domains it takes, as a table of main.cf; with other mail it
    /// does what more lines of main.cf say.
    pub fn start(lab: &Lab, host: &'lab Host, domains: &str, settings: &str) -> Result<Self> {
        let folder = lab.folder().join(format!("postfix-{}", host.name));
        for part in ["etc", "mail", "queue/pid"] {
            fs::create_dir_all(folder.join(part))?;
        }
        chown(folder.join("mail"), Some(OWNER), Some(OWNER))?;
        let user =
            User::from_name("postfix")?.context("postfix: no such user (cargo xtask setup makes it)")?;
        for part in QUEUES.split(' ').map(|queue| format!("queue/{queue}")).chain(["data".to_owned()]) {
            fs::create_dir(folder.join(&part))?;
            chown(folder.join(&part), Some(user.uid.as_raw()), None)?;
        }
        let (name, here) = (host.name, folder.display());
        fs::write(
            folder.join("etc/main.cf"),
            format!(
                "compatibility_level = 3.6
queue_directory = {here}/queue
data_directory = {here}/data
maillog_file = {here}/log
maillog_file_prefixes = {here}
inet_interfaces = all
inet_protocols = all
mynetworks = 0.0.0.0/0 [::]/0
myhostname = {name}.example
myorigin = {name}.example
mydestination =
alias_maps =
alias_database =
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
smtp_tls_security_level = none
smtpd_tls_security_level = none
message_size_limit = 50000000
virtual_mailbox_limit = 0
virtual_mailbox_domains = {domains}
virtual_mailbox_base = {here}/mail
virtual_mailbox_maps = static:box/
virtual_minimum_uid = {OWNER}
virtual_uid_maps = static:{OWNER}
virtual_gid_maps = static:{OWNER}
{settings}\n"
            ),
        )?;
        fs::write(folder.join("etc/master.cf"), SERVICES)?;

        // Without `postfix start`, whose checks take seconds, the master is our child, and its own children end with it.
        let mut command = Command::new(MASTER);
        command.arg("-c").arg(folder.join("etc"));
        let output = File::create(folder.join("output"))?;
        command.stdout(output.try_clone()?).stderr(output);
        let master =
            host.namespace.spawn(command).context("is Postfix there? (cargo xtask setup installs it)")?;
        let mut postfix = Self { namespace: &host.namespace, folder, messages: AtomicU32::new(0), master };
        postfix.started()?;
        Ok(postfix)
    }

    fn started(&mut self) -> Result<()> {
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, 25));
        let answers = || self.namespace.run(|| TcpStream::connect(server)).is_ok();
        let up = wait::until(PATIENCE, || match self.master.ended() {
            Some(_) => Some(false),
            None => answers().then_some(true),
        });
        if up != Some(true) {
            let output = fs::read_to_string(self.folder.join("output")).unwrap_or_default();
            bail!("postfix: did not start; it wrote:\n{output}{}", self.log());
        }
        Ok(())
    }

    /// Hands it a message as programs on its host do.
    pub fn submit(&self, from: &str, to: &str, message: &str) -> Result<()> {
        let number = self.messages.fetch_add(1, Ordering::Relaxed);
        let message = file(&self.folder.join(format!("message-{number}")), message)?;
        let mut command = Command::new(program("sendmail")?);
        command.arg("-C").arg(self.folder.join("etc")).args(["-i", "-f", from, to]).stdin(message);
        self.namespace.output(command).map(drop)
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Awaits a line in its log in which all those parts are.
    pub fn wait_log(&self, parts: &[&str]) -> Result<String> {
        let is_it = |line: &&str| parts.iter().all(|part| line.contains(part));
        wait::until(PATIENCE, || self.log().lines().find(is_it).map(str::to_owned))
            .with_context(|| format!("postfix: no line with {parts:?} in its log:\n{}", self.log()))
    }

    /// The messages in its mailbox.
    #[must_use]
    pub fn mailbox(&self) -> Vec<String> {
        maildir(&self.folder.join("mail/box"))
    }

    /// Awaits a message in its mailbox in which that text is.
    pub fn wait_mail(&self, text: &str) -> Result<String> {
        wait::until(PATIENCE, || self.mailbox().into_iter().find(|message| message.contains(text)))
            .with_context(|| format!("postfix: no mail with {text:?}; its log:\n{}", self.log()))
    }
}
