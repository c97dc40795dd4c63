//! The process: `gate25 notice` without any privilege, its files, its metrics, its faults.

use crate::support::{Client, HOST, SOON, taken};
use anyhow::{Context as _, Result, ensure};
use gate25_tests::{http, metrics, policy::WEST, process::Signal, prometheus, wait};
use std::{
    fs::{self, File, Permissions},
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command},
};
use tempfile::TempDir;

/// A running `gate25 notice`, as nobody; killed when dropped.
pub(crate) struct Notice {
    folder: TempDir,
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) pages: SocketAddr,
}

impl Notice {
    /// With few descriptors at first, and enough allowed.
    pub(crate) fn start(more: &[&str]) -> Result<Self> {
        Self::limited("-S -n 256", more)
    }

    /// With what that `ulimit` leaves.
    fn limited(limit: &str, more: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        fs::write(folder.path().join("policy.yaml"), WEST)?;
        // No interface, no pin: what `run` needs is none of its business.
        let control = folder.path().join("control.sock");
        let policy = folder.path().join("policy.yaml");
        let config = folder.path().join("gate25.yaml");
        fs::write(&config, format!("policy: {}\ncontrol: {}\n", policy.display(), control.display()))?;
        let binary = folder.path().join("gate25");
        gate25_tests::command::copy_gate25(&binary, "")?;
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit {limit}; exec setpriv \"$@\""), "sh"]);
        command.args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "--bounding-set=-all",
            "--no-new-privs",
        ]);
        command.arg(binary).arg("notice").arg("--config").arg(config);
        command.args(["--hostname", HOST, "--address", "127.0.0.1:0", "--listen", "127.0.0.1:0"]).args(more);
        let child = command.stderr(File::create(folder.path().join("log"))?).spawn()?;
        let nowhere = SocketAddr::from(([0; 4], 0));
        let mut notice = Self { folder, child, address: nowhere, pages: nowhere };
        (notice.address, notice.pages) = wait::until(SOON, || notice.said()).with_context(|| notice.log())?;
        Ok(notice)
    }

    /// Where it says that it listens.
    fn said(&self) -> Option<(SocketAddr, SocketAddr)> {
        let log = self.log();
        let (_, rest) = log.split_once("notices at ")?;
        let (address, rest) = rest.split_once(" listen=")?;
        Some((address.parse().ok()?, rest.lines().next()?.parse().ok()?))
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        Ok(nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.id().cast_signed()), signal)?)
    }

    fn scrape(&self) -> Result<String> {
        Ok(http::get(self.pages, "/metrics")?.1)
    }

    fn await_series(&self, series: &str, wanted: f64) -> Result<()> {
        let value = || metrics::parse(&self.scrape().ok()?).ok()?.get(series).copied();
        let is_so = || value().filter(|value| (value - wanted).abs() < 0.5).map(drop);
        wait::until(SOON, is_so)
            .with_context(|| format!("{series}: {:?} instead of {wanted}; {}", value(), self.log()))
    }
}

