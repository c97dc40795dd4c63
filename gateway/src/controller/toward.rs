//! What the way back needs: programs on the interfaces while a policy asks for them, and the names that this node answers
//! under.

use super::Controller;
use crate::datapath::fault::Fault;
use crate::datapath::netlink;
use crate::datapath::pins::Pins;
use crate::datapath::return_path::ReturnPath;
use crate::datapath::snapshot::Own;
use gate25_common::abi::Gateway;
use gate25_common::address::Address;
use std::net::IpAddr;
use tracing::{info, warn};

impl Controller {
    /// Attaches the way back to every interface, if a policy needs it and it is not there. This comes before that policy
    /// is in force, so that no connection is redirected whose answers would go astray.
    pub(super) fn open_return_paths(&mut self) -> Result<(), Fault> {
        let pins = Pins::below(&self.config.pin)?;
        if let Some(attachment) = self.attachments.iter().find(|attachment| attachment.fault().is_some()) {
            let remedy = "start gate25 again to enforce";
            return Err(Fault::new("interface", attachment.name(), "is not enforced any more", remedy));
        }
        for interface in &self.config.interfaces[self.return_paths.len()..] {
            self.return_paths.push(ReturnPath::attach(&interface.name, &pins)?);
            info!("the return path of {} is looked at", interface.name);
        }
        Ok(())
    }

    /// Takes the way back off every interface: no policy needs it.
    pub(super) fn close_return_paths(&mut self) -> Result<(), Fault> {
        let pins = Pins::below(&self.config.pin)?;
        for return_path in self.return_paths.drain(..) {
            return_path.detach(&pins)?;
        }
        // Also what an earlier controller left.
        crate::datapath::return_path::detach_all(&pins)
    }

    /// Forgets connections that nobody closed, and counts the others.
    pub(super) fn sweep_flows(&mut self) {
        match self.flows.sweep() {
            Ok(left) => self.status.lock().flows = left,
            Err(fault) => warn!("{fault}: connections that nobody closed stay"),
        }
    }

    /// Tells the programs the addresses that this node has on their interfaces now.
    pub(super) fn name_gateways(&mut self) {
        let Ok(pins) = Pins::below(&self.config.pin) else { return };
        for interface in &self.config.interfaces {
            let named = netlink::interface(&interface.name).and_then(|found| {
                let addresses = netlink::own_addresses(found.index)
                    .map_err(|error| Fault::kernel(format!("addresses of {}", interface.name), error))?;
                Own::pinned(&pins, &interface.name)?.name_gateway(gateway(addresses))
            });
            if let Err(fault) = named {
                warn!("{fault}: ICMP answers keep the address they had");
            }
        }
    }
}

fn gateway([ipv4, ipv6]: [Option<IpAddr>; 2]) -> Gateway {
    let words = |address: Option<IpAddr>| address.map_or([0; 2], |address| Address::from(address).words());
    Gateway { ipv4: words(ipv4)[0], ipv6: words(ipv6) }
}
