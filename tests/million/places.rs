//! The places of generations are written over again and again while packets flow, as quickly as that goes.

use crate::{policies, run};
use anyhow::{Result, ensure};
use gate25::{
    clock,
    datapath::{object::Unmanaged, testrun::Runner},
    policy::{
        self,
        compile::{compile, rule_number},
    },
    progress::Progress,
    tables::Tables,
};
use gate25_common::verdict::{Decision, Direction, Reason, RuleKind};
use gate25_tests::{
    packet::{ACK, Link, SYN, Tcp, packet},
    testrun,
};
use nix::sys::signal::SigSet;
use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    os::fd::AsFd as _,
    path::Path,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::channel,
    },
    thread,
    time::{Duration, Instant},
};

const TIME: Duration = Duration::from_secs(3);
/// The slots of zones west and east.
const SLOTS: [u32; 2] = [1, 2];
/// Of prefixes: an array for one does not do for the next, or keeps too much.
const SIZES: [u32; 3] = [1_000, 2_500, 30_000];

fn tables(folder: &Path, text: &str) -> Result<Tables> {
    let file = folder.join("policy.yaml");
    fs::write(&file, text)?;
    let loaded = policy::load(&file).map_err(|refused| anyhow::anyhow!("{:?}", refused.problems))?;
    let slot = |zone: usize| SLOTS[usize::from(loaded.policy.zones[zone].id == "east")];
    Ok(compile(&loaded.policy, clock::now(), true, slot)?)
}

/// Installs these tables in an order that is the same each time, and calls `each` behind each, until the time is over; how many
/// were installed.
fn install_all(runner: &mut Runner, tables: &[Tables], each: impl Fn(usize) -> Result<()>) -> Result<u32> {
    let (start, mut installs, mut random) = (Instant::now(), 0, 1_u64);
    while start.elapsed() < TIME {
        // Knuth's MMIX.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let number = (random >> 33) as usize % tables.len();
        runner.install(&tables[number])?;
        each(number)?;
        installs += 1;
    }
    Ok(installs)
}

#[test]
fn what_is_installed_is_told() -> Result<()> {
    let folder = tempfile::tempdir()?;
    policies::write_lists(folder.path(), SIZES[0])?;
    let tables = tables(folder.path(), &policies::text(false))?;
    let mut runner = Runner::unobserved(&[Direction::Egress], Unmanaged::Pass)?;
    let (told, lines) = channel::<String>();
    let _progress = Progress::every(Duration::from_millis(1), move |line| drop(told.send(line.into())));
    runner.install(&tables)?;
    // Those of the lists; four of each group that are in the policy itself, four of the zones, and one that is on no list.
    let begin = Instant::now();
    let mut lines = lines.iter().take_while(|_| begin.elapsed() < TIME);
    let line = lines.find(|line| !line.starts_with("policy: 0 "));
    let line = line.unwrap_or_default();
    ensure!(line.starts_with("policy: 1,261 of 1,261 prefixes installed after "), "{line}");
    Ok(())
}

/// How long it takes the kernel to know that whatever packets were under way are through (`synchronize_rcu`), as `membarrier(2)`
/// does.
fn grace_period() -> Result<Duration> {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    const TIMES: u32 = 20;
    let start = Instant::now();
    for _ in 0..TIMES {
        // SAFETY: numbers only.
        let result = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
        ensure!(result == 0, "membarrier: {}", std::io::Error::last_os_error());
    }
    Ok(start.elapsed() / TIMES)
}

