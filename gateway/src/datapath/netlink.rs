//! Questions to rtnetlink: does the interface exist, what XDP program is on it, and what is this node called there? (`/sys/class/net` would show the
//! network namespace in which it was mounted, not ours.)

use super::attach::XdpMode;
use super::fault::Fault;
use super::sys;
use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage, LinkXdp};
use netlink_packet_route::tc::{TcHandle, TcMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::{fmt, io};

/// An interface of our network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its index; a new one each time an interface is made.
    pub index: u32,
    /// The XDP program on it.
    pub attached: Option<Attached>,
    /// Somebody wants it to carry packets.
    pub is_up: bool,
    /// Octets of the largest IP packet it carries.
    pub mtu: u32,
}

/// An XDP program on an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// How it runs.
    pub mode: XdpMode,
    /// The kernel's id of it.
    pub program: u32,
}

impl Attached {
    /// The program's name.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        let program = sys::program_by_id(self.program).and_then(|program| sys::program(program.as_fd()));
        program.ok().map(|program| program.name).filter(|name| !name.is_empty())
    }
}

impl fmt::Display for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name:?}, id {}", self.program),
            None => write!(f, "id {}", self.program),
        }
    }
}

/// Finds an interface by name.
pub fn interface(name: &str) -> Result<Interface, Fault> {
    match ask(name) {
        Ok(interface) => Ok(interface),
        Err(error)
            if error.raw_os_error() == Some(libc::ENODEV) || error.kind() == io::ErrorKind::InvalidInput =>
        {
            Err(Fault::absent(name))
        }
        Err(error) => Err(Fault::kernel(format!("rtnetlink, asked for {name}"), error)),
    }
}

/// The name and the interface of an index, if there is one.
#[must_use]
pub fn interface_at(index: u32) -> Option<(String, Interface)> {
    let mut request = LinkMessage::default();
    request.header.index = index;
    let link = answer(request).ok()?;
    let name = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    });
    Some((name?, described(&link)))
}

fn ask(name: &str) -> io::Result<Interface> {
    // The kernel would cut a longer name; IFNAMSIZ counts the closing zero.
    if name.is_empty() || name.len() > 15 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut request = LinkMessage::default();
    request.attributes.push(LinkAttribute::IfName(name.to_owned()));
    answer(request).map(|link| described(&link))
}

fn answer(request: LinkMessage) -> io::Result<LinkMessage> {
    let socket = asked(RouteNetlinkMessage::GetLink(request), NLM_F_REQUEST)?;
    let (answer, _) = socket.recv_from_full()?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).map_err(io::Error::other)?;
    match answer.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => Ok(link),
        NetlinkPayload::Error(error) => Err(error.to_io()),
        _ => Err(io::Error::other("an answer to another question")),
    }
}

/// A socket on which the answer will come.
fn asked(question: RouteNetlinkMessage, flags: u16) -> io::Result<Socket> {
    let mut header = NetlinkHeader::default();
    header.flags = flags;
    let mut message = NetlinkMessage::new(header, question.into());
    message.finalize();
    let mut octets = vec![0; message.buffer_len()];
    message.serialize(&mut octets);
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.send_to(&octets, &SocketAddr::new(0, 0), 0)?;
    Ok(socket)
}

/// What this node calls itself on an interface: its first address there of each family, or else on any other; what is
/// valid on one link only (RFC 4291 section 2.5.6) comes last, and must be of that very interface.
pub fn own_addresses(index: u32) -> io::Result<[Option<IpAddr>; 2]> {
    let mut found: Vec<(u8, IpAddr)> = Vec::new();
    all(RouteNetlinkMessage::GetAddress(AddressMessage::default()), |answer| {
        if let RouteNetlinkMessage::NewAddress(address) = answer {
            found.extend(ranked(&address, index));
        }
    })?;
    found.sort_by_key(|(rank, _)| *rank);
    let first = |ipv6| found.iter().map(|(_, found)| *found).find(|found| found.is_ipv6() == ipv6);
    Ok([first(false), first(true)])
}

/// Whether clsact has a filter of that priority and handle on what leaves an interface.
pub fn has_filter(index: u32, priority: u16, handle: u16) -> io::Result<bool> {
    let mut question = TcMessage::default();
    question.header.index = index.cast_signed();
    question.header.parent = CLSACT_EGRESS;
    let mut found = false;
    all(RouteNetlinkMessage::GetTrafficFilter(question), |answer| {
        if let RouteNetlinkMessage::NewTrafficFilter(filter) = answer {
            let is_it = filter.header.handle == TcHandle { major: 0, minor: handle };
            found |= is_it && filter.header.info >> 16 == u32::from(priority);
        }
    })?;
    Ok(found)
}

/// `TC_H_CLSACT` and `TC_H_MIN_EGRESS` of `linux/pkt_sched.h`.
const CLSACT_EGRESS: TcHandle = TcHandle { major: 0xffff, minor: 0xfff3 };

/// Asks for a list, and hands on all of it.
fn all(question: RouteNetlinkMessage, mut take: impl FnMut(RouteNetlinkMessage)) -> io::Result<()> {
    let socket = asked(question, NLM_F_REQUEST | NLM_F_DUMP)?;
    loop {
        let (answer, _) = socket.recv_from_full()?;
        let mut rest = answer.as_slice();
        while !rest.is_empty() {
            let message =
                NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map_err(io::Error::other)?;
            let length = (message.header.length as usize).next_multiple_of(4).min(rest.len());
            rest = &rest[length..];
            match message.payload {
                NetlinkPayload::InnerMessage(answer) => take(answer),
                NetlinkPayload::Done(_) => return Ok(()),
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                _ => {}
            }
        }
    }
}

/// An address that may be spoken from, and how willingly: the lower the better.
fn ranked(message: &AddressMessage, index: u32) -> Option<(u8, IpAddr)> {
    let find = |wanted: fn(&AddressAttribute) -> Option<IpAddr>| message.attributes.iter().find_map(wanted);
    let address = find(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    let address = address.or_else(|| {
        find(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })?;
    let here = message.header.index == index;
    match message.header.scope {
        AddressScope::Universe => Some((u8::from(!here), address)),
        AddressScope::Link if here => Some((2, address)),
        _ => None,
    }
}

fn described(link: &LinkMessage) -> Interface {
    let xdp = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Xdp(xdp) => Some(xdp.as_slice()),
        _ => None,
    });
    let attached = xdp.unwrap_or_default().iter().find_map(|attribute| match *attribute {
        LinkXdp::SkbProgId(program) => Some(Attached { mode: XdpMode::Generic, program }),
        LinkXdp::DrvProgId(program) | LinkXdp::HwProgId(program) => {
            Some(Attached { mode: XdpMode::Native, program })
        }
        _ => None,
    });
    let mtu = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Mtu(mtu) => Some(*mtu),
        _ => None,
    });
    let is_up = link.header.flags.contains(LinkFlags::Up);
    Interface { index: link.header.index, attached, is_up, mtu: mtu.unwrap_or(0) }
}
