//! Ten thousand clients at once.

use crate::{
    command::Notice,
    support::{SOON, connect_from},
};
use anyhow::{Context as _, Result, ensure};
use std::{
    fs,
    io::Read as _,
    net::{IpAddr, Ipv4Addr},
    time::Instant,
};

const CLIENTS: u32 = 10_000;
const PER_ADDRESS: u32 = 20;
/// Megabytes.
const MEMORY: u64 = 200;

/// Resident memory of a process, in kB.
fn resident(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// As many descriptors as are allowed.
fn descriptors() -> Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls read or write the one structure that they are given.
    let is_raised = unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 && {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) == 0
        }
    };
    let most = limit.rlim_max;
    ensure!(is_raised && most > u64::from(CLIENTS) + 200, "only {most} descriptors");
    Ok(())
}

#[test]
fn ten_thousand_fit_in_200_megabytes() -> Result<()> {
    let notice = Notice::start(&[])?;
    descriptors()?;
    let before = resident(notice.id())?;
    let begin = Instant::now();
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        // 127.1.x.y: all of them are in no zone, so the reserve is theirs as well.
        let from = Ipv4Addr::from_bits(0x7f01_0001 + number / PER_ADDRESS);
        let stream =
            connect_from(IpAddr::V4(from), notice.address).with_context(|| format!("client {number}"))?;
        stream.set_read_timeout(Some(SOON))?;
        clients.push(stream);
    }
    let mut code = [0; 4];
    for (number, client) in clients.iter_mut().enumerate() {
        client.read_exact(&mut code).with_context(|| format!("client {number}: {}", notice.log()))?;
        ensure!(code == *b"554-", "client {number}");
    }
    let (took, after) = (begin.elapsed(), resident(notice.id())?);
    let (_, scrape) = gate25_tests::http::get(notice.pages, "/metrics")?;
    ensure!(scrape.contains(&format!("gate25_notice_open_connections {CLIENTS}\n")), "{scrape}");
    println!(
        "{CLIENTS} clients greeted in {took:.2?}; resident {before} kB before, {after} kB with all of them"
    );
    ensure!(after < MEMORY << 10, "{after} kB");
    Ok(())
}
