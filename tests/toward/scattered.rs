//! Packets that a driver left in several pieces, as it may: what the gate has to read can lie in any of them.

use anyhow::{Context as _, Result, ensure};
use gate25_tests::gate::Gate;
use gate25_tests::lab::Lab;
use gate25_tests::metrics::sum;
use gate25_tests::packet::{ACK, Ipv4, Link, Tcp, protocol};
use gate25_tests::policy;
use gate25_tests::smtp::Sink;
use gate25_tests::wire::mac;
use std::fs::File;
use std::io::{IoSlice, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

/// `IFF_TAP`, `IFF_NO_PI`, `IFF_NAPI` and `IFF_NAPI_FRAGS` of `linux/if_tun.h`: each part that is written becomes a page of
/// its own.
const FLAGS: i16 = 0x0002 | 0x1000 | 0x0010 | 0x0020;
/// `TUNSETIFF`.
const SET: libc::c_ulong = 0x4004_54ca;

/// A tap of that name in this thread's network namespace, up.
fn tap(lab: &Lab) -> Result<File> {
    let tap = lab.edge.run(|| -> Result<File> {
        let file = File::options().read(true).write(true).open("/dev/net/tun").context("/dev/net/tun")?;
        let mut request = [0_u8; 40];
        request[..4].copy_from_slice(b"tap0");
        request[16..18].copy_from_slice(&FLAGS.to_ne_bytes());
        // SAFETY: the request is a `struct ifreq`, which the kernel reads and writes.
        let result = unsafe { libc::ioctl(file.as_raw_fd(), SET, request.as_mut_ptr()) };
        ensure!(result == 0, "tap0: {}", std::io::Error::last_os_error());
        Ok(file)
    })?;
    lab.edge.ip("link set tap0 up\naddr add 198.18.9.1/24 dev tap0\n")?;
    Ok(tap)
}

#[test]
fn a_quote_is_translated_wherever_it_lies() -> Result<()> {
    let lab = Lab::new()?;
    let text = policy::WEST.replace("action: reset", "action: relay\n    relay_to: 192.0.2.25:25");
    let _relay = Sink::start(&lab.relay.namespace, "relay", &[25])?;
    let gate = Gate::start(&lab, &policy::write(lab.folder(), &text)?)?;
    gate.wait_metrics("the relay answers", |now| sum(now, "gate25_redirect_up", &[]) >= 1.0)?;
    let stranger = SocketAddr::new(lab.stranger.v4.into(), 25);
    let client =
        lab.alice.namespace.run(|| TcpStream::connect_timeout(&stranger, Duration::from_secs(20)))?;

    let mut tap = tap(&lab)?;
    let quoted =
        Ipv4::tcp(lab.alice.v4, lab.relay.v4, &Tcp::new(client.local_addr()?.port(), 25, ACK)).octets();
    // Fragmentation needed, RFC 1191 section 4; nobody but the subscriber looks at its checksum.
    let message = [&[3, 4, 0, 0, 0, 0, 0x05, 0x14], &quoted[..]].concat();
    let mut link = Link::new();
    link.destination = mac(&lab.edge, "tap0")?;
    let frame = link.carry(Ipv4::new([198, 18, 9, 9].into(), lab.alice.v4, protocol::ICMP, message));
    let translated = |now: &_| sum(now, "gate25_flow_events_total", &[("event", "icmp")]);
    for (sent, cut) in (1_u8..).zip([14, 34, 42, 62]) {
        let (head, rest) = frame.split_at(cut);
        let written = tap.write_vectored(&[IoSlice::new(head), IoSlice::new(rest)])?;
        ensure!(written == frame.len());
        gate.wait_metrics(&format!("cut at {cut}: translated"), |now| translated(now) >= f64::from(sent))?;
    }
    Ok(())
}
