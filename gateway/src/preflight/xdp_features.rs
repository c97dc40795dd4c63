//! What a driver can do with XDP, as the kernel's netdev family says (Linux 6.3, `linux/netdev.h`).

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_GENERIC};
use std::io;

/// Bits of `enum netdev_xdp_act`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Features(u64);

impl Features {
    /// `NETDEV_XDP_ACT_BASIC`.
    pub(super) const fn native(self) -> bool {
        self.0 & 1 != 0
    }

    /// `NETDEV_XDP_ACT_RX_SG`.
    pub(super) const fn several_buffers(self) -> bool {
        self.0 & 1 << 5 != 0
    }
}

/// Those of an interface; `None` where the kernel does not say.
pub(super) fn of(index: u32) -> Option<Features> {
    let socket = connected().ok()?;
    // The controller, GETFAMILY, FAMILY_NAME → FAMILY_ID.
    let answer = ask(&socket, (0x10, 3, 2), (2, b"netdev\0")).ok()?;
    let family = u16::from_ne_bytes(*find(&answer, 1)?.first_chunk()?);
    // NETDEV_CMD_DEV_GET, NETDEV_A_DEV_IFINDEX → NETDEV_A_DEV_XDP_FEATURES.
    let answer = ask(&socket, (family, 1, 1), (1, &index.to_ne_bytes())).ok()?;
    Some(Features(u64::from_ne_bytes(*find(&answer, 3)?.first_chunk()?)))
}

fn connected() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_GENERIC)?;
    socket.bind_auto()?;
    Ok(socket)
}

/// Octets of `nlmsghdr` and `genlmsghdr`.
const HEADERS: usize = 20;

/// Sends one attribute to a family's command; the attributes of the answer.
fn ask(
    socket: &Socket,
    (family, command, version): (u16, u8, u8),
    (kind, value): (u16, &[u8]),
) -> io::Result<Vec<u8>> {
    let length = 4 + value.len();
    let mut message = Vec::new();
    message.extend(((HEADERS + length.next_multiple_of(4)) as u32).to_ne_bytes());
    message.extend(family.to_ne_bytes());
    // NLM_F_REQUEST, no sequence number, the kernel gives the port.
    message.extend(1_u16.to_ne_bytes());
    message.extend([0; 8]);
    message.extend([command, version, 0, 0]);
    message.extend((length as u16).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(value);
    message.resize(HEADERS + length.next_multiple_of(4), 0);
    socket.send_to(&message, &SocketAddr::new(0, 0), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    match answer.get(4..6) {
        // Not NLMSG_ERROR.
        Some(kind) if kind != 2_u16.to_ne_bytes() => Ok(answer.get(HEADERS..).unwrap_or_default().to_vec()),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// The value of the first attribute of that kind.
fn find(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(*attributes.first_chunk()?));
        let kind = u16::from_ne_bytes(*attributes.get(2..)?.first_chunk()?);
        if kind == wanted {
            return attributes.get(4..length);
        }
        attributes = attributes.get(length.max(4).next_multiple_of(4)..)?;
    }
}
