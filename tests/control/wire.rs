//! What comes over the socket, well meant or not.

use crate::support::{SOON, Served};
use anyhow::{Result, ensure};
use gate25::control::places;
use gate25_tests::wait;
use std::{
    io::{ErrorKind, Read as _},
    thread,
};

#[test]
fn requests_may_have_4096_octets() -> Result<()> {
    let served = Served::start()?;
    let mut client = served.connect()?;
    let request = r#"{"notice":{"subscriber":"203.0.113.9","port":1}}"#;
    let padded = |octets: usize| format!("{request:octets$}\n");
    client.write(padded(4096).as_bytes())?;
    ensure!(client.read()?["reference"].is_string());
    client.write(padded(4097).as_bytes())?;
    let refused = client.read()?;
    ensure!(refused["error"].as_str().is_some_and(|error| error.contains("4096")), "{refused}");
    ensure!(client.0.read(&mut [0]).or_else(is_reset)? == 0, "it goes on");

    // Endless, without a newline; nobody else is kept waiting.
    let mut endless = served.connect()?;
    let flood = thread::spawn(move || {
        while endless.write(&[b'x'; 8192]).is_ok() {}
        endless.read()
    });
    ensure!(served.connect()?.notice(2)?["reference"].is_string());
    let answer = flood.join().map_err(|_| anyhow::anyhow!("panicked"))??;
    ensure!(answer["error"].is_string(), "{answer}");
    Ok(())
}

fn is_reset(error: std::io::Error) -> std::io::Result<usize> {
    if error.kind() == ErrorKind::ConnectionReset { Ok(0) } else { Err(error) }
}

#[test]
fn garbage_is_answered_and_forgotten() -> Result<()> {
    let served = Served::start()?;
    let mut client = served.connect()?;
    let mut state = 1_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    for length in 0..300 {
        let line: Vec<u8> =
            (0..length).map(|_| random()).filter(|octet| *octet != b'\n').chain([b'\n']).collect();
        client.write(&line)?;
        let answer = client.read()?;
        ensure!(answer["error"].is_string(), "{line:?}: {answer}");
    }
    for line in [
        "null",
        "{}",
        "[]",
        r#"{"reload":{}}"#,
        r#"{"notice":{"subscriber":"x","port":1}}"#,
        r#"{"notice":{"subscriber":"203.0.113.9","port":65536}}"#,
    ] {
        ensure!(client.ask(line)?["error"].is_string(), "{line}");
    }
    ensure!(client.ask(&"[".repeat(4000))?["error"].is_string(), "deep");
    ensure!(client.notice(7)?["reference"].is_string(), "the same connection");
    Ok(())
}

#[test]
fn answers_come_in_the_order_of_their_requests() -> Result<()> {
    let served = Served::start()?;
    let mut client = served.connect()?;
    let line = |port: u16| format!("{{\"notice\":{{\"subscriber\":\"203.0.113.9\",\"port\":{port}}}}}\n");
    let alone: Vec<_> = (1..100).map(|port| client.notice(port)).collect::<Result<_>>()?;
    client.write((1..100).map(line).collect::<String>().as_bytes())?;
    let together: Vec<_> = (1..100).map(|_| client.read()).collect::<Result<_>>()?;
    ensure!(alone == together, "within a minute a connection keeps its reference");
    Ok(())
}

#[test]
fn connections_are_bounded_and_come_free() -> Result<()> {
    let served = Served::start()?;
    let mut clients: Vec<_> = (0..places::CONNECTIONS).map(|_| served.connect()).collect::<Result<_>>()?;
    for client in &mut clients {
        ensure!(client.notice(1)?["reference"].is_string());
    }
    let refused = served.connect()?.read()?;
    ensure!(refused["error"].as_str().is_some_and(|error| error.contains("64")), "{refused}");
    ensure!(clients[0].notice(2)?["reference"].is_string(), "those that are there go on");
    clients.pop();
    let next = wait::until(SOON, || served.connect().ok()?.notice(3).ok()?["reference"].as_str().map(drop));
    ensure!(next.is_some(), "no place came free");
    Ok(())
}
