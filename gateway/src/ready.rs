//! Tells the service manager that the gate enforces, so that what is ordered behind it (the network) begins only then:
//! systemd's `Type=notify`.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use tracing::warn;

/// Tells it, if one waits.
pub fn tell() {
    if let Some(socket) = env::var_os("NOTIFY_SOCKET")
        && let Err(error) = send(&socket)
    {
        warn!("NOTIFY_SOCKET: {}: {error}: the service manager does not know", socket.display());
    }
}

/// A path, or a name in the abstract namespace behind an `@`.
fn send(socket: &OsStr) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(socket),
    };
    UnixDatagram::unbound()?.send_to_addr(b"READY=1", &address?).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_and_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("@gate25-ready-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name[1..]).unwrap();
        let sockets = [
            (UnixDatagram::bind(&path).unwrap(), path.as_os_str()),
            (UnixDatagram::bind_addr(&address).unwrap(), OsStr::new(&name)),
        ];
        for (socket, address) in sockets {
            send(address).unwrap();
            let mut octets = [0; 16];
            let length = socket.recv(&mut octets).unwrap();
            assert_eq!(&octets[..length], b"READY=1", "{}", address.display());
        }
        assert!(send(OsStr::new("/nowhere/at/all")).is_err());
    }
}
