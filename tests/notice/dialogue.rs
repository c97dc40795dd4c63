//! What one client reads, however it behaves.

use crate::support::{Client, HOST, SOON, URL, controller, known, mute, reference, respond, settings, zone};
use anyhow::{Context as _, Result, ensure};
use gate25::notice::{greeting::Texts, session::Bounds};
use gate25_tests::wait;
use std::{
    net::Shutdown,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const NOWHERE: &str = "/nowhere/control.sock";

#[test]
fn a_client_is_told_everything_and_may_only_quit() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let control = controller(folder.path(), |port| Some(known(port)))?;
    let (_responder, address) = respond(settings(&control))?;
    let mut client = Client::to(address)?;
    let wanted = format!(
        "554-{HOST} is a notice of your network's port-25 policy, not 192.0.2.200\r\n\
         554-Your network stopped this connection; no mail was sent.\r\n\
         554-Reason: default (only approved mail servers may be reached on port 25)\r\n\
         554-Please send your mail through smtp.example.net port 587 or 465\r\n\
         554-More about this: {URL}\r\n\
         554 Reference, if you ask us about it: {}\r\n",
        reference(client.port()?)
    );
    let greeting = client.reply()?;
    ensure!(greeting == wanted, "{greeting}");
    for command in
        ["EHLO client.example", "HELO a", "AUTH PLAIN AGEAYg==", "STARTTLS", "MAIL FROM:<a@b.c>", "DATA"]
    {
        client.write(format!("{command}\r\n").as_bytes())?;
        let reply = client.reply()?;
        ensure!(reply.starts_with("503 ") && reply.ends_with("\r\n"), "{command}: {reply}");
    }
    client.write(b"QUIT\r\n")?;
    let rest = client.rest()?;
    ensure!(rest.starts_with("221 ") && rest.lines().count() == 1, "{rest}");
    Ok(())
}

#[test]
fn without_a_controller_it_says_what_it_knows() -> Result<()> {
    let (responder, address) = respond(settings(Path::new(NOWHERE)))?;
    let greeting = Client::to(address)?.reply()?;
    ensure!(greeting.contains(URL) && greeting.contains("587 or 465"), "{greeting}");
    ensure!(!greeting.contains("Reason") && !greeting.contains("Reference"), "{greeting}");
    let mut other = zone();
    other.notice.as_mut().context("no notice")?.url = Some("https://other.example".into());
    responder.say(Texts::of(&[other]));
    let greeting = Client::to(address)?.reply()?;
    ensure!(greeting.contains("https://other.example"), "the new text at once: {greeting}");
    Ok(())
}

/// One that takes questions and answers none delays each client by 200 ms, and all of them together by no more.
#[test]
fn a_mute_controller_delays_by_200_ms() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (control, _listener) = mute(folder.path())?;
    let (_responder, address) = respond(settings(&control))?;
    let begin = Instant::now();
    let mut clients: Vec<_> = (0..100).map(|_| Client::to(address)).collect::<Result<_>>()?;
    for client in &mut clients {
        let greeting = client.reply()?;
        ensure!(greeting.contains(URL) && !greeting.contains("Reference"), "{greeting}");
    }
    let took = begin.elapsed();
    ensure!((Duration::from_millis(200)..Duration::from_secs(5)).contains(&took), "{took:?}");
    Ok(())
}

/// Answers that come late, or not at all, are never taken for another client's.
#[test]
fn everybody_has_their_own_answer() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let asked = Arc::new(AtomicUsize::new(0));
    let control = controller(folder.path(), move |port| {
        if asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(64) {
            thread::sleep(Duration::from_millis(250));
        }
        Some(known(port))
    })?;
    let (_responder, address) = respond(settings(&control))?;
    let (mut with, mut without) = (0, 0);
    for _ in 0..10 {
        let mut clients: Vec<_> = (0..20).map(|_| Client::to(address)).collect::<Result<_>>()?;
        for client in &mut clients {
            let (greeting, own) = (client.reply()?, reference(client.port()?));
            match greeting.contains("REF") {
                true if greeting.contains(&own) => with += 1,
                true => anyhow::bail!("{own} was told {greeting}"),
                false => without += 1,
            }
        }
    }
    ensure!(with > 0 && without > 0, "{with} with, {without} without: the test proves nothing");
    Ok(())
}

