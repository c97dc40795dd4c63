use super::*;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Instant;

const SOON: Duration = Duration::from_secs(10);
const PACE: Pace = Pace {
    notice: Duration::from_millis(20),
    relay: Duration::from_millis(20),
    again: Duration::from_millis(20),
    patience: Duration::from_millis(200),
    relay_patience: Duration::from_millis(200),
};

/// A prober on a runtime of its own, and what it reports.
fn prober(pace: Pace) -> (Prober, Receiver<(Probe, bool)>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (sender, reports) = channel();
    let report = move |probe, is_up| {
        let _ = sender.send((probe, is_up));
    };
    let prober = Prober::new(runtime.handle().clone(), pace, report);
    thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    (prober, reports)
}

/// A server that says this to each client, and hands on what the client says until it closes.
fn server(listener: TcpListener, words: &'static str) -> Receiver<String> {
    let (sender, heard) = channel();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(words.as_bytes());
            let (mut text, mut octet) = (String::new(), [0]);
            while !text.ends_with('\n') && stream.read(&mut octet).is_ok_and(|read| read == 1) {
                text.push(char::from(octet[0]));
            }
            if sender.send(text).is_err() {
                return;
            }
        }
    });
    heard
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn what_greets_as_it_should_is_up() {
    for (kind, words, wanted) in [
        (Kind::Notice, "554 no\r\n", true),
        (Kind::Notice, "554-no\r\n554 never\r\n", true),
        (Kind::Notice, "220 welcome\r\n", false),
        (Kind::Notice, "55", false),
        (Kind::Notice, "", false),
        (Kind::Relay, "220-welcome\r\n220 all\r\n", true),
        (Kind::Relay, "554 no\r\n", false),
        (Kind::Relay, "421 later\r\n", false),
    ] {
        let (listener, address) = listener();
        let heard = server(listener, words);
        let (mut prober, reports) = prober(PACE);
        let probe = Probe { address, kind };
        prober.follow(&HashSet::from([probe]));
        assert_eq!(reports.recv_timeout(SOON), Ok((probe, wanted)), "{kind:?} {words:?}");
        let said = heard.recv_timeout(SOON).unwrap();
        assert_eq!(said, if wanted { "QUIT\r\n" } else { "" }, "{kind:?} {words:?}");
    }
}

/// Some mail servers make strangers wait; a responder has no reason to.
#[test]
fn a_relay_may_take_its_time() {
    for (kind, wanted) in [(Kind::Relay, true), (Kind::Notice, false)] {
        let (listener, address) = listener();
        thread::spawn(move || {
            let mut clients = Vec::new();
            for mut stream in listener.incoming().flatten() {
                thread::sleep(Duration::from_millis(400));
                let words = if kind == Kind::Relay { "220 late\r\n" } else { "554 late\r\n" };
                let _ = stream.write_all(words.as_bytes());
                clients.push(stream);
            }
        });
        let (mut prober, reports) = prober(Pace { relay_patience: SOON, ..PACE });
        let probe = Probe { address, kind };
        prober.follow(&HashSet::from([probe]));
        assert_eq!(reports.recv_timeout(SOON), Ok((probe, wanted)), "{kind:?}");
    }
}

/// A greeting that has not ended is not interrupted: postscreen and its like would take that for a spammer's haste.
#[test]
fn no_word_before_the_greeting_has_ended() {
    let (listener, address) = listener();
    let heard = server(listener, "220-wait\r\n");
    let (mut prober, reports) = prober(PACE);
    let probe = Probe { address, kind: Kind::Relay };
    prober.follow(&HashSet::from([probe]));
    assert_eq!(reports.recv_timeout(SOON), Ok((probe, true)));
    assert_eq!(heard.recv_timeout(SOON).as_deref(), Ok(""));
}

#[test]
fn refused_is_down_at_once_and_one_success_is_up() {
    let (first, address) = listener();
    drop(first);
    // A second probe would come long after the test.
    let (mut prober, reports) = prober(Pace { notice: Duration::from_hours(1), ..PACE });
    let probe = Probe { address, kind: Kind::Notice };
    prober.follow(&HashSet::from([probe]));
    assert_eq!(reports.recv_timeout(SOON), Ok((probe, false)));
    let _heard = server(TcpListener::bind(address).unwrap(), "554 no\r\n");
    prober.follow(&HashSet::new());
    prober.follow(&HashSet::from([probe]));
    assert_eq!(reports.recv_timeout(SOON), Ok((probe, true)));
}

#[test]
fn silence_is_down_at_the_second_time_only() {
    let (silent, address) = listener();
    let (mut prober, reports) = prober(PACE);
    let probe = Probe { address, kind: Kind::Notice };
    let begin = Instant::now();
    prober.follow(&HashSet::from([probe]));
    assert_eq!(reports.recv_timeout(SOON), Ok((probe, false)));
    assert!(begin.elapsed() >= 2 * PACE.patience, "{:?}", begin.elapsed());
    drop(silent);
}

#[test]
fn a_dead_target_delays_no_other_and_nothing_is_said_twice() {
    let (silent, dead) = listener();
    let (alive, address) = listener();
    let heard = server(alive, "554 no\r\n");
    let (mut prober, reports) =
        prober(Pace { patience: Duration::from_hours(1), relay_patience: Duration::from_hours(1), ..PACE });
    let [dead, probe] = [dead, address].map(|address| Probe { address, kind: Kind::Notice });
    prober.follow(&HashSet::from([dead, probe]));
    assert_eq!(reports.recv_timeout(SOON), Ok((probe, true)));
    // It goes on being probed, without a word.
    (0..3).for_each(|_| assert_eq!(heard.recv_timeout(SOON).as_deref(), Ok("QUIT\r\n")));
    assert_eq!(reports.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
    drop(silent);
}
