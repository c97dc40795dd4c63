//! Who is connected to whom: the lines `ip` gets.

use crate::{
    lab::Host,
    namespace::{Namespace, ip},
    wait, xdp_pass,
};
use anyhow::{Context as _, Result};
use nix::{ifaddrs::getifaddrs, net::if_::InterfaceFlags};
use std::{fs, os::fd::OwnedFd, process::Command, time::Duration};

/// How long a link may take to come up.
const LINK: Duration = Duration::from_secs(30);

/// What the edge is on its two sides: the gateway of every host.
const EDGE: &str = "\
link set lo up
link set eth0 up
link set eth1 up
addr add 203.0.113.1/24 dev eth1
addr add 2001:db8:100::1/64 dev eth1 nodad
addr add 2001:db8:101::1/64 dev eth1 nodad
addr add 192.0.2.1/24 dev eth0
addr add 198.51.100.1/24 dev eth0
addr add 2001:db8:25::1/64 dev eth0 nodad
addr add 2001:db8:51::1/64 dev eth0 nodad
addr add 2001:db8:bad::1/64 dev eth0 nodad
";

/// Connects hosts, two switches and the edge; the result keeps the pass program on the switch's port to the edge.
pub(crate) fn connect(
    subscribers: &[&Host],
    access: &Namespace,
    edge: &Namespace,
    internet: &Namespace,
    servers: &[&Host],
) -> Result<OwnedFd> {
    let sides = [(access, subscribers, "eth1"), (internet, servers, "eth0")];
    let hosts = || subscribers.iter().chain(servers);
    for namespace in hosts().map(|host| &host.namespace).chain([access, edge, internet]) {
        namespace.run(settings)?;
    }
    edge.run(|| sysctl("ipv4/ip_forward", "1").and_then(|()| sysctl("ipv6/conf/all/forwarding", "1")))?;

    for (switch, hosts, port) in sides {
        let ends = hosts.iter().map(|host| (host.name, host.namespace.name(), "eth0"));
        let ends: Vec<_> = ends.chain([("edge", edge.name(), port)]).collect();
        let lines = |line: &dyn Fn(&(&str, &str, &str)) -> String| ends.iter().map(line).collect::<String>();
        let to = switch.name();
        ip(
            &[],
            &lines(&|(name, from, end)| {
                format!("link add {end} netns {from} type veth peer name {name} netns {to}\n")
            }),
        )?;
        switch.ip("link add switch type bridge mcast_snooping 0\nlink set switch up\n")?;
        switch.ip(&lines(&|(name, ..)| format!("link set {name} master switch up\n")))?;
    }
    edge.ip(EDGE)?;
    for host in hosts() {
        host.namespace.ip(&host.settings())?;
    }
    for host in subscribers {
        plain_frames(&host.namespace, "eth0")?;
        plain_frames(access, host.name)?;
    }
    plain_frames(access, "edge")?;
    plain_frames(edge, "eth1")?;
    let pass = access.run(|| xdp_pass::attach("edge"))?;

    for namespace in hosts().map(|host| &host.namespace).chain([edge]) {
        wait::until(LINK, || namespace.run(up).then_some(()))
            .with_context(|| format!("{}: no link after {LINK:?}", namespace.name()))?;
    }
    Ok(pass)
}

/// Connects one more subscriber to an interface `eth2` of the edge that is made for it; the result keeps the pass
/// program on the subscriber's end.
pub(crate) fn connect_directly(host: &Host, edge: &Namespace) -> Result<OwnedFd> {
    let (there, here) = (host.namespace.name(), edge.name());
    host.namespace.run(settings)?;
    ip(&[], &format!("link add eth2 netns {here} type veth peer name eth0 netns {there}\n"))?;
    edge.ip(
        "link set eth2 up\naddr add 100.64.2.1/24 dev eth2\naddr add 2001:db8:102::1/64 dev eth2 nodad\n",
    )?;
    host.namespace.ip(&host.settings())?;
    plain_frames(&host.namespace, "eth0")?;
    plain_frames(edge, "eth2")?;
    let pass = host.namespace.run(|| xdp_pass::attach("eth0"))?;
    for namespace in [&host.namespace, edge] {
        wait::until(LINK, || namespace.run(up).then_some(()))
            .with_context(|| format!("{}: no link after {LINK:?}", namespace.name()))?;
    }
    Ok(pass)
}

impl Host {
    fn settings(&self) -> String {
        let (v4, v6) = (self.v4, self.v6);
        let [a, b, c, _] = v4.octets();
        let [_, _, subnet, ..] = v6.segments();
        format!(
            "link set lo up
link set eth0 up
addr add {v4}/24 dev eth0
addr add {v6}/64 dev eth0 nodad
route add default via {a}.{b}.{c}.1
route add default via 2001:db8:{subnet:x}::1
"
        )
    }
}

/// IPv6 is on, and an address can be used at once.
fn settings() -> Result<()> {
    for scope in ["all", "default"] {
        sysctl(&format!("ipv6/conf/{scope}/disable_ipv6"), "0")?;
        sysctl(&format!("ipv6/conf/{scope}/accept_dad"), "0")?;
    }
    Ok(())
}

/// Writes a setting of this thread's network namespace.
fn sysctl(name: &str, value: &str) -> Result<()> {
    fs::write(format!("/proc/sys/net/{name}"), value).with_context(|| format!("sysctl {name}"))
}

/// Frames as a cable carries them: with their checksum, not larger than the MTU, tags inside.
pub(crate) fn plain_frames(namespace: &Namespace, interface: &str) -> Result<()> {
    let mut command = Command::new("ethtool");
    command.args(["-K", interface]).args("tx off tso off gso off gro off txvlan off rxvlan off".split(' '));
    namespace.output(command).map(drop)
}

/// Whether every interface here has its link.
fn up() -> bool {
    getifaddrs()
        .is_ok_and(|mut all| all.all(|interface| interface.flags.contains(InterfaceFlags::IFF_RUNNING)))
}
