//! `gate25 run`: load, install, attach, serve, follow.

use super::signals::Signals;
use crate::config::{Config, Unmanaged};
use crate::control::handler::Handler;
use crate::control::server;
use crate::controller::{Around, Controller, Failure, Input};
use crate::datapath::events::Ring;
use crate::datapath::fault::Fault;
use crate::datapath::flows::Flows;
use crate::datapath::lock::Lock;
use crate::datapath::netlink;
use crate::datapath::pins::Pins;
use crate::datapath::suspects::Suspects;
use crate::events::Events;
use crate::events::kernel::Teller;
use crate::heart::Heart;
use crate::http;
use crate::memory;
use crate::names::Resolver;
use crate::preflight;
use crate::privilege;
use crate::probe::{Pace, Prober};
use crate::service;
use crate::status::{Node, Shared};
use anyhow::Context;
use aya::Ebpf;
use aya_log::EbpfLogger;
use jiff::Timestamp;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tracing::{info, warn};

/// Runs the controller until SIGTERM or SIGINT. `log` lets the program log each packet to port 25 (for debugging: it
/// costs).
pub fn run(config: Config, log: bool) -> Result<(), Failure> {
    privilege::prepare();
    // Another controller here has the address, most likely; which one that is says more.
    let listener = http::bind(config.listen).or_else(|fault| {
        Pins::below(&config.pin).and_then(|pins| Lock::look(&pins))?;
        Err(fault)
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("tokio")?;
    let status = Shared::default();
    status.lock().node = Node {
        policy: config.policy.clone(),
        enforce: config.enforce,
        block_unmanaged: config.interfaces.iter().any(|interface| interface.unmanaged == Unmanaged::Block),
        started: Timestamp::now(),
    };
    let (inputs, received) = channel();
    let prober = {
        let inputs = inputs.clone();
        // Nobody listens any more when the controller ends.
        let report = move |probe, is_up| {
            let _ = inputs.send(Input::Probed { probe, is_up });
        };
        Prober::new(runtime.handle().clone(), Pace::default(), report)
    };
    let resolver = {
        let inputs = inputs.clone();
        let report = move || {
            let _ = inputs.send(Input::Named);
        };
        Resolver::new(report).context("names")?
    };
    let events = Events::new(config.sink()?).context("events")?;
    let around = Around { status: status.clone(), events: events.clone(), prober, resolver };
    let (controller, mut programs) = Controller::start(config.clone(), around, log)?;
    preflight::concerns(&config).for_each(|line| warn!("{line}"));
    let counters = controller.counters()?;
    let suspects = Suspects::pinned(&Pins::below(&config.pin)?).map(Arc::new);
    let telling = suspects.clone().and_then(|suspects| tell(&config, &status, &events, suspects, &runtime));
    if let Err(fault) = &telling {
        warn!("{fault}: no blocked connection is told of; enforcement goes on");
    }
    let handler = handler(&config, status.clone(), inputs.clone())?.telling(events.clone(), suspects);
    let _control = control(&config, handler, &runtime);
    privilege::keep();
    runtime.spawn(service::follow(status.clone(), Heart::take()));
    let signals = {
        let _inside = runtime.enter();
        Signals::new().context("signals")?
    };
    if log {
        programs.iter_mut().for_each(follow);
    }
    let told = status.clone();
    thread::spawn(move || {
        privilege::drop_all();
        runtime.block_on(async move {
            tokio::spawn(signals.forward(inputs, || Input::Reload, || Input::Stop));
            if let Err(error) = http::serve(listener, http::pages(status, counters)).await {
                warn!("listen: {error}: /metrics and /healthz are gone; enforcement goes on");
            }
        });
    });
    let names: Vec<&str> = config.interfaces.iter().map(|interface| interface.name.as_str()).collect();
    info!(listen = %config.listen, "{} on {}", if config.enforce { "enforcing" } else { "monitoring" }, names.join(", "));
    drop(programs);
    memory::give_back();
    service::ready(&told);
    controller.run(&received);
    service::stopping();
    if let Ok(telling) = telling {
        // What it has not read by now is told by the next controller.
        telling.abort();
        while !telling.is_finished() {
            thread::sleep(Duration::from_millis(1));
        }
    }
    events.finish();
    Ok(())
}

/// Tells what the program tells.
fn tell(
    config: &Config,
    status: &Shared,
    events: &Events,
    suspects: Arc<Suspects>,
    runtime: &Runtime,
) -> Result<JoinHandle<()>, Fault> {
    let _inside = runtime.enter();
    let found = config.interfaces.iter().filter_map(|interface| {
        let index = netlink::interface(&interface.name).ok()?.index;
        Some((index, interface.name.clone()))
    });
    let (status, events) = (status.clone(), events.clone());
    let teller = Teller { status, suspects, events, interfaces: found.collect() };
    let ring = Ring::pinned(&Pins::below(&config.pin)?)?;
    Ok(runtime.spawn(teller.follow(ring)))
}

/// Answers on the control socket; without one, enforcement goes on all the same.
fn control(config: &Config, handler: Handler, runtime: &Runtime) -> Option<server::Bound> {
    match server::bind(&config.control) {
        Ok((listener, bound)) => {
            runtime.spawn(async move {
                if let Err(error) = server::serve(listener, Arc::new(handler)).await {
                    warn!("control: {error}: nobody can ask; enforcement goes on");
                }
            });
            Some(bound)
        }
        Err(fault) => {
            warn!("{fault}: nobody can ask this controller; enforcement goes on");
            None
        }
    }
}

/// Knows redirected connections, as the kernel keeps them.
fn handler(config: &Config, status: Shared, inputs: Sender<Input>) -> Result<Handler, Fault> {
    let flows = Flows::pinned(&Pins::below(&config.pin)?);
    Ok(Handler::new(status, inputs, move |subscriber| match &flows {
        Ok(flows) => flows.find(subscriber),
        Err(fault) => Err(fault.clone()),
    }))
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
