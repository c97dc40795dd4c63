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

/// How connecting from alice to the stranger ends, and when.
fn connect(lab: &Lab, to: IpAddr) -> Result<(ErrorKind, Duration)> {
    let start = Instant::now();
    let server = SocketAddr::new(to, 25);
    match lab.alice.namespace.run(|| TcpStream::connect_timeout(&server, Duration::from_secs(5))) {
        Ok(_) => bail!("{to}: connected"),
        Err(error) => Ok((error.kind(), start.elapsed())),
    }
}

#[test]
fn a_reset_ends_connect_at_once() -> Result<()> {
    let lab = Lab::new()?;
    let _gate = gate(&lab, "reset")?;
    for address in lab.stranger.addresses() {
        let (error, took) = connect(&lab, address)?;
        println!("{address}: {error}, {} us", took.as_micros());
        ensure!(error == ErrorKind::ConnectionRefused, "{address}: {error}");
        ensure!(took < Duration::from_millis(100), "{address}: {took:?}");
    }
    Ok(())
}

/// Without any latency the error often arrives while `connect` still holds its socket: then Linux only notes it, and what
/// ends the wait is the answer to the SYN's first retransmission. So the SYN waits some milliseconds behind other packets,
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
        for _ in 0..3 {
            other.send_to(&[0; 1400], (address, 9))?;
        }
        let (error, took) = connect(&lab, address)?;
        println!("{address}: {error}, {} ms", took.as_millis());
        ensure!(error == wanted, "{address}: {error}");
        ensure!(took < Duration::from_millis(100), "{address}: {took:?}");
    }
    Ok(())
}
