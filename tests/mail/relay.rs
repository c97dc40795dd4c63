//! Mail to the approved relay, and mail that `action: relay` leads there.

use crate::{FAMILIES, FROM, PATIENCE, RELAY, gate, receiver, sender, swaks, wait_redirect};
use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    lab::Lab,
    mail::{body, message},
    metrics::sum,
};
use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Instant,
};

#[test]
fn mail_to_the_approved_relay_arrives() -> Result<()> {
    let lab = Lab::new()?;
    let _gate = gate(&lab, "reset")?;
    let (relay, postfix) = (receiver(&lab, &lab.relay)?, sender(&lab)?);
    for (family, address) in FAMILIES.into_iter().zip(lab.relay.addresses()) {
        let to = format!("bob@{family}.relay.example");
        let sent = message(FROM, &to, 20_000);
        postfix.submit(FROM, &to, &sent)?;
        let line = postfix.wait_log(&[&to, "status=sent"])?;
        ensure!(line.contains(&format!("relay={address}[{address}]:25")), "{line}");
        ensure!(body(&relay.wait_mail(&to)?) == body(&sent), "{to}: another body");
    }
    Ok(())
}

#[test]
fn mail_to_a_stranger_is_led_to_the_relay() -> Result<()> {
    let lab = Lab::new()?;
    // Before the gate, which asks a relay only every ten seconds.
    let (relay, postfix) = (receiver(&lab, &lab.relay)?, sender(&lab)?);
    let gate = gate(&lab, RELAY)?;
    let stranger = receiver(&lab, &lab.stranger)?;
    wait_redirect(&gate, "relay", true)?;
    for (family, address) in FAMILIES.into_iter().zip(lab.stranger.addresses()) {
        let word = format!("with-swaks-over-{family}");
        let ended = swaks(&lab.alice, address, &["--body", &word])?;
        ensure!(ended.code == Some(0), "{ended:?}");
        ensure!(ended.stdout.contains(&format!("Connected to {address}")), "{}", ended.stdout);
        ensure!(ended.stdout.contains("<-  220 relay.example"), "{}", ended.stdout);
        relay.wait_mail(&word)?;

        let to = format!("bob@{family}.stranger.example");
        let sent = message(FROM, &to, 20_000);
        postfix.submit(FROM, &to, &sent)?;
        let line = postfix.wait_log(&[&to, "status=sent"])?;
        println!("{line}");
        ensure!(line.contains(&format!("relay={address}[{address}]:25")), "{line}");
        ensure!(body(&relay.wait_mail(&to)?) == body(&sent), "{to}: another body");
    }
    ensure!(stranger.mailbox().is_empty(), "the stranger got mail");
    Ok(())
}

#[test]
fn ten_megabytes_arrive_whole() -> Result<()> {
    let lab = Lab::new()?;
    let (relay, postfix) = (receiver(&lab, &lab.relay)?, sender(&lab)?);
    let gate = gate(&lab, RELAY)?;
    wait_redirect(&gate, "relay", true)?;
    for offloads in ["on", "off"] {
        if offloads == "off" {
            lab.plain_servers()?;
        }
        for family in FAMILIES {
            let to = format!("{offloads}@{family}.stranger.example");
            let sent = message(FROM, &to, 10_000_000);
            let start = Instant::now();
            postfix.submit(FROM, &to, &sent)?;
            let received = relay.wait_mail(&to)?;
            println!("offloads {offloads}, {family}: {} ms", start.elapsed().as_millis());
            ensure!(body(&received) == body(&sent), "offloads {offloads}, {family}: another body");
        }
    }
    let samples = gate.metrics()?;
    let event = |event| sum(&samples, "gate25_flow_events_total", &[("event", event)]);
    let (opened, conflicts) = (event("opened"), event("conflict"));
    ensure!(opened >= 4.0 && conflicts < 0.5, "{opened} opened, {conflicts} conflicts");
    postfix
        .log()
        .lines()
        .find(|line| line.contains("status=deferred"))
        .map_or(Ok(()), |line| Err(anyhow::anyhow!("{line}")).context("a delivery took more than one try"))
}

/// The other way, where the answers' source is rewritten, SMTP says little: a server that greets and goes on.
#[test]
fn ten_megabytes_come_back_whole() -> Result<()> {
    let lab = Lab::new()?;
    let text = format!("220 relay.example\r\n{}", message("a", "b", 10_000_000));
    let listener = lab.relay.namespace.run(|| TcpListener::bind(("::", 25)))?;
    let words = text.clone();
    // The gate's probes want no more than the greeting; what becomes of the rest is their affair.
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let words = words.clone();
            thread::spawn(move || client.write_all(words.as_bytes()));
        }
    });
    let gate = gate(&lab, RELAY)?;
    wait_redirect(&gate, "relay", true)?;
    for offloads in ["on", "off"] {
        if offloads == "off" {
            lab.plain_servers()?;
        }
        for address in lab.stranger.addresses() {
            let start = Instant::now();
            let mut client = lab
                .alice
                .namespace
                .run(|| TcpStream::connect_timeout(&SocketAddr::new(address, 25), PATIENCE))?;
            client.set_read_timeout(Some(PATIENCE))?;
            ensure!(client.peer_addr()?.ip() == address, "{client:?}");
            let mut heard = String::new();
            client.read_to_string(&mut heard)?;
            println!("offloads {offloads}, {address}: {} ms", start.elapsed().as_millis());
            ensure!(heard == text, "offloads {offloads}, {address}: {} octets, or others", heard.len());
        }
    }
    Ok(())
}
