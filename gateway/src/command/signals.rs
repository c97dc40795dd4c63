//! Signals as inputs of a loop.

use std::sync::mpsc::Sender;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that a long-running command listens to. To be made and used inside a runtime.
pub(super) struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes them from the system's defaults.
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Hands them on: SIGHUP as `reload`, SIGTERM and SIGINT as `stop`.
    pub(super) async fn forward<T>(
        mut self,
        inputs: Sender<T>,
        reload: impl Fn() -> T,
        stop: impl Fn() -> T,
    ) {
        loop {
            let input = tokio::select! {
                _ = self.hangup.recv() => reload(),
                _ = self.terminate.recv() => stop(),
                _ = self.interrupt.recv() => stop(),
            };
            if inputs.send(input).is_err() {
                return;
            }
        }
    }
}
