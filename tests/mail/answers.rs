//! `action: reset` and `action: icmp`: how Linux' `connect` ends.

use crate::gate;
use anyhow::{Result, bail, ensure};
use gate25_tests::lab::Lab;
use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    process::Command,
    time::{Duration, Instant},
};

/// How connecting from alice to the stranger ends, at once: its SYN is not sent again.
fn connect(lab: &Lab, to: IpAddr) -> Result<ErrorKind> {
    let again = || lab.alice.counter("TCPSynRetrans");
    let (before, server, start) = (again()?, SocketAddr::new(to, 25), Instant::now());
    let end = lab.alice.namespace.run(|| TcpStream::connect_timeout(&server, Duration::from_secs(5)));
    let took = start.elapsed();
    let Err(error) = end else { bail!("{to}: connected") };
    println!("{to}: {error}, {} us", took.as_micros());
    ensure!(again()? == before && took < Duration::from_secs(1), "{to}: only after {took:?}");
    Ok(error.kind())
}

#[test]
fn a_reset_ends_connect_at_once() -> Result<()> {
    let lab = Lab::new()?;
    let _gate = gate(&lab, "reset")?;
    for address in lab.stranger.addresses() {
        let error = connect(&lab, address)?;
        ensure!(error == ErrorKind::ConnectionRefused, "{address}: {error}");
    }
    Ok(())
}

/// Without any latency the error often arrives while `connect` still holds its socket: then Linux only notes it, and what
/// ends the wait is the answer to the SYN's first retransmission. So the SYN waits a tenth of a second behind other packets,
/// on a line of a megabit.
#[test]
fn an_icmp_error_ends_connect_at_once() -> Result<()> {
    let lab = Lab::new()?;
    let _gate = gate(&lab, "icmp")?;
    let mut tc = Command::new("tc");
    tc.args("qdisc add dev eth0 root tbf rate 1mbit burst 1600 limit 100000".split(' '));
    lab.alice.namespace.output(tc)?;
    let errors = [ErrorKind::HostUnreachable, ErrorKind::PermissionDenied];
    for (address, wanted) in lab.stranger.addresses().into_iter().zip(errors) {
        let any =
            SocketAddr::new(if address.is_ipv4() { lab.alice.v4.into() } else { lab.alice.v6.into() }, 0);
        let other = lab.alice.namespace.run(|| UdpSocket::bind(any))?;
        for _ in 0..10 {
            other.send_to(&[0; 1400], (address, 9))?;
        }
        let error = connect(&lab, address)?;
        ensure!(error == wanted, "{address}: {error}");
    }
    Ok(())
}
