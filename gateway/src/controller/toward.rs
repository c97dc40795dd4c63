//! What redirected connections and answers need besides programs: somebody who forgets the ones, and names for the others.

use super::Controller;
use crate::datapath::fault::Fault;
use crate::datapath::netlink;
use crate::datapath::pins::Pins;
use crate::datapath::snapshot::Own;
use gate25_common::abi::Gateway;
use gate25_common::address::Address;
use std::net::IpAddr;
use tracing::warn;

impl Controller {
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
        let away: Vec<String> = {
            let status = self.status.lock();
            let away = status.interfaces.iter().filter(|interface| !interface.attached);
            away.map(|interface| interface.name.clone()).collect()
        };
        for interface in self.config.interfaces.iter().filter(|interface| !away.contains(&interface.name)) {
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
