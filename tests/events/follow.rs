//! `gate25 events --follow`.

use crate::support::{SOON, Site, lines};
use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    command,
    metrics::sum,
    process::{Process, Signal},
    wait,
};
use serde_json::Value;
use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::PathBuf,
};

struct Follower {
    process: Process,
    output: PathBuf,
    said: PathBuf,
}

impl Follower {
    fn start(site: &Site, name: &str, arguments: &[&str]) -> Result<Self> {
        let output = site.lab.folder().join(name);
        let said = output.with_added_extension("err");
        let mut command = command::gate25(["events", "--follow"].iter().chain(arguments).copied());
        command.arg("--control").arg(site.lab.folder().join("control.sock"));
        command.stdout(File::create(&output)?).stderr(File::create(&said)?);
        Ok(Self { process: site.lab.edge.spawn(command)?, output, said })
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// Waits until it has shown that.
    fn shows(&self, what: &str) -> Result<()> {
        wait::until(SOON, || self.text().contains(what).then_some(()))
            .with_context(|| format!("no {what} in {:?} {:?}", self.text(), fs::read_to_string(&self.said)))
    }
}

#[test]
fn several_follow_each_what_they_asked_for() -> Result<()> {
    let site = Site::new()?;
    let gate = site.gate()?;
    let mut all = Follower::start(&site, "all", &["--json"])?;
    let mut east = Follower::start(&site, "east", &["--zone", "east", "--kind", "blocked"])?;
    // Until both are there.
    let mut port = 0;
    let both = || {
        port += 1;
        let _ =
            site.frame("203.0.113.200".parse().ok()?, "192.0.2.200", port).map(|frame| site.send(&[frame]));
        (all.text().contains("203.0.113.200") && east.text().contains("203.0.113.200")).then_some(())
    };
    wait::until(SOON, both).context("nobody follows")?;
    site.tries("203.0.113.9", "192.0.2.200", 2)?;
    site.tries("203.0.113.201", "192.0.2.200", 1)?;
    east.shows("203.0.113.201")?;
    all.shows("203.0.113.201")?;
    let events = lines(&all.text())?;
    let of = |subscriber: &str| events.iter().filter(|event| event["subscriber"] == subscriber).count();
    ensure!((of("203.0.113.9"), of("203.0.113.201")) == (2, 1), "{events:#?}");
    let text = east.text();
    ensure!(!text.contains("203.0.113.9 ") && !text.contains('{'), "{text}");
    ensure!(
        text.lines().any(|line| line.contains(
            " blocked 203.0.113.201 port 20000 to 192.0.2.200 zone east reason default action drop monitored on eth1"
        )),
        "{text}"
    );
    // The same, from memory, with what was before the followers.
    let newest = site.asked(&["events", "--json", "--zone", "east"])?;
    ensure!(newest.iter().all(|event| event["zone"] == "east") && !newest.is_empty(), "{newest:#?}");

    all.process.signal(Signal::SIGINT);
    let ended = all.process.wait(SOON).context("Ctrl-C does not end it")?;
    ensure!(ended.code() == Some(0), "{ended}");
    ensure!(gate.stop()?.success());
    let ended = east.process.wait(SOON).context("it follows a controller that is gone")?;
    let said = fs::read_to_string(&east.said)?;
    ensure!(
        ended.code() == Some(1)
            && said.lines().last().is_some_and(|line| line.contains("the controller ended (")),
        "{said}"
    );
    Ok(())
}

/// A follower that does not read; later it is told what it missed.
#[test]
fn a_slow_follower_holds_up_nobody() -> Result<()> {
    let site = Site::new()?;
    let gate = site.gate()?;
    let mut stream = UnixStream::connect(site.lab.folder().join("control.sock"))?;
    stream.set_read_timeout(Some(SOON))?;
    stream.write_all(b"{\"follow\":{}}\n")?;
    let mut stream = BufReader::new(stream);
    let mut read = || -> Result<Value> {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| line.clone())
    };
    ensure!(read()?["following"] == true);
    // Ten thousand subscribers with an event each, while it does not read.
    let mut sent = 0_u32;
    for high in 0..40_u16 {
        let mut frames = Vec::new();
        for low in 0..250_u16 {
            let from = format!("2001:db8:100:{high:x}{low:02x}::1").parse()?;
            frames.push(site.frame(from, "2001:db8:bad::1", 1 + low)?);
        }
        sent += 250;
        site.send(&frames)?;
        let wanted = f64::from(sent);
        gate.wait_metrics("they are told", |now| {
            sum(now, "gate25_events_total", &[("kind", "blocked")])
                + sum(now, "gate25_events_lost_total", &[])
                >= wanted
        })?;
    }
    ensure!(sum(&gate.metrics()?, "gate25_events_lost_total", &[]) == 0.0, "lost for the file");
    let marker = "203.0.113.9";
    site.tries(marker, "192.0.2.200", 1)?;
    ensure!(site.events_until(marker)?.len() as u32 == sent + 1);
    let (mut received, mut missed) = (0, 0);
    loop {
        let event = read()?;
        match event["missed"].as_u64() {
            Some(more) => missed += more,
            None if event["subscriber"] == marker => break,
            None => received += 1,
        }
    }
    ensure!(missed > 0 && missed + received == u64::from(sent), "{missed} missed, {received} received");
    ensure!(gate.health()?.0 == 200);
    Ok(())
}
