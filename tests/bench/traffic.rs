//! Live frames: made by one processor, which also does all that becomes of them; and a router for them to come to.

use crate::spray::{Side, Spray};
use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    lab::{INTERFACE, Lab},
    packet::{ACK, SYN, Tcp},
    testrun::send_live,
    xdp_pass::TX,
};
use nix::{
    net::if_::if_nametoindex,
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use std::{
    fs,
    net::IpAddr,
    os::fd::AsFd as _,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
};

/// Frames at a time, as a NIC's driver takes them.
const BATCH: u32 = 64;
/// The interface through which the router's switch sends to it.
const PORT: &str = "edge";
/// Where the router sends all that it forwards: an interface that throws it away.
const SINK: &str = "sink";

/// The zone of these labs.
pub(crate) const ZONE: &str = "10.0.0.0/8";

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// TCP to port 25, not SYN, each from some subscriber to some destination that nothing allows.
    Smtp,
    /// The same of one connection, again and again.
    One,
    /// SYNs of the same, each from anyone.
    Syns,
    /// TCP to port 443.
    Web,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Smtp, Self::One, Self::Syns, Self::Web];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Smtp => "drop, not SYN",
            Self::One => "drop, one connection",
            Self::Syns => "drop, SYN flood",
            Self::Web => "pass, forwarded",
        }
    }

    fn tcp(self) -> Tcp {
        match self {
            Self::Smtp | Self::One => Tcp::new(40_000, 25, ACK),
            Self::Syns => Tcp::new(40_000, 25, SYN),
            Self::Web => Tcp::new(40_000, 443, ACK),
        }
    }

    /// The plan, and a frame; with `code` [`TX`] they are sent, with `DROP` they only cost what the generator does.
    pub(crate) fn plan(self, spray: &mut Spray, code: u8) -> Result<Vec<u8>> {
        let address = |text: &str| text.parse::<IpAddr>();
        // See `policies::upper_halves`: the lists are near and none is met. Destinations are in 16.0.0.0/4.
        let [from, to] = if self == Self::One { ["0.0.0.0"; 2] } else { ["0.255.255.127", "15.255.255.127"] };
        let sources = Side::Random(address("10.0.0.0")?, address(from)?);
        let remotes = Side::Random(address("16.0.0.0")?, address(to)?);
        spray.plan((sources, remotes), &self.tcp(), true, code)
    }
}

/// A lab whose edge takes what is sent to it and forwards into nothing.
pub(crate) struct Router {
    pub(crate) lab: Lab,
    port: u32,
}

/// What came of some frames.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    /// Packets a second that the router dealt with.
    pub(crate) rate: f64,
    /// How many of them it forwarded.
    pub(crate) forwarded: f64,
}

impl Router {
    pub(crate) fn new() -> Result<Self> {
        let lab = Lab::new()?;
        // What arrives there is for another MAC address.
        let void = lab.stranger.namespace.name();
        lab.edge.ip(&format!(
            "link set {INTERFACE} address 02:aa:bb:cc:dd:ee\nlink add {SINK} type veth peer name void netns {void}\nlink \
             set {SINK} up arp off\n"
        ))?;
        lab.stranger.namespace.ip("link set void up\n")?;
        // One neighbour for all destinations.
        lab.edge.ip(&format!(
            "addr add 100.64.9.1/24 dev {SINK}\nroute add default via 100.64.9.2 dev {SINK}\n"
        ))?;
        // What brings frames of XDP to a stack without a program.
        let mut command = Command::new("ethtool");
        command.args(["-K", INTERFACE, "gro", "on"]);
        lab.edge.output(command)?;
        let port = lab.access().run(|| if_nametoindex(PORT))?;
        Ok(Self { lab, port })
    }

    /// Sends as planned.
    pub(crate) fn send(&self, spray: &Spray, frame: &[u8], frames: u32) -> Result<Outcome> {
        let before = self.counted()?;
        let each = self.lab.access().run(|| {
            alone()?;
            send_live(spray.program.as_fd(), frame, self.port, frames, BATCH)
        })?;
        let took = each.as_secs_f64() * f64::from(frames);
        let after = self.counted()?;
        let received = (after.0 - before.0) as f64;
        ensure!(received > 0.0, "nothing of {frames} frames arrived");
        Ok(Outcome { rate: received / took, forwarded: (after.1 - before.1) as f64 / received })
    }

    /// Sends for that time or a little longer, and on until told to stop. A run begins slowly, for its pages are made, so
    /// there is one for all of the time.
    pub(crate) fn send_until(
        &self,
        spray: &Spray,
        frame: &[u8],
        seconds: f64,
        stop: &AtomicBool,
    ) -> Result<()> {
        let rate = self.send(spray, frame, 500_000)?.rate;
        let frames = u32::try_from((rate * seconds) as i64)?;
        self.lab.access().run(|| {
            alone()?;
            while !stop.load(Ordering::Relaxed) {
                send_live(spray.program.as_fd(), frame, self.port, frames, BATCH)?;
            }
            Ok(())
        })
    }

    /// Packets that came in so far, and that were forwarded.
    pub(crate) fn counted(&self) -> Result<(u64, u64)> {
        let text = self.lab.edge.run(|| fs::read_to_string("/proc/thread-self/net/dev"))?;
        let column = |name: &str, number: usize| -> Result<u64> {
            let line = text.lines().find_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix(':'));
            let word = line.and_then(|line| line.split_whitespace().nth(number)).context("/proc/net/dev")?;
            Ok(word.parse()?)
        };
        Ok((column(INTERFACE, 1)?, column(SINK, 9)?))
    }
}

/// What making a frame costs, in ns, without any that is sent.
pub(crate) fn generator(spray: &mut Spray, lab: &Lab, kind: Kind, frames: u32) -> Result<f64> {
    let frame = kind.plan(spray, gate25_tests::xdp_pass::DROP)?;
    let took = lab.access().run(|| {
        alone()?;
        send_live(spray.program.as_fd(), &frame, if_nametoindex(PORT)?, frames, BATCH)
    })?;
    kind.plan(spray, TX)?;
    Ok(took.as_secs_f64() * 1e9)
}

/// This thread stays on the last processor.
fn alone() -> Result<()> {
    let mut one = CpuSet::new();
    let last = std::thread::available_parallelism()?.get() - 1;
    one.set(last)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &one)?)
}
