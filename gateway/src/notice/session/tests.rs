use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{DuplexStream, duplex};

/// Runs a client beside a dialogue, on a clock that jumps to whatever is waited for; how it was closed, after how long,
/// and how many commands there were.
fn with<F: Future<Output = ()>>(client: impl FnOnce(DuplexStream) -> F) -> (Closed, Duration, usize) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (mut ours, theirs) = duplex(65_536);
        let (bounds, begin, heard) = (Bounds::default(), Instant::now(), AtomicUsize::new(0));
        let count = |_| {
            heard.fetch_add(1, Ordering::Relaxed);
        };
        let server = async {
            let closed = answer(&mut ours, &bounds, begin + bounds.time, count).await;
            let took = begin.elapsed();
            close(&mut ours, &bounds).await;
            drop(ours);
            (closed, took)
        };
        let ((closed, took), ()) = tokio::join!(server, client(theirs));
        (closed, took, heard.into_inner())
    })
}

/// What is answered to these words, until the other side closes.
fn said(words: &[u8]) -> (Closed, String) {
    let mut answers = String::new();
    let (closed, ..) = with(async |mut stream| {
        stream.write_all(words).await.unwrap();
        stream.shutdown().await.unwrap();
        stream.read_to_string(&mut answers).await.unwrap();
    });
    (closed, answers)
}

#[test]
fn quit_is_221_and_all_else_503() {
    for quit in ["QUIT\r\n", "quit\r\n", "Quit \t\r\n", "QUIT\n"] {
        assert_eq!(said(quit.as_bytes()), (Closed::Quit, "221 Goodbye\r\n".into()), "{quit:?}");
    }
    for other in [
        "EHLO a\r\n",
        "HELO a\r\n",
        "MAIL FROM:<a@b>\r\n",
        "RSET\r\n",
        "NOOP\r\n",
        "AUTH PLAIN\r\n",
        "STARTTLS\r\n",
        "QUITE\r\n",
        "QUIT now\r\n",
        "QUI\r\n",
        " QUIT\r\n",
        "\r\n",
        "\n",
        "\0\u{ff}\r\n",
    ] {
        let (closed, answers) = said(other.as_bytes());
        assert_eq!((closed, answers.as_bytes()), (Closed::Client, REFUSED), "{other:?}");
    }
    assert!(REFUSED.len() <= 512 && REFUSED.is_ascii() && REFUSED.starts_with(b"503 "));
}

#[test]
fn the_twentieth_command_is_the_last() {
    let (closed, answers) = said(&b"NOOP\r\n".repeat(21));
    assert_eq!((closed, answers.matches("503 ").count()), (Closed::Commands, 20));
    let (closed, answers) = said(&[b"NOOP\r\n".repeat(19), b"QUIT\r\n".to_vec()].concat());
    assert_eq!((closed, answers.matches("503 ").count()), (Closed::Quit, 19));
    assert!(answers.ends_with("221 Goodbye\r\n"));
}

#[test]
fn a_line_of_512_octets_is_one_and_a_longer_one_the_end() {
    let line = |length: usize| [vec![b'x'; length - 2], b"\r\n".to_vec(), b"QUIT\r\n".to_vec()].concat();
    let (closed, answers) = said(&line(512));
    assert_eq!((closed, answers.matches("503 ").count()), (Closed::Quit, 1));
    for length in [513, 60_000] {
        let (closed, answers) = said(&line(length));
        assert_eq!((closed, answers.as_bytes()), (Closed::Line, REFUSED), "{length}");
    }
}

#[test]
fn silent_and_slow_clients_have_60_seconds() {
    let (closed, took, _) = with(async |mut stream| drop(stream.read_to_end(&mut Vec::new()).await));
    assert_eq!((closed, took), (Closed::Time, Duration::from_mins(1)));
    let (closed, took, commands) = with(async |mut stream| {
        for octet in b"EHLO client.example\r\n".iter().cycle() {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if stream.write_all(&[*octet]).await.is_err() {
                return;
            }
        }
    });
    assert_eq!((closed, took, commands), (Closed::Time, Duration::from_mins(1), 2));
}

#[test]
fn one_octet_at_a_time_is_as_good_as_a_line() {
    let mut answers = String::new();
    let (closed, _, commands) = with(async |mut stream| {
        for octet in b"NOOP\r\nQUIT\r\n" {
            stream.write_all(&[*octet]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        stream.read_to_string(&mut answers).await.unwrap();
    });
    assert_eq!((closed, commands, answers.lines().count()), (Closed::Quit, 2, 2));
}

/// A client that neither reads nor ends is left after a moment.
#[test]
fn the_farewell_is_bounded() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (mut ours, mut theirs) = duplex(64);
        let (bounds, begin) = (Bounds::default(), Instant::now());
        let talk = async {
            while theirs.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::join!(
            async {
                close(&mut ours, &bounds).await;
                drop(ours);
            },
            talk
        );
        assert!(begin.elapsed() <= Duration::from_secs(2), "{:?}", begin.elapsed());
    });
}
