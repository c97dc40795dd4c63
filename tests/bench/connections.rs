//! What is done for a SYN that is new, and what answers cost.

use crate::{
    classes::smtp,
    contenders::{GATE25, Gate},
    figures::{Spread, added, interleaved},
    report::Report,
    spray::{Side, Spray},
};
use anyhow::Result;
use gate25_tests::{
    lab::Lab,
    packet::{ACK, Link, SYN, Tcp, packet},
    testrun::{measure, measure_each, measure_live},
    xdp_pass::{DROP, PASS, TX, attach_code, load},
};
use std::os::fd::{AsFd as _, BorrowedFd};

const NEW: &str = "new connections";
const SYNS_IN_A_ROW: &str = "new SYNs";
const ANSWERS: &str = "answers, live frames";
const UNIT: &str = "ns added";
/// SYNs in a row, none like another.
const SYNS: u32 = 4_000;
/// Live frames at a time, all of them new pages.
const FRAMES: u32 = 64;

/// Who sends the SYN of that number.
type Sender = fn(u32) -> [u8; 4];

/// What is run with frames, who sends them, and to whom.
#[derive(Clone, Copy)]
struct Run(Kind, Sender, &'static str);

#[derive(Clone, Copy)]
enum Kind {
    Empty,
    /// Each twice: the second is a retransmission, and that is measured.
    Again,
    New,
}

/// A test-run repeats one frame, so each SYN is a run of its own, and each row says beside what it is.
pub(crate) fn syns(report: &mut Report, gates: &[Gate], rounds: usize) -> Result<()> {
    let one: Sender = |_| [203, 0, 113, 7];
    let anyone: Sender = |number| [10, 1, (number >> 8) as u8, number as u8];
    let (default, allowed, limited) = ("192.0.2.200", "198.51.100.25", "198.51.102.25");
    let again = Run(Kind::Again, one, default);
    let rows = [
        ("retransmitted, over empty", Run(Kind::Empty, one, default), again, None),
        ("blocked, over retransmitted", again, Run(Kind::New, one, default), Some(150.0)),
        (
            "blocked, each of someone new, over retransmitted",
            Run(Kind::Again, anyone, default),
            Run(Kind::New, anyone, default),
            None,
        ),
        ("allowed, over retransmitted", Run(Kind::Again, one, allowed), Run(Kind::New, one, allowed), None),
        (
            "allowed by a limit, over without one",
            Run(Kind::New, one, allowed),
            Run(Kind::New, one, limited),
            Some(150.0),
        ),
    ];
    let empty = load(PASS)?;
    let mut sequence = 0;
    for (name, beside, run, bound) in rows {
        for gate in gates {
            let programs = (empty.as_fd(), gate.program.as_fd());
            let values =
                interleaved(rounds, 2, |number| once([beside, run][number], programs, &mut sequence))?;
            let spread = Spread::of(added(&values[1], &values[0]));
            report.add(NEW, (name, None), gate.name, UNIT, spread);
            if let (Some(bound), true) = (bound, gate.name == GATE25) {
                report.at_most(format!("new connection: {name}"), spread.median, bound, "ns");
            }
        }
    }
    Ok(())
}

fn once(
    Run(kind, from, remote): Run,
    (empty, gate): (BorrowedFd<'_>, BorrowedFd<'_>),
    sequence: &mut u32,
) -> Result<f64> {
    let mut frame = |number| {
        *sequence += 1;
        let tcp = Tcp { sequence: *sequence, ..Tcp::syn(40_000, 25) };
        Ok(Link::new().carry(packet(from(number).into(), remote.parse()?, &tcp)))
    };
    let frames = (0..SYNS).map(&mut frame).collect::<Result<Vec<_>>>()?;
    let took = match kind {
        Kind::Empty => measure_each(empty, &frames)?,
        Kind::Again => {
            measure_each(gate, &frames)?;
            measure_each(gate, &frames)?
        }
        Kind::New => measure_each(gate, &frames)?,
    };
    Ok(took.as_secs_f64() * 1e9)
}

/// The same SYNs one right behind the other, beside other packets to the same places: `spray` makes each frame anew.
pub(crate) fn row_of_syns(report: &mut Report, gates: &[Gate], rounds: usize, repeat: u32) -> Result<()> {
    let mut spray = Spray::load()?;
    let to = Side::Random("192.0.2.128".parse()?, "0.0.0.127".parse()?);
    let rows = [
        ("of one subscriber, over later packets", Side::Fixed("203.0.113.7".parse()?), Some(150.0)),
        (
            "of 65,536 in turn, over later packets",
            Side::Random("10.1.0.0".parse()?, "0.0.255.255".parse()?),
            None,
        ),
    ];
    for (name, from, bound) in rows {
        for gate in gates {
            spray.test(&gate.program)?;
            let values = interleaved(rounds, 2, |number| {
                let frame = spray.plan((from, to), &Tcp::new(40_000, 25, [ACK, SYN][number]), true, 0)?;
                Ok(measure(spray.program.as_fd(), &frame, repeat)?.as_secs_f64() * 1e9)
            })?;
            let spread = Spread::of(added(&values[1], &values[0]));
            report.add(SYNS_IN_A_ROW, (name, None), gate.name, UNIT, spread);
            if let (Some(bound), true) = (bound, gate.name == GATE25) {
                report.at_most(format!("{SYNS_IN_A_ROW}: {name}"), spread.median, bound, "ns");
            }
        }
    }
    Ok(())
}

/// Answers change the frame, so each run needs a new one; beside a program that only drops, or only sends back.
pub(crate) fn answers(report: &mut Report, lab: &Lab, gates: &[Gate], rounds: usize) -> Result<()> {
    // What is sent back ends right behind the interface: what a switch does with it is no part of the cost.
    lab.edge.ip("link add live type veth peer name end\nlink set live up\nlink set end up\n")?;
    let _end = lab.edge.run(|| attach_code("end", DROP))?;
    let syn = |last| smtp(last, "192.0.2.200", SYN, 0);
    let rows = [
        ("SMTP SYN, default, drop", syn(7)?, DROP),
        ("SMTP SYN, default, reset", syn(140)?, TX),
        ("SMTP data, 1,440 octets, reset", smtp(140, "192.0.2.200", ACK, 1_440)?, TX),
        ("SMTP SYN, default, icmp", syn(230)?, TX),
    ];
    lab.edge.run(|| {
        let interface = nix::net::if_::if_nametoindex("live")?;
        for (name, frame, code) in &rows {
            let beside = load(*code)?;
            let mut programs = vec![beside.as_fd()];
            programs.extend(gates.iter().map(|gate| gate.program.as_fd()));
            let values = interleaved(rounds, programs.len(), |number| {
                Ok(measure_live(programs[number], frame, interface, FRAMES)?.as_secs_f64() * 1e9)
            })?;
            for (gate, gates) in gates.iter().zip(&values[1..]) {
                let spread = Spread::without_outliers(added(gates, &values[0]));
                report.add(ANSWERS, (name, None), gate.name, UNIT, spread);
            }
        }
        Ok(())
    })
}
