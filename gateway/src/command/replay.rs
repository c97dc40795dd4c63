//! `gate25 replay`: the real program over a capture, packet by packet.

use crate::datapath::fault::Fault;
use crate::datapath::object::Unmanaged;
use crate::datapath::testrun::{Code, Runner, SHORTEST};
use crate::policy::Policy;
use crate::policy::compile::{Clock, compile};
use crate::progress::Progress;
use crate::tables::Tables;
use gate25_common::verdict::{Action, Decision, Direction, Reason, Verdict};
use jiff::Timestamp;
use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError, create_reader};
use serde::Serialize;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// What came of one packet; its JSON is contract section 3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Row<'a> {
    packet: usize,
    verdict: &'static str,
    action: &'static str,
    enforced: bool,
    reason: &'static str,
    zone: Option<&'a str>,
    rule: Option<&'a str>,
    xdp: Option<&'static str>,
}

/// A boot clock that no machine reaches: time stands still at `at`, so what holds then holds for the whole capture.
const STANDING: u64 = u64::MAX / 2;

/// Runs every packet of `capture` through the program under `policy` as it is at `at`.
pub fn replay(
    policy: &Policy,
    at: Timestamp,
    direction: Direction,
    capture: &Path,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let progress = Progress::shown();
    let tables = compile(policy, Clock::new(at, STANDING), true, |zone| zone as u32 + 1)?;
    let mut packets = Packets::open(capture)?;
    let mut runner = Runner::new(&[direction], Unmanaged::Pass)?;
    runner.install(&tables)?;
    drop(progress);
    if !json {
        writeln!(
            out,
            "{:>7} {:<8} {:<7} {:<9} {:<11} {:<9} zone, rule",
            "packet", "verdict", "action", "enforced", "reason", "xdp"
        )?;
    }
    let mut number = 0;
    packets.each(|frame| {
        number += 1;
        let row = row(number, direction, frame, &mut runner, &tables)?;
        if json {
            serde_json::to_writer(&mut *out, &row)?;
            return Ok(writeln!(out)?);
        }
        let Row { packet, verdict, action, enforced, reason, zone, rule, xdp } = row;
        let (zone, rule, xdp) = (zone.unwrap_or("-"), rule.unwrap_or("-"), xdp.unwrap_or("-"));
        Ok(writeln!(
            out,
            "{packet:>7} {verdict:<8} {action:<7} {enforced:<9} {reason:<11} {xdp:<9} {zone}, {rule}"
        )?)
    })?;
    Ok(out.flush()?)
}

fn row<'a>(
    packet: usize,
    direction: Direction,
    frame: &[u8],
    runner: &mut Runner,
    tables: &'a Tables,
) -> Result<Row<'a>, Fault> {
    let run = if frame.len() < SHORTEST { None } else { Some(runner.run(direction, frame)?) };
    let verdict = run.as_ref().and_then(|run| run.verdict).unwrap_or(NOT_SMTP);
    Ok(Row {
        packet,
        verdict: verdict.decision.label(),
        action: verdict.action.label(),
        enforced: verdict.enforced,
        reason: verdict.reason.label(),
        zone: tables.zones.get(&verdict.zone).map(String::as_str),
        rule: tables.rules.get(&verdict.rule).map(|rule| rule.id.as_str()),
        xdp: run.map(|run| Code::label(run.code)),
    })
}

const NOT_SMTP: Verdict = Verdict {
    decision: Decision::Pass,
    reason: Reason::NotSmtp,
    action: Action::None,
    enforced: false,
    zone: 0,
    rule: 0,
};

/// The packets of a pcap or pcapng file.
struct Packets<'a> {
    path: &'a Path,
    reader: Box<dyn pcap_parser::traits::PcapReaderIterator>,
    /// Of each interface of the capture (a pcap has one).
    links: Vec<Link>,
}

struct Link {
    kind: Linktype,
    /// Octets that a packet was cut to.
    snap_length: u32,
}

/// A block of a capture must fit in here; 64 KiB packets with their options do.
const BUFFER: usize = 1 << 20;

impl<'a> Packets<'a> {
    fn open(path: &'a Path) -> Result<Self, Fault> {
        let file = File::open(path).map_err(|error| capture(path, error))?;
        let reader = create_reader(BUFFER, file).map_err(|error| match error {
            PcapError::Eof | PcapError::HeaderNotRecognized | PcapError::Incomplete(_) => {
                capture(path, "is no pcap or pcapng")
            }
            error => capture(path, reason(&error)),
        })?;
        Ok(Self { path, reader, links: Vec::new() })
    }

    fn each(&mut self, mut take: impl FnMut(&[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
        loop {
            let offset = match self.reader.next() {
                Ok((offset, block)) => {
                    if let Some((frame, link)) = packet(&block, &mut self.links) {
                        if link != Linktype::ETHERNET {
                            return Err(capture(
                                self.path,
                                format!("has packets of link type {}, not Ethernet", link.0),
                            )
                            .into());
                        }
                        take(frame)?;
                    }
                    offset
                }
                Err(PcapError::Eof) => return Ok(()),
                Err(PcapError::Incomplete(_)) => {
                    if self.reader.reader_exhausted() && !self.reader.data().is_empty() && self.refilled()? {
                        return Err(capture(self.path, "ends inside a packet").into());
                    }
                    self.reader.refill().map_err(|error| capture(self.path, reason(&error)))?;
                    continue;
                }
                Err(error) => return Err(capture(self.path, reason(&error)).into()),
            };
            self.reader.consume(offset);
        }
    }

    /// Whether there is no more to read than is in the buffer.
    fn refilled(&mut self) -> Result<bool, Fault> {
        let before = self.reader.data().len();
        self.reader.refill().map_err(|error| capture(self.path, reason(&error)))?;
        Ok(self.reader.data().len() == before)
    }
}

/// The frame in a block, if it is a packet's, and its link type.
fn packet<'b>(block: &'b PcapBlockOwned<'_>, links: &mut Vec<Link>) -> Option<(&'b [u8], Linktype)> {
    match block {
        PcapBlockOwned::LegacyHeader(header) => {
            links.push(Link { kind: header.network, snap_length: header.snaplen });
            None
        }
        PcapBlockOwned::Legacy(packet) => {
            Some((packet.data.get(..packet.caplen as usize)?, links.first()?.kind))
        }
        PcapBlockOwned::NG(Block::SectionHeader(_)) => {
            links.clear();
            None
        }
        PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
            links.push(Link { kind: interface.linktype, snap_length: interface.snaplen });
            None
        }
        PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
            Some((packet.data.get(..packet.caplen as usize)?, links.get(packet.if_id as usize)?.kind))
        }
        PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
            let link = links.first()?;
            let cut =
                if link.snap_length == 0 { packet.origlen } else { packet.origlen.min(link.snap_length) };
            Some((packet.data.get(..cut as usize)?, link.kind))
        }
        PcapBlockOwned::NG(_) => None,
    }
}

fn reason<I: std::fmt::Debug>(error: &PcapError<I>) -> String {
    match error {
        PcapError::ReadError => "cannot be read".to_owned(),
        PcapError::UnexpectedEof => "ends inside a packet".to_owned(),
        PcapError::BufferTooSmall => "has a block of more than 1 MiB".to_owned(),
        _ => "is damaged".to_owned(),
    }
}

fn capture(path: &Path, cause: impl std::fmt::Display) -> Fault {
    Fault::new(
        "capture",
        path.display(),
        cause,
        "give a pcap or pcapng file of Ethernet frames, as `tcpdump -w` writes it",
    )
}
