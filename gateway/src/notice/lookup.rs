//! Asks the controller why a connection was redirected. All questions go over one connection, one behind the other, and
//! none waits longer than it may.

use super::metrics::Looked;
use crate::control::{self, Request, UNKNOWN_CONNECTION};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long an answer may take. The client waits meanwhile.
const PATIENCE: Duration = Duration::from_millis(200);
/// Questions that are on their way; further ones have no answer.
const QUESTIONS: usize = 1024;
/// Octets of an answer.
const MAX_ANSWER: usize = 4096;

/// Where to ask.
#[derive(Debug, Clone)]
pub(super) struct Lookup(Sender<Question>);

#[derive(Debug)]
struct Question {
    line: String,
    answer: oneshot::Sender<String>,
}

impl Lookup {
    /// Asks at that control socket, whenever a controller is there. To be called inside a runtime.
    #[must_use]
    pub(super) fn at(control: PathBuf) -> Self {
        let (sender, questions) = channel(QUESTIONS);
        tokio::spawn(carry(control, questions));
        Self(sender)
    }

    /// What the controller knows of a connection.
    pub(super) async fn ask(&self, subscriber: SocketAddr) -> (Looked, Option<control::Notice>) {
        let request = Request::Notice { subscriber: subscriber.ip(), port: subscriber.port() };
        let (answer, answered) = oneshot::channel();
        let Ok(line) = serde_json::to_string(&request) else { return (Looked::NoAnswer, None) };
        if self.0.try_send(Question { line: line + "\n", answer }).is_err() {
            return (Looked::NoAnswer, None);
        }
        let Ok(Ok(line)) = timeout(PATIENCE, answered).await else { return (Looked::NoAnswer, None) };
        match control::read(&line) {
            Ok(notice) => (Looked::Found, Some(notice)),
            Err(error) if error == UNKNOWN_CONNECTION => (Looked::Unknown, None),
            Err(_) => (Looked::NoAnswer, None),
        }
    }
}

/// A question that is dropped has no answer.
async fn carry(control: PathBuf, mut questions: Receiver<Question>) {
    while let Some(question) = questions.recv().await {
        if question.answer.is_closed() {
            continue;
        }
        if let Ok(stream) = UnixStream::connect(&control).await {
            converse(stream, question, &mut questions).await;
        }
    }
}

/// Until the connection breaks.
async fn converse(mut stream: UnixStream, first: Question, questions: &mut Receiver<Question>) {
    let (mut answers, mut write) = stream.split();
    let mut text = Vec::new();
    let mut waiting = VecDeque::new();
    let mut next = Some(first);
    loop {
        if let Some(Question { line, answer }) = next.take() {
            // A controller that reads nothing is as good as none.
            if !matches!(timeout(PATIENCE, write.write_all(line.as_bytes())).await, Ok(Ok(()))) {
                return;
            }
            waiting.push_back(answer);
        }
        tokio::select! {
            question = questions.recv(), if waiting.len() < QUESTIONS => match question {
                Some(question) => next = Some(question),
                None => return,
            },
            read = answers.read_buf(&mut text) => {
                if !matches!(read, Ok(1..)) {
                    return;
                }
                while let Some(end) = text.iter().position(|octet| *octet == b'\n') {
                    let line: Vec<u8> = text.drain(..=end).collect();
                    let Some(answer) = waiting.pop_front() else { return };
                    // Whoever asked may have gone on without.
                    let _ = answer.send(String::from_utf8_lossy(&line).trim_end().to_owned());
                }
                // A controller is not as wordy as that.
                if text.len() > MAX_ANSWER {
                    return;
                }
            }
        }
    }
}
