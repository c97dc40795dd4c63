//! xdp-filter of Debian's xdp-tools: TCP to port 25 is denied, all else allowed, on an interface.

use crate::rivals::ready;
use anyhow::{Context as _, Result};
use gate25_tests::{lab::Lab, process::Process, xdp};
use std::{os::fd::OwnedFd, process::Command};

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Variant {
    /// All its features, as it loads unless told otherwise.
    Default,
    /// Ports of TCP and nothing else, the least it can be.
    Least,
}

impl Variant {
    pub(crate) const ALL: [Self; 2] = [Self::Default, Self::Least];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Default => "xdp-filter",
            Self::Least => "xdp-filter -f tcp",
        }
    }

    fn features(self) -> &'static str {
        match self {
            Self::Default => "all",
            Self::Least => "tcp",
        }
    }
}

/// One at work, in a mount namespace of its own with a bpffs, where libxdp pins; gone with that.
pub(crate) struct XdpFilter {
    pub(crate) name: &'static str,
    /// What is on the interface.
    pub(crate) program: OwnedFd,
    _keeper: Process,
}

impl XdpFilter {
    /// Puts it on that interface of the lab's edge.
    pub(crate) fn start(lab: &Lab, interface: &str, variant: Variant) -> Result<Self> {
        let features = variant.features();
        let script = format!(
            "set -e; mount -t bpf bpf /sys/fs/bpf; xdp-filter load --mode native --policy allow --features {features} \
             {interface}; xdp-filter port --mode dst --proto tcp 25; echo ready; read -r _"
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script]);
        let keeper = ready(lab, features, command)?;
        let attached = xdp::on(&lab.edge, interface)?.context("nothing is on the interface")?;
        Ok(Self { name: variant.name(), program: xdp::program(attached.program)?, _keeper: keeper })
    }
}
