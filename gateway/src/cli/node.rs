//! The node: `run`, `detach` and `preflight`.

use super::replace;
use crate::config::{self, Config, Events, Interface, Unmanaged};
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The node, from a file, from flags, or from a file with flags before it.
#[derive(Debug, Args)]
pub struct Node {
    /// The node's configuration
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Policy file or directory
    #[arg(long, required_unless_present = "config")]
    pub policy: Option<PathBuf>,
    /// Subscriber interface, as eth1 or eth1:generic; may be repeated
    #[arg(long = "interface", value_name = "NAME[:MODE]", required_unless_present = "config")]
    pub interfaces: Vec<Interface>,
    /// What happens to sources of no zone, on all these interfaces
    #[arg(long, value_enum)]
    pub unmanaged: Option<Unmanaged>,
    /// false: monitor, whatever the policy says
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set)]
    pub enforce: Option<bool>,
    /// Where /metrics and /healthz are served [default: 127.0.0.1:9125]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// Control socket [default: /run/gate25/control.sock]
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
    /// Below a mounted bpffs: programs, links and maps [default: /sys/fs/bpf/gate25]
    #[arg(long, value_name = "PATH")]
    pub pin: Option<PathBuf>,
    /// What is kept across a reboot: last good policy, newest time seen [default: /var/lib/gate25]
    #[arg(long, value_name = "PATH")]
    pub state: Option<PathBuf>,
    /// File of events; - is standard output [default: the log]
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
}

/// `detach`.
#[derive(Debug, Args)]
pub struct Detach {
    /// The node's configuration
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the programs are pinned [default: /sys/fs/bpf/gate25, or what the configuration says]
    #[arg(long, value_name = "PATH")]
    pub pin: Option<PathBuf>,
}

impl Detach {
    /// The `pin` directory.
    pub fn pin(self) -> Result<PathBuf, config::Unusable> {
        match (self.pin, self.config) {
            (Some(pin), _) => Ok(pin),
            (None, Some(file)) => Ok(config::read(&file)?.pin),
            (None, None) => Ok(Config::of(PathBuf::new()).pin),
        }
    }
}

/// `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// The node.
    #[command(flatten)]
    pub node: Node,
    /// Log each packet to port 25; for debugging, as it costs
    #[arg(long)]
    pub log_packets: bool,
}

impl Node {
    /// The configuration that file and flags make together; a flag wins.
    pub fn config(self) -> Result<Config, config::Unusable> {
        let file = self.config.clone();
        let mut config = match &self.config {
            Some(file) => config::read(file)?,
            None => Config::of(PathBuf::new()),
        };
        replace(&mut config.policy, self.policy);
        if !self.interfaces.is_empty() {
            config.interfaces = self.interfaces;
        }
        if let Some(unmanaged) = self.unmanaged {
            config.interfaces.iter_mut().for_each(|interface| interface.unmanaged = unmanaged);
        }
        replace(&mut config.enforce, self.enforce);
        replace(&mut config.listen, self.listen);
        replace(&mut config.control, self.control);
        replace(&mut config.pin, self.pin);
        replace(&mut config.state, self.state);
        if let Some(file) = self.events {
            config.events = Some(Events { file, max_size: None, keep: None });
        }
        config.checked().map_err(|unusable| unusable.of(file.as_deref()))
    }
}
