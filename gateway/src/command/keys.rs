//! Until when a command goes on that has no end of its own.

use rustix::termios::{LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcsetattr};
use std::io::{self, Stdin, stdin};
use std::os::fd::AsFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ctrl-C and SIGTERM; and `q`, where somebody sits at a terminal, who then need not press Enter.
pub(super) struct Until {
    interrupt: Signal,
    terminate: Signal,
    keyboard: Option<Keyboard>,
}

/// A terminal that hands on each key; as it was when this is dropped.
struct Keyboard {
    input: AsyncFd<Stdin>,
    before: Termios,
}

impl Until {
    /// Signals alone.
    pub(super) fn interrupted() -> io::Result<Self> {
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate, keyboard: None })
    }

    /// And `q`.
    pub(super) fn quit() -> io::Result<Self> {
        let mut until = Self::interrupted()?;
        if isatty(stdin()) {
            let before = tcgetattr(stdin())?;
            let mut keys = before.clone();
            keys.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            // SAFETY: nobody closes standard input.
            let input = unsafe { AsyncFd::register_with_interest(stdin(), Interest::READABLE) }?;
            tcsetattr(stdin(), OptionalActions::Now, &keys)?;
            until.keyboard = Some(Keyboard { input, before });
        }
        Ok(until)
    }

    /// Returns when it is time to end.
    pub(super) async fn ended(&mut self) {
        let quit = async {
            match &mut self.keyboard {
                Some(keyboard) => keyboard.quit().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = quit => {}
        }
    }
}

impl Keyboard {
    /// Returns on `q`, and when there is no keyboard any more.
    async fn quit(&mut self) {
        loop {
            let Ok(mut ready) = self.input.readable().await else { return };
            let mut keys = [0; 64];
            match rustix::io::read(self.input.get_ref().as_fd(), &mut keys) {
                Ok(read) if read > 0 && !keys[..read].iter().any(|key| b"qQ".contains(key)) => {
                    // A full buffer may have been too small.
                    if read < keys.len() {
                        ready.clear_ready();
                    }
                }
                _ => return,
            }
        }
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}
