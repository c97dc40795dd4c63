//! `action: notice`, as somebody at a terminal sees it.

use crate::{FROM, NOTICE, PATIENCE, gate, is_notice, swaks, wait_redirect};
use anyhow::{Result, ensure};
use gate25_tests::{
    command,
    lab::Lab,
    mail::program,
    metrics::sum,
    responder,
    smtp::{self, Outcome},
};
use std::{
    fs,
    net::SocketAddr,
    process::Command,
    time::{Duration, Instant},
};

const SECOND: Duration = Duration::from_secs(1);
/// For a program that starts, on a busy machine, and hears at once.
const QUICK: Duration = Duration::from_secs(3);

#[test]
fn swaks_and_curl_print_it_at_once() -> Result<()> {
    let lab = Lab::new()?;
    let gate = gate(&lab, NOTICE)?;
    let _responder = responder::start(&lab, &gate, &lab.university)?;
    wait_redirect(&gate, "notice", true)?;
    let mail = lab.folder().join("mail");
    fs::write(&mail, "Subject: through the gate\n\nHello.\n")?;
    for address in lab.stranger.addresses() {
        let ended = swaks(&lab.alice, address, &[])?;
        println!("swaks to {address}: {} ms, exit code {:?}", ended.took.as_millis(), ended.code);
        let said = ended.stdout + &ended.stderr;
        is_notice(&said)?;
        ensure!(said.contains("<** 554-") && said.contains("<-  221"), "{said}");
        ensure!(ended.took < QUICK && ended.code != Some(0), "{:?}, {:?}", ended.took, ended.code);

        let mut curl = Command::new(program("curl")?);
        curl.args(["--verbose", "--mail-from", FROM, "--mail-rcpt", "bob@stranger.example", "--upload-file"]);
        curl.arg(&mail).arg(format!("smtp://{}", SocketAddr::new(address, 25)));
        let ended = command::finish(&lab.alice.namespace, curl, PATIENCE)?;
        println!("curl to {address}: {} ms: {}", ended.took.as_millis(), ended.last_line());
        is_notice(&ended.stderr)?;
        // "Weird server reply", and which.
        ensure!(ended.code == Some(8) && ended.last_line().contains("554"), "{ended:?}");
        ensure!(ended.took < QUICK, "{:?}", ended.took);
    }
    let passed = sum(&gate.metrics()?, "gate25_actions_total", &[("action", "notice")]);
    ensure!(passed >= 4.0, "only {passed} packets redirected");
    Ok(())
}

/// Refused, at once: no SYN is sent again.
fn refused(lab: &Lab) -> Result<()> {
    let again = || lab.alice.counter("TCPSynRetrans");
    let before = again()?;
    for address in lab.stranger.addresses() {
        let report = lab.alice.namespace.run(|| smtp::send(SocketAddr::new(address, 25), PATIENCE));
        ensure!(report.outcome == Outcome::Refused && report.took < SECOND, "{address}: {report:?}");
    }
    ensure!(again()? == before, "not at the first SYN");
    Ok(())
}

#[test]
fn without_a_responder_clients_are_refused_at_once() -> Result<()> {
    let lab = Lab::new()?;
    let gate = gate(&lab, NOTICE)?;
    wait_redirect(&gate, "notice", false)?;
    refused(&lab)?;
    for round in 0..2 {
        let responder = responder::start(&lab, &gate, &lab.university)?;
        wait_redirect(&gate, "notice", true)?;
        for address in lab.stranger.addresses() {
            is_notice(&swaks(&lab.alice, address, &[])?.stdout)?;
        }
        drop(responder);
        let gone = Instant::now();
        // Before the gate knows: the reset comes from the responder's host.
        refused(&lab)?;
        wait_redirect(&gate, "notice", false)?;
        println!("round {round}: the gate knew after {} ms", gone.elapsed().as_millis());
        refused(&lab)?;
    }
    Ok(())
}
