//! `gate25 notice`.

use super::replace;
use crate::command::notice;
use crate::config::{self, Config};
use crate::notice::Settings;
use crate::notice::session::Bounds;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

/// `notice`.
#[derive(Debug, Args)]
pub struct Notice {
    /// The node's configuration, for its policy and control socket
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Policy file or directory
    #[arg(long, required_unless_present = "config")]
    pub policy: Option<PathBuf>,
    /// The controller's socket [default: /run/gate25/control.sock]
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
    /// Where to listen, instead of the `notice.address` of all zones; may be repeated
    #[arg(long = "address", value_name = "ADDRESS:PORT")]
    pub addresses: Vec<SocketAddr>,
    /// Where the responder's own /metrics and /healthz are served
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9126")]
    pub listen: SocketAddr,
    /// Its name in the greeting [default: the system's host name]
    #[arg(long = "hostname", value_name = "NAME", value_parser = notice::host)]
    pub host: Option<String>,
    /// Connections in total
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000)]
    pub connections: usize,
    /// Connections from one IPv4 address, or from one IPv6 prefix of 64 bits
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    pub connections_per_address: usize,
}

impl Notice {
    /// What file and flags say together; a flag wins.
    pub fn options(self) -> anyhow::Result<notice::Options> {
        let mut config = match &self.config {
            Some(file) => config::read(file)?,
            None => Config::of(PathBuf::new()),
        };
        replace(&mut config.policy, self.policy);
        replace(&mut config.control, self.control);
        let host = match self.host {
            Some(host) => host,
            None => notice::system_host()?,
        };
        Ok(notice::Options {
            policy: config.named_policy()?,
            addresses: self.addresses.into_iter().collect(),
            listen: self.listen,
            settings: Settings {
                host,
                control: config.control,
                connections: self.connections,
                per_address: self.connections_per_address,
                bounds: Bounds::default(),
            },
        })
    }
}
