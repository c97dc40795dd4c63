//! Frames put on the wire as they are, with whatever addresses a sender would like to have.

use crate::namespace::Namespace;
use anyhow::{Context as _, Result, ensure};
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{AddressFamily, LinkAddr, SockFlag, SockType, socket};
use std::{
    io::Error,
    mem::{size_of, zeroed},
    os::fd::{AsRawFd as _, OwnedFd},
};

/// An interface, for sending.
#[derive(Debug)]
pub struct Wire(OwnedFd);

/// The MAC address of an interface.
pub fn mac(namespace: &Namespace, interface: &str) -> Result<[u8; 6]> {
    let found = namespace.run(|| -> Result<Option<[u8; 6]>> {
        let mut all = getifaddrs()?.filter(|address| address.interface_name == interface);
        Ok(all.find_map(|address| address.address.as_ref()?.as_link_addr().and_then(LinkAddr::addr)))
    })?;
    found.with_context(|| format!("{interface}: no MAC address"))
}

impl Wire {
    /// Of an interface in that namespace.
    pub fn open(namespace: &Namespace, interface: &str) -> Result<Self> {
        namespace.run(|| {
            let index = nix::net::if_::if_nametoindex(interface).with_context(|| interface.to_owned())?;
            let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)?;
            // SAFETY: integers and an array of them; zeros are a fine value.
            let mut address: libc::sockaddr_ll = unsafe { zeroed() };
            address.sll_family = libc::AF_PACKET as u16;
            address.sll_ifindex = i32::try_from(index)?;
            // SAFETY: the address is of that size, and outlives the call.
            let bound = unsafe {
                libc::bind(
                    socket.as_raw_fd(),
                    (&raw const address).cast(),
                    size_of::<libc::sockaddr_ll>() as libc::socklen_t,
                )
            };
            ensure!(bound == 0, "{interface}: {}", Error::last_os_error());
            Ok(Self(socket))
        })
    }

    /// Sends frames, all of them, in their order.
    pub fn send(&self, frames: &[Vec<u8>]) -> Result<()> {
        let mut parts: Vec<libc::iovec> = frames
            .iter()
            .map(|frame| libc::iovec { iov_base: frame.as_ptr().cast_mut().cast(), iov_len: frame.len() })
            .collect();
        let mut messages: Vec<libc::mmsghdr> = parts
            .iter_mut()
            .map(|part| {
                // SAFETY: pointers and integers; zeros are a fine value.
                let mut message: libc::mmsghdr = unsafe { zeroed() };
                (message.msg_hdr.msg_iov, message.msg_hdr.msg_iovlen) = (part, 1);
                message
            })
            .collect();
        let mut rest = messages.as_mut_slice();
        while !rest.is_empty() {
            // SAFETY: each message has one part, and the parts outlive the call.
            let sent = unsafe { libc::sendmmsg(self.0.as_raw_fd(), rest.as_mut_ptr(), rest.len() as u32, 0) };
            ensure!(sent > 0, "cannot send: {}", Error::last_os_error());
            rest = &mut rest[sent.unsigned_abs() as usize..];
        }
        Ok(())
    }
}
