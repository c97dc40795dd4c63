//! What the service manager hears, and when it hears nothing.

use crate::{SOON, text};
use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    dns::{self, NameServer},
    gate::{self, Gate},
    lab::Lab,
    policy::{self, WEST},
    wait,
};
use nix::sys::{ptrace, wait as child};
use nix::unistd::Pid;
use std::{
    fmt::Write as _,
    fs,
    os::unix::net::UnixDatagram,
    process::Command,
    time::{Duration, Instant},
};

/// The service manager.
struct Manager(UnixDatagram);

impl Manager {
    fn at(lab: &Lab) -> Result<Self> {
        let socket = UnixDatagram::bind(lab.folder().join("notify"))?;
        socket.set_nonblocking(true)?;
        Ok(Self(socket))
    }

    /// Lines of the next word, if there is one.
    fn next(&self) -> Option<Vec<String>> {
        let mut word = [0; 4096];
        let length = self.0.recv(&mut word).ok()?;
        Some(String::from_utf8_lossy(&word[..length]).lines().map(str::to_owned).collect())
    }

    /// Awaits a line.
    fn hears(&self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        wait::until(SOON, || self.next()?.into_iter().find(|line| wanted(line)))
    }

    /// How often it is told in that time that all is well, and the longest pause.
    fn listen(&self, limit: Duration, mut meanwhile: impl FnMut()) -> (u32, Duration) {
        let begin = Instant::now();
        let (mut count, mut last, mut longest) = (0, begin, Duration::ZERO);
        while begin.elapsed() < limit {
            while let Some(word) = self.next() {
                if word.iter().any(|line| line == "WATCHDOG=1") {
                    (count, longest, last) = (count + 1, longest.max(last.elapsed()), Instant::now());
                }
            }
            meanwhile();
            std::thread::sleep(Duration::from_millis(20));
        }
        (count, longest.max(last.elapsed()))
    }
}

/// `gate25 run`, watched by that one.
fn watched(lab: &Lab, command: &mut Command, limit: Duration) {
    command.env("NOTIFY_SOCKET", lab.folder().join("notify"));
    command.env("WATCHDOG_USEC", limit.as_micros().to_string());
}

/// One thread that does not go on, while all others do.
struct Hanging(Pid);

impl Hanging {
    fn thread(number: u32) -> Result<Self> {
        let thread = Pid::from_raw(number.cast_signed());
        ptrace::seize(thread, ptrace::Options::empty())?;
        ptrace::interrupt(thread)?;
        child::waitpid(thread, Some(child::WaitPidFlag::__WALL))?;
        Ok(Self(thread))
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        let _ = ptrace::detach(self.0, None);
    }
}

#[test]
fn a_controller_that_hangs_is_silent() -> Result<()> {
    let lab = Lab::new()?;
    let file = policy::write(lab.folder(), WEST)?;
    let manager = Manager::at(&lab)?;
    let mut command = Command::new(gate25_tests::gate25());
    command.arg("run").arg("--config").arg(gate::write(&lab, &gate::configuration(&lab, &file))?);
    let limit = Duration::from_secs(1);
    watched(&lab, &mut command, limit);
    let gate = Gate::run(&lab, command, SOON)?;
    let enforcing = "STATUS=enforcing on eth1: 1 zone, 0 exceptions";
    let ready = wait::until(SOON, || manager.next().filter(|word| word[0] == "READY=1"));
    ensure!(ready.as_deref() == Some(&["READY=1".to_owned(), enforcing.to_owned()]), "{ready:?}");
    let well = || manager.hears(|line| line == "WATCHDOG=1").with_context(|| gate.log());
    well()?;

    // The loop that follows policy, dates and names; then whoever answers people.
    let tasks = fs::read_dir(format!("/proc/{}/task", gate.id()))?.flatten();
    let is_unnamed = |task: &fs::DirEntry| {
        fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm == "gate25\n")
    };
    let threads = tasks.filter(is_unnamed).map(|task| Ok(task.file_name().to_string_lossy().parse()?));
    let mut threads = threads.collect::<Result<Vec<u32>>>()?;
    threads.sort_by_key(|thread| *thread != gate.id());
    ensure!(threads.len() == 2 && threads[0] == gate.id(), "{threads:?}");
    for thread in threads {
        let hanging = Hanging::thread(thread)?;
        // What it did until then counts for half the limit.
        manager.listen(limit, || ());
        let (told, _) = manager.listen(2 * limit, || ());
        ensure!(told == 0, "thread {thread} hangs, and {told} times all was well");
        ensure!(thread != gate.id() || gate.health()?.0 == 200, "the others go on");
        drop(hanging);
        well()?;
    }

    fs::write(&file, WEST.replace("mode: enforce", "mode: enforc"))?;
    let refused = manager.hears(|line| line.contains("refused")).with_context(|| gate.log())?;
    println!("{refused}");
    let wanted = format!(
        "{enforcing}; the policy at its path is refused: {}:5:11: zones[0].mode: enforc: ",
        file.display()
    );
    ensure!(refused.starts_with(&wanted), "{refused}");
    policy::put(&file, WEST)?;
    manager.hears(|line| line == enforcing).with_context(|| gate.log())?;
    ensure!(gate.stop()?.success());
    manager.hears(|line| line == "STOPPING=1").context("no STOPPING")?;
    Ok(())
}

/// A million prefixes, loaded again and again, each time with a name that was never asked for; and no name server answers.
#[test]
fn what_takes_its_time_does_not_hang() -> Result<()> {
    let lab = Lab::new()?;
    let mut list = String::new();
    for number in 0..1_000_000_u32 {
        let [_, a, b, c] = number.to_be_bytes();
        writeln!(list, "{}.{b}.{c}.1", 16 + a)?;
    }
    fs::write(lab.folder().join("list"), list)?;
    let rules = "exceptions:\n  - {id: all, destinations_file: list, permanent: true}\n  - {id: named, names: [mail0.example], permanent: true}\n";
    let million = format!("{WEST}{rules}");
    let file = policy::write(lab.folder(), &million)?;
    let server = "127.0.0.2".parse()?;
    let dns = NameServer::start(&lab.edge, server, 1)?;
    dns.silence(true);
    let manager = Manager::at(&lab)?;
    let config = gate::write(&lab, &gate::configuration(&lab, &file))?;
    let mut command = Command::new(gate25_tests::gate25());
    command.args(["run", "--config", text(&config)]);
    let mut command = dns::asking(&lab.folder().join("resolv.conf"), &[server], &command)?;
    let limit = Duration::from_secs(4);
    watched(&lab, &mut command, limit);
    let gate = Gate::run(&lab, command, 2 * SOON)?;
    manager.hears(|line| line == "READY=1").context("not ready")?;
    let (mut next, mut number) = (Instant::now(), 0);
    let (told, longest) = manager.listen(3 * limit, || {
        if next <= Instant::now() {
            number += 1;
            let _ = policy::put(&file, &million.replace("mail0", &format!("mail{number}")));
            next += Duration::from_secs(1);
        }
    });
    println!("told {told} times; the longest pause was {longest:?}");
    ensure!(longest < limit, "{longest:?}; log:\n{}", gate.log());
    ensure!(gate.metrics()?["gate25_policy_reloads_total{result=\"ok\"}"] > 5.0, "{}", gate.log());
    Ok(())
}
