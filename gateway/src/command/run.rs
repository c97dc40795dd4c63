//! `gate25 run`: load, install, attach, serve, follow.

use crate::config::Config;
use crate::controller::{Controller, Failure, Input};
use crate::datapath::fault::Fault;
use crate::http;
use crate::status::Shared;
use anyhow::Context;
use aya::Ebpf;
use aya_log::EbpfLogger;
use std::net::TcpListener;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

/// Runs the controller until SIGTERM or SIGINT. `log` lets the program log each packet to port 25 (for debugging: it
/// costs).
pub fn run(config: Config, log: bool) -> Result<(), Failure> {
    let listener = listen(&config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("tokio")?;
    let status = Shared::default();
    let (controller, mut programs) = Controller::start(config.clone(), status.clone(), log)?;
    if config.events.is_some() {
        warn!("events: comes with a later version; blocked connections are counted, not listed");
    }
    let counters = controller.counters()?;
    let (inputs, received) = channel();
    let signals = {
        let _inside = runtime.enter();
        Signals::new().context("signals")?
    };
    if log {
        programs.iter_mut().for_each(follow);
    }
    thread::spawn(move || {
        runtime.block_on(async move {
            tokio::spawn(signals.forward(inputs));
            if let Err(error) = http::serve(listener, status, counters).await {
                warn!("listen: {error}: /metrics and /healthz are gone; enforcement goes on");
            }
        });
    });
    let names: Vec<&str> = config.interfaces.iter().map(|interface| interface.name.as_str()).collect();
    info!(listen = %config.listen, "{} on {}", if config.enforce { "enforcing" } else { "monitoring" }, names.join(", "));
    drop(programs);
    controller.run(&received);
    Ok(())
}

fn listen(config: &Config) -> Result<TcpListener, Failure> {
    let bound = TcpListener::bind(config.listen).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|error| {
        Failure::Fault(
            Fault::new(
                "listen",
                config.listen,
                error,
                "end what listens there, or set `listen` to a free address",
            )
            .into(),
        )
    })
}

/// Hands on what the program logs, ten times a second; without a reader it is lost, which is no reason not to enforce.
fn follow(program: &mut Ebpf) {
    match EbpfLogger::init(program) {
        Ok(mut logger) => drop(thread::spawn(move || {
            loop {
                logger.flush();
                thread::sleep(Duration::from_millis(100));
            }
        })),
        Err(error) => warn!("packet log: {error}"),
    }
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn forward(mut self, inputs: Sender<Input>) {
        loop {
            let input = tokio::select! {
                _ = self.hangup.recv() => Input::Reload,
                _ = self.terminate.recv() => Input::Stop,
                _ = self.interrupt.recv() => Input::Stop,
            };
            if inputs.send(input).is_err() {
                return;
            }
        }
    }
}
