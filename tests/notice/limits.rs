//! How many clients there may be, and where.

use crate::support::{Client, SOON, client_from, respond, serve, settings, taken};
use anyhow::{Context as _, Result, ensure};
use gate25::{
    notice::{Responder, Settings, limits::RESERVE},
    probe::{Kind, Pace, Probe, Prober},
};
use gate25_tests::{http, lab::Lab, metrics, wait};
use std::{
    collections::{BTreeSet, HashSet},
    net::SocketAddr,
    path::Path,
    sync::mpsc::channel,
    time::Duration,
};

const NOWHERE: &str = "/nowhere/control.sock";

fn count(pages: SocketAddr, series: &str) -> Option<f64> {
    let (_, text) = http::get(pages, "/metrics").ok()?;
    metrics::parse(&text).ok()?.get(series).copied()
}

/// Awaits that value of a series.
fn await_count(pages: SocketAddr, series: &str, wanted: f64) -> Result<()> {
    let is_so = || count(pages, series).filter(|value| (value - wanted).abs() < 0.5).map(drop);
    wait::until(SOON, is_so)
        .with_context(|| format!("{series}: {:?} instead of {wanted}", count(pages, series)))
}

#[test]
fn one_address_has_so_many() -> Result<()> {
    let (responder, address) = respond(Settings { per_address: 3, ..settings(Path::new(NOWHERE)) })?;
    let pages = serve(&responder)?;
    let mut clients: Vec<_> = (0..3).map(|_| client_from([127, 0, 0, 2], address)).collect::<Result<_>>()?;
    for client in &mut clients {
        client.reply()?;
    }
    ensure!(client_from([127, 0, 0, 2], address)?.is_reset()?, "a fourth is let in");
    ensure!(client_from([127, 0, 0, 3], address)?.reply().is_ok(), "others are not meant");
    await_count(pages, "gate25_notice_connections_total{result=\"refused_per_address\"}", 1.0)?;
    let mut last = clients.pop().context("none")?;
    last.write(b"QUIT\r\n")?;
    last.rest()?;
    drop(last);
    await_count(pages, "gate25_notice_open_connections", 2.0)?;
    ensure!(client_from([127, 0, 0, 2], address)?.reply().is_ok(), "no place came free");
    Ok(())
}

#[test]
fn so_many_in_total_and_a_reserve_for_probes() -> Result<()> {
    let (responder, address) = respond(Settings { connections: 5, ..settings(Path::new(NOWHERE)) })?;
    let pages = serve(&responder)?;
    let mut clients: Vec<_> =
        (1..=5).map(|host| client_from([127, 0, 1, host], address)).collect::<Result<_>>()?;
    for client in &mut clients {
        client.reply()?;
    }
    ensure!(client_from([127, 0, 1, 9], address)?.is_reset()?);
    await_count(pages, "gate25_notice_connections_total{result=\"refused_total\"}", 1.0)?;
    // To an address that is in no zone, the reserve is open.
    responder.say(gate25::notice::greeting::Texts::default());
    let mut probes: Vec<_> = (0..RESERVE).map(|_| Client::to(address)).collect::<Result<_>>()?;
    for probe in &mut probes {
        probe.reply()?;
    }
    ensure!(Client::to(address)?.is_reset()?);
    Ok(())
}

#[test]
fn addresses_come_and_go_and_connections_stay() -> Result<()> {
    let (mut responder, first) = respond(settings(Path::new(NOWHERE)))?;
    let pages = serve(&responder)?;
    let mut client = Client::to(first)?;
    client.reply()?;
    let (holder, second) = taken()?;
    drop(holder);
    listens(&mut responder, &[second])?;
    ensure!(responder.addresses().eq([second]));
    ensure!(Client::to(second)?.reply().is_ok());
    let gone = wait::until(SOON, || Client::to(first).is_err().then_some(()));
    ensure!(gone.is_some(), "the first is still listened on");
    client.write(b"QUIT\r\n")?;
    ensure!(client.rest()?.starts_with("221 "), "a connection was cut");
    ensure!(http::get(pages, "/healthz")?.0 == 200);

    let (holder, busy) = taken()?;
    let faults: Vec<_> =
        responder.listen(&BTreeSet::from([second, busy])).iter().map(ToString::to_string).collect();
    ensure!(
        faults.len() == 1 && faults[0].starts_with(&format!("notice: {busy}: address already in use (")),
        "{faults:?}"
    );
    ensure!(Client::to(second)?.reply().is_ok(), "the others go on");
    let (status, body) = http::get(pages, "/healthz")?;
    let health: serde_json::Value = serde_json::from_str(&body)?;
    ensure!(
        status == 503
            && health["healthy"] == false
            && health["why"].as_str().is_some_and(|why| why.contains(&busy.to_string())),
        "{body}"
    );
    drop(holder);
    listens(&mut responder, &[second, busy])?;
    ensure!(http::get(pages, "/healthz")?.0 == 200 && Client::to(busy)?.reply().is_ok());
    Ok(())
}

/// Awaits that it listens there: a child that another test starts has our descriptors until it is another program.
fn listens(responder: &mut Responder, addresses: &[SocketAddr]) -> Result<()> {
    let wanted: BTreeSet<_> = addresses.iter().copied().collect();
    let mut faults = Vec::new();
    let listens = wait::until(SOON, || {
        faults = responder.listen(&wanted);
        faults.is_empty().then_some(())
    });
    listens.with_context(|| format!("{faults:?}"))
}

/// The controller's probe finds it, and takes its leave; once nobody listens, it hears of that.
#[test]
fn probes_know_it() -> Result<()> {
    let (mut responder, address) = respond(settings(Path::new(NOWHERE)))?;
    let pages = serve(&responder)?;
    let (sender, reports) = channel();
    let report = move |probe, is_up| {
        let _ = sender.send((probe, is_up));
    };
    let pace = Pace { notice: Duration::from_millis(20), ..Pace::default() };
    let mut prober = Prober::new(responder.runtime().clone(), pace, report);
    let probe = Probe { address, kind: Kind::Notice };
    prober.follow(&HashSet::from([probe]));
    ensure!(reports.recv_timeout(SOON)? == (probe, true));
    await_count(pages, "gate25_notice_open_connections", 0.0)?;
    ensure!(count(pages, "gate25_notice_closed_total{why=\"quit\"}").is_some_and(|count| count >= 1.0));
    responder.listen(&BTreeSet::new());
    ensure!(reports.recv_timeout(SOON)? == (probe, false));
    ensure!(
        count(pages, "gate25_notice_closed_total{why=\"error\"}") == Some(0.0),
        "a probe was no good guest"
    );
    Ok(())
}

/// The same port in both families, on all addresses: IPv6 takes no IPv4. (On a host of its own: here anybody's connection
/// may have any port, at one address.)
#[test]
fn both_families_at_one_port() -> Result<()> {
    let lab = Lab::new()?;
    lab.stranger.namespace.run(|| {
        let mut responder = Responder::new(settings(Path::new(NOWHERE)))?;
        let both = ["0.0.0.0:2525", "[::]:2525"].map(str::parse);
        let both = both.into_iter().collect::<std::result::Result<BTreeSet<SocketAddr>, _>>()?;
        let faults = responder.listen(&both);
        ensure!(faults.is_empty(), "{faults:?}");
        for address in ["127.0.0.1:2525", "[::1]:2525"] {
            ensure!(Client::to(address.parse()?)?.reply().is_ok(), "{address}");
        }
        Ok(())
    })
}