#[test]
fn a_place_is_written_over_when_nobody_reads_it() -> Result<()> {
    let mut all = Vec::new();
    for size in SIZES {
        let folder = tempfile::tempdir()?;
        policies::write_lists(folder.path(), size)?;
        for turned in [false, true] {
            all.push(tables(folder.path(), &policies::text(turned))?);
        }
    }
    let subscribers = ["203.0.113.9", "203.0.113.209", "2001:db8:100::9", "2001:db8:101::9"];
    let destinations = policies::destinations(SIZES[0])?;
    let mut frames = Vec::new();
    for from in subscribers {
        let from: IpAddr = from.parse()?;
        let to = destinations[usize::from(from.is_ipv6())];
        frames.push(Link::new().carry(packet(from, to, &Tcp::new(40_000, 25, ACK))));
    }
    let mut runner = Runner::unobserved(&[Direction::Egress], Unmanaged::Pass)?;
    runner.install(&all[0])?;
    let program = runner.xdp()?;
    let stop = AtomicBool::new(false);
    let (runs, installs) = thread::scope(|scope| {
        let load = scope.spawn(|| run(&program, &frames, &stop));
        let installs = install_all(&mut runner, &all, |_| Ok(()));
        // Nothing is made anew any more.
        let installs = installs.and_then(|some| Ok(some + install_all(&mut runner, &all[..2], |_| Ok(()))?));
        stop.store(true, Ordering::Relaxed);
        let runs = load.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok::<_, anyhow::Error>((u64::from(runs?), installs?))
    })?;
    println!("{installs} installs under {runs} runs of each packet");
    let found = runner.snapshot(SLOTS.into_iter())?;
    let packets = |zone, decision, reason| {
        let rows = found
            .packets
            .iter()
            .filter(|row| (row.zone, row.decision, row.reason) == (zone, decision, reason));
        rows.map(|row| row.count.packets).sum::<u64>()
    };
    let allowed = packets(SLOTS[0], Decision::Pass, Reason::Exception);
    let blocked = packets(SLOTS[1], Decision::Block, Reason::Default);
    let by = ["here", "there"].map(|id| found.rules[&rule_number(RuleKind::Exception, id)].packets);
    ensure!(
        allowed == 2 * runs && blocked == 2 * runs,
        "{allowed} and {blocked} of {runs}: {:#?}",
        found.packets
    );
    ensure!(by[0] + by[1] == 2 * runs && by[0] > 0 && by[1] > 0, "{by:?} of {runs}");
    Ok(())
}

/// To the destination: one policy redirects it, one allows it and would redirect others to another server, one has nowhere to
/// redirect it to, so that it is reset.
#[test]
fn nothing_is_redirected_by_another_generation() -> Result<()> {
    let remote = Ipv4Addr::new(198, 51, 100, 9);
    let (here, there) = (Ipv4Addr::new(192, 0, 2, 25), Ipv4Addr::new(192, 0, 2, 99));
    let folder = tempfile::tempdir()?;
    let policy = |to: &str, rest: &str| {
        let zone = format!("{{id: west, subscribers: [203.0.113.0/25], mode: enforce, {to}}}");
        tables(folder.path(), &format!("version: 1\nzones:\n  - {zone}\n{rest}"))
    };
    let open = format!("exceptions:\n  - {{id: open, destinations: [{remote}], permanent: true}}\n");
    let mut all = [
        policy(&format!("action: relay, relay_to: '{here}:25'"), "")?,
        policy(&format!("action: relay, relay_to: '{there}:25'"), &open)?,
        policy(&format!("action: relay, relay_to: '{here}:25'"), "")?,
    ];
    all[2].targets.clear();
    let subscriber = Ipv4Addr::new(203, 0, 113, 9);
    // Where a packet goes then.
    let wanted = [here, remote, subscriber];
    let frame = |port| Link::new().carry(packet(subscriber.into(), remote.into(), &Tcp::new(port, 25, SYN)));
    // As `replay` has it, answers are not limited.
    let mut runner = Runner::new(&[Direction::Egress], Unmanaged::Pass)?;
    runner.install(&all[0])?;
    let program = runner.xdp()?;
    let destination = |frame: &[u8]| -> Result<Ipv4Addr> {
        // Behind Ethernet, and 16 octets of IPv4.
        Ok(Ipv4Addr::from_bits(u32::from_be_bytes(testrun::run(program.as_fd(), frame)?[30..34].try_into()?)))
    };
    let stop = AtomicBool::new(false);
    let (packets, installs, grace_period) = thread::scope(|scope| {
        let load = scope.spawn(|| -> Result<u64> {
            SigSet::all().thread_block()?;
            let mut packets = 0;
            while !stop.load(Ordering::Relaxed) {
                for port in 10_000..20_000 {
                    let to = destination(&frame(port))?;
                    ensure!(to != there, "redirected to {to} behind {packets} packets");
                    packets += 1;
                }
            }
            Ok(packets)
        });
        let grace_period = grace_period();
        let installs = install_all(&mut runner, &all, |number| {
            let to = destination(&frame(9_999))?;
            ensure!(to == wanted[number], "{to} by policy {number}");
            Ok(())
        });
        stop.store(true, Ordering::Relaxed);
        let packets = load.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok::<_, anyhow::Error>((packets?, installs?, grace_period?))
    })?;
    println!("{installs} installs under {packets} packets; a grace period of {grace_period:?}");
    // No packet is slow enough to be seen under way; but each install must have waited for them behind the flip before.
    ensure!(TIME / installs > grace_period / 4, "{installs} installs, {grace_period:?}");
    Ok(())
}
