//! The subscriber interfaces.

use super::ethtool::{self, Offloads};
use super::xdp_features::{self, Features};
use super::{Line, Status, kernel};
use crate::config::{Config, Interface};
use crate::datapath::attach::{self, XdpMode};
use crate::datapath::netlink;
use crate::datapath::pins::Pins;

/// Drivers that have native XDP, for kernels that do not say (before 6.3).
const NATIVE: [&str; 34] = [
    "atlantic",
    "bnxt_en",
    "cpsw",
    "dpaa2-eth",
    "ena",
    "fec",
    "fsl_dpa",
    "fsl_dpaa2_eth",
    "gve",
    "hv_netvsc",
    "i40e",
    "iavf",
    "ice",
    "igb",
    "igc",
    "ixgbe",
    "ixgbevf",
    "lan966x-switch",
    "mana",
    "mlx4_en",
    "mlx5_core",
    "mtk_soc_eth",
    "mvneta",
    "mvpp2",
    "netsec",
    "nfp",
    "qede",
    "sfc",
    "stmmac",
    "tsnep",
    "tun",
    "veth",
    "virtio_net",
    "vmxnet3",
];
/// The largest packet whose frame, with two tags, fits one buffer in a page of 4,096 octets, behind 256 of headroom and
/// before the 320 that the kernel keeps.
const ONE_BUFFER: u32 = 4_096 - 256 - 320 - 14 - 8;

pub(super) fn lines(config: &Config, pins: Option<&Pins>) -> Vec<Line> {
    config.interfaces.iter().flat_map(|interface| of(interface, pins)).collect()
}

fn of(interface: &Interface, pins: Option<&Pins>) -> Vec<Line> {
    let (name, mode) = (&interface.name, interface.mode);
    let found = match netlink::interface(name) {
        Ok(found) => found,
        Err(fault) => return vec![Line::fault(name, &fault, "an interface")],
    };
    let link = if found.is_up {
        Line::ok(name, "up", "up")
    } else {
        Line::ok(name, "down", "up").but(Status::Warn, format!("ip link set {name} up"))
    };
    let (features, driver) = (xdp_features::of(found.index), ethtool::driver(name));
    let driver = driver.as_deref().unwrap_or("");
    let mut lines = vec![link, native(name, mode, features, driver), program(name, mode, &found, pins)];
    lines.push(mtu(name, mode, found.mtu, features));
    match ethtool::offloads(name) {
        Some(offloads) => lines.extend(offload_lines(name, mode, offloads)),
        None => lines.push(Line::unknown(
            format!("{name} offloads"),
            "VLAN and LRO off",
            format!("see what `ethtool -k {name}` says"),
        )),
    }
    lines
}

fn native(name: &str, mode: XdpMode, features: Option<Features>, driver: &str) -> Line {
    let line = |found: String| Line::ok(format!("{name} XDP"), found, format!("{} XDP", mode.label()));
    if mode == XdpMode::Generic {
        return line("generic, which every interface has".to_owned());
    }
    let has =
        features.map_or_else(|| NATIVE.contains(&driver).then_some(true), |features| Some(features.native()));
    match has {
        Some(true) => line(format!("native{}", named(driver))),
        Some(false) => line(format!("none{}", named(driver)))
            .but(Status::Fail, "use a driver that has, or accept the cost of `mode: generic`"),
        None => line(format!("unknown{}", named(driver)))
            .but(Status::Warn, "the start will show; if it is refused, accept the cost of `mode: generic`"),
    }
}

fn named(driver: &str) -> String {
    if driver.is_empty() { String::new() } else { format!(", driver {driver}") }
}

fn program(name: &str, mode: XdpMode, found: &netlink::Interface, pins: Option<&Pins>) -> Line {
    let line = |found: String| Line::ok(format!("{name} XDP program"), found, "none, or gate25's");
    let Some(attached) = &found.attached else { return line("none".to_owned()) };
    if !kernel::is_privileged() {
        return line(format!("{attached}; whose it is could not be seen")).but(Status::Warn, "look as root");
    }
    let Some(pins) = pins else {
        return line(format!("{attached}"))
            .but(Status::Fail, format!("take it off first, as `ip link set dev {name} xdp off` does"));
    };
    match attach::look(name, mode, pins) {
        Ok(_) => line(format!("gate25's: {attached}")),
        Err(fault) => Line::fault(format!("{name} XDP program"), &fault, "none, or gate25's"),
    }
}

fn mtu(name: &str, mode: XdpMode, mtu: u32, features: Option<Features>) -> Line {
    let line = |needed: String| Line::ok(format!("{name} MTU"), mtu, needed);
    let one = format!("{ONE_BUFFER} at most, or frames of several buffers");
    match features {
        _ if mtu <= ONE_BUFFER || mode == XdpMode::Generic => line(one),
        Some(features) if features.several_buffers() => line(format!("{one}, which the driver has")),
        _ => line(format!("{one}, which the driver does not say that it has"))
            .but(Status::Warn, format!("ip link set {name} mtu 1500, if the start is refused")),
    }
}

fn offload_lines(name: &str, mode: XdpMode, offloads: Offloads) -> Vec<Line> {
    let word = |on: bool| if on { "on" } else { "off" };
    let line = |what: &str, on| Line::ok(format!("{name} {what}"), word(on), "off");
    let vlan = line("VLAN tag stripping", offloads.vlan);
    let lro = line("LRO", offloads.lro);
    vec![
        if offloads.vlan {
            vlan.but(
                Status::Warn,
                format!("ethtool -K {name} rxvlan off, or answers to tagged frames go without the tag"),
            )
        } else {
            vlan
        },
        // In generic mode the kernel turns it off by itself.
        if offloads.lro && mode == XdpMode::Native {
            lro.but(Status::Fail, format!("ethtool -K {name} lro off"))
        } else {
            lro
        },
        if offloads.gro_hw && mode == XdpMode::Native {
            line("GRO in hardware", true).but(Status::Warn, format!("ethtool -K {name} rx-gro-hw off"))
        } else {
            line("GRO in hardware", offloads.gro_hw)
        },
    ]
}