impl Drop for Notice {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn nobody_can_run_it() -> Result<()> {
    let mut notice = Notice::start(&[])?;
    let status = fs::read_to_string(format!("/proc/{}/status", notice.id()))?;
    for wanted in
        ["Uid:\t65534\t65534\t65534\t65534", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000"]
    {
        ensure!(status.contains(wanted), "no {wanted} in {status}");
    }
    let greeting = Client::to(notice.address)?.reply()?;
    ensure!(greeting.starts_with(&format!("554-{HOST} ")), "{greeting}");
    ensure!(http::get(notice.pages, "/healthz")?.0 == 200);
    notice.signal(Signal::SIGTERM)?;
    let ended = wait::until(SOON, || notice.child.try_wait().ok().flatten()).context("still there")?;
    ensure!(ended.success(), "{ended}: {}", notice.log());
    Ok(())
}

#[test]
fn fewer_descriptors_are_fewer_connections() -> Result<()> {
    let notice = Notice::limited("-n 300", &[])?;
    let warning = "connections: 10000: only 140 fit in 300 descriptors (raise LimitNOFILE)";
    ensure!(notice.log().contains(warning), "{}", notice.log());
    ensure!(Client::to(notice.address)?.reply().is_ok());
    Ok(())
}

#[test]
fn nothing_that_was_sent_is_logged() -> Result<()> {
    let notice = Notice::start(&[])?;
    let mut client = Client::to(notice.address)?;
    client.reply()?;
    client.write(b"AUTH PLAIN c2VjcmV0\r\nMAIL FROM:<alice@example.net>\r\nQUIT\r\n")?;
    client.rest()?;
    let log = notice.log();
    ensure!(!log.contains("c2VjcmV0") && !log.contains("alice") && !log.contains("127.0.0.1 "), "{log}");
    Ok(())
}

#[test]
fn metrics_are_what_happened_and_promtool_is_silent() -> Result<()> {
    let notice = Notice::start(&["--connections-per-address", "2"])?;
    let mut clients = [Client::to(notice.address)?, Client::to(notice.address)?];
    for client in &mut clients {
        client.reply()?;
    }
    ensure!(Client::to(notice.address)?.is_reset()?);
    let [mut quits, leaves] = clients;
    quits.write(b"EHLO client.example\r\nQUIT\r\n")?;
    quits.rest()?;
    drop((quits, leaves));
    for (series, wanted) in [
        ("open_connections", 0.0),
        ("connections_total{result=\"greeted\"}", 2.0),
        ("connections_total{result=\"refused_per_address\"}", 1.0),
        ("connections_total{result=\"refused_total\"}", 0.0),
        ("connections_total{result=\"failed\"}", 0.0),
        ("commands_total{command=\"quit\"}", 1.0),
        ("commands_total{command=\"other\"}", 1.0),
        ("closed_total{why=\"quit\"}", 1.0),
        ("closed_total{why=\"client\"}", 1.0),
        ("lookups_total{result=\"no_answer\"}", 2.0),
        ("greeting_seconds_count", 2.0),
    ] {
        notice.await_series(&format!("gate25_notice_{series}"), wanted)?;
    }
    let scrape = notice.scrape()?;
    let ours = |line: &str| line.starts_with("gate25_notice_") && !line.contains("127.0.0.1");
    ensure!(scrape.lines().filter(|line| !line.starts_with('#')).all(ours), "{scrape}");

    prometheus::is_silent(&scrape)
}

#[test]
fn the_policy_is_followed_and_a_refused_one_is_not() -> Result<()> {
    let notice = Notice::start(&[])?;
    let policy = notice.folder.path().join("policy.yaml");
    let reloads = |result: &str| format!("gate25_notice_policy_reloads_total{{result=\"{result}\"}}");
    gate25_tests::policy::put(&policy, "version: 2\n")?;
    notice.await_series(&reloads("refused"), 1.0)?;
    let told = wait::until(SOON, || notice.log().contains("the new policy is refused").then_some(()));
    ensure!(told.is_some(), "{}", notice.log());
    ensure!(Client::to(notice.address)?.reply().is_ok());
    gate25_tests::policy::put(&policy, WEST)?;
    notice.await_series(&reloads("ok"), 1.0)?;
    notice.signal(Signal::SIGHUP)?;
    notice.await_series(&reloads("ok"), 2.0)
}

#[test]
fn what_cannot_be_said_at_once() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).map(|()| path.display().to_string())
    };
    let (good, bad) = (file("good.yaml", WEST)?, file("bad.yaml", "version: 2\n")?);
    let empty = file("empty.yaml", "{}\n")?;
    let (_holder, busy) = taken()?;
    let busy = busy.to_string();
    let free = ["--listen", "127.0.0.1:0", "--address", "127.0.0.1:0"];
    let cases: [(&[&str], i32, &str); 9] = [
        (
            &["--policy", &good, "--listen", "127.0.0.1:0", "--address", &busy],
            1,
            &format!("notice: {busy}: address already in use ("),
        ),
        (
            &["--policy", &good, "--listen", "127.0.0.1:0", "--address", "192.0.2.99:1"],
            1,
            "notice: 192.0.2.99:1: cannot assign requested address (",
        ),
        (
            &["--policy", &good, "--address", "127.0.0.1:0", "--listen", &busy],
            1,
            &format!("listen: {busy}: address already in use ("),
        ),
        (
            &["--policy", &good, "--listen", "127.0.0.1:0"],
            1,
            &format!("notice: {good}: no zone has an address to listen on ("),
        ),
        (&[&["--policy", &bad][..], &free].concat(), 1, &format!("{bad}:1:10: version: ")),
        (&[&["--config", &empty][..], &free].concat(), 1, "config: policy: is not named ("),
        (&[&["--config", "/nowhere.yaml"][..], &free].concat(), 1, "config: /nowhere.yaml: "),
        (&free, 2, "usage: "),
        (&[&["--policy", &good, "--hostname", "two words"][..], &free].concat(), 2, "usage: two words: "),
    ];
    for (arguments, code, line) in cases {
        let mut command = Command::new(gate25_tests::gate25());
        let output = command.arg("notice").args(arguments).output()?;
        let said = String::from_utf8(output.stderr)?;
        let last = said.lines().last().unwrap_or_default();
        ensure!(
            output.status.code() == Some(code) && last.starts_with(line),
            "{arguments:?}: {said} instead of {line}"
        );
        ensure!(Path::new(&good).exists());
    }
    Ok(())
}
