//! Whom the commands ask that ask a running controller.

use crate::config::{self, Config};
use clap::Args;
use std::path::PathBuf;

/// A running controller, by its socket.
#[derive(Debug, Args)]
pub struct Asked {
    /// The node's configuration, which names the control socket
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The running controller's socket [default: /run/gate25/control.sock, or what the configuration says]
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
}

impl Asked {
    /// The control socket.
    pub fn socket(self) -> Result<PathBuf, config::Unusable> {
        match (self.control, self.config) {
            (Some(control), _) => Ok(control),
            (None, Some(file)) => Ok(config::read(&file)?.control),
            (None, None) => Ok(Config::of(PathBuf::new()).control),
        }
    }
}
