//! Connections of both families without a pause: those that are allowed, and those that are blocked.

use anyhow::{Result, ensure};
use gate25_tests::{
    lab::Lab,
    smtp::{self, Outcome},
};
use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

/// What a lost packet may cost on a busy machine.
const LIMIT: Duration = Duration::from_secs(15);
/// What took so long may have been a SYN sent twice.
const SLOW: Duration = Duration::from_millis(900);
/// Between two connections of a stream: ports must not run out before they may be used again.
const PAUSE: Duration = Duration::from_millis(3);

/// What was made while something else went on.
#[derive(Debug, Default)]
pub(crate) struct Made {
    pub(crate) allowed: AtomicU64,
    pub(crate) blocked: AtomicU64,
    /// Of both.
    pub(crate) slow: AtomicU64,
}

/// Does something while alice sends mail to the relay, which all must arrive, and tries the stranger, which all must be
/// refused.
pub(crate) fn during<T: Send>(lab: &Lab, work: impl FnOnce(&Made) -> Result<T> + Send) -> Result<(T, Made)> {
    let (made, stop) = (Made::default(), AtomicBool::new(false));
    let streams = [(&lab.relay, &made.allowed), (&lab.stranger, &made.blocked)];
    let streams =
        streams.map(|(to, made)| to.addresses().map(|address| (SocketAddr::new(address, 25), made)));
    let result = thread::scope(|scope| {
        let threads = streams.as_flattened().iter().map(|(to, count)| {
            let is_allowed = std::ptr::eq(*count, &raw const made.allowed);
            let (stop, slow) = (&stop, &made.slow);
            scope.spawn(move || lab.alice.namespace.run(|| stream(*to, is_allowed, (stop, count, slow))))
        });
        let threads: Vec<_> = threads.collect();
        let result = work(&made);
        stop.store(true, Ordering::Relaxed);
        for stream in threads {
            stream.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        result
    })?;
    Ok((result, made))
}

fn stream(
    to: SocketAddr,
    is_allowed: bool,
    (stop, count, slow): (&AtomicBool, &AtomicU64, &AtomicU64),
) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        let report = smtp::send(to, LIMIT);
        count.fetch_add(1, Ordering::Relaxed);
        slow.fetch_add(u64::from(report.took > SLOW), Ordering::Relaxed);
        let right =
            if is_allowed { report.outcome.is_delivered() } else { report.outcome == Outcome::Refused };
        ensure!(right, "{to}: {:?} after {:?}", report.outcome, report.took);
        thread::sleep(PAUSE);
    }
    Ok(())
}