/// A controller that ends and comes back is found again.
#[test]
fn a_new_controller_is_asked() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (_responder, address) = respond(settings(&folder.path().join("control.sock")))?;
    let is_known = || anyhow::Ok(Client::to(address)?.reply()?.contains("REF"));
    ensure!(!is_known()?, "nobody is there yet");
    let asked = Arc::new(AtomicUsize::new(0));
    controller(folder.path(), move |port| (asked.fetch_add(1, Ordering::Relaxed) != 1).then(|| known(port)))?;
    ensure!(is_known()?, "there it is");
    ensure!(!is_known()?, "it hung up");
    ensure!(is_known()?, "it is back");
    Ok(())
}

#[test]
fn who_talks_first_changes_nothing() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (control, _listener) = mute(folder.path())?;
    let (_responder, address) = respond(settings(&control))?;
    let mut client = Client::to(address)?;
    client.write(b"EHLO early.example\r\nQUIT\r\nRSET\r\n")?;
    let rest = client.rest()?;
    let codes: Vec<_> = rest.lines().map(|line| &line[..4]).collect();
    ensure!(codes.ends_with(&["554-", "554 ", "503 ", "221 "]), "{rest}");
    Ok(())
}

#[test]
fn who_has_ended_its_side_reads_to_the_end() -> Result<()> {
    let (_responder, address) = respond(settings(Path::new(NOWHERE)))?;
    let mut client = Client::to(address)?;
    client.stream().shutdown(Shutdown::Write)?;
    let rest = client.rest()?;
    ensure!(rest.contains(URL) && rest.lines().last().is_some_and(|line| line.starts_with("554 ")), "{rest}");
    Ok(())
}

#[test]
fn one_octet_at_a_time() -> Result<()> {
    let (_responder, address) = respond(settings(Path::new(NOWHERE)))?;
    let mut client = Client::to(address)?;
    client.stream().set_nodelay(true)?;
    client.reply()?;
    for octet in b"NOOP\r\nQUIT\r\n" {
        client.write(&[*octet])?;
    }
    let rest = client.rest()?;
    ensure!(rest.lines().map(|line| &line[..4]).eq(["503 ", "221 "]), "{rest}");
    Ok(())
}

/// What a client still sends when it is closed must not take from it what it has not read: no reset.
#[test]
fn the_last_words_arrive() -> Result<()> {
    let (_responder, address) = respond(settings(Path::new(NOWHERE)))?;
    for words in
        [b"NOOP\r\n".repeat(5000), vec![b'x'; 30_000], [b"QUIT\r\n".to_vec(), vec![b'x'; 30_000]].concat()]
    {
        let mut client = Client::to(address)?;
        client.write(&words)?;
        client.stream().shutdown(Shutdown::Write)?;
        let rest = client.rest().context("reset")?;
        let answers =
            rest.lines().filter(|line| line.starts_with("503 ") || line.starts_with("221 ")).count();
        ensure!(rest.contains(URL) && (answers == 20 || answers == 1), "{answers} answers: {rest}");
    }
    Ok(())
}

#[test]
fn silent_deaf_and_slow_clients_are_cut() -> Result<()> {
    let time = Duration::from_millis(500);
    let bounds = Bounds { time, farewell: Duration::from_millis(200), ..Bounds::default() };
    let (responder, address) = respond(gate25::notice::Settings { bounds, ..settings(Path::new(NOWHERE)) })?;
    let pages = crate::support::serve(&responder)?;
    let begin = Instant::now();
    let mut silent = Client::to(address)?;
    // It sends without end and reads nothing.
    let mut deaf = Client::to(address)?;
    let deaf = thread::spawn(move || {
        let words = vec![b'\n'; 65_536];
        while deaf.write(&words).is_ok() {}
        Instant::now()
    });
    let mut slow = Client::to(address)?;
    let slow = thread::spawn(move || {
        while slow.write(b"x").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
        Instant::now()
    });
    let rest = silent.rest()?;
    let took = begin.elapsed();
    ensure!(rest.contains(URL) && (time..SOON).contains(&took), "{took:?}: {rest}");
    for client in [deaf, slow] {
        let ended = client.join().map_err(|_| anyhow::anyhow!("panicked"))?;
        ensure!(ended - begin < SOON, "{:?}", ended - begin);
    }
    drop(silent);
    let open = || gate25_tests::http::get(pages, "/metrics").ok().map(|(_, text)| text);
    let gone =
        wait::until(SOON, || open().filter(|text| text.contains("gate25_notice_open_connections 0\n")));
    ensure!(gone.is_some(), "{:?}", open());
    Ok(())
}
