//! A change of the policy on disk, however it is made, is in force within a second; a bad one never is.

#![expect(clippy::float_cmp, reason = "samples of counters are whole numbers, and exact")]

use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    gate::Gate,
    lab::Lab,
    policy::{self, UNIVERSITY, WEST},
    smtp::{self, Outcome, Sink},
    wait,
};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// What the contract grants a small policy.
const PROMISE: Duration = Duration::from_secs(1);
/// For each step of a mail that arrives or is refused, on a busy machine.
const LIMIT: Duration = Duration::from_secs(15);
const REFUSED: &str = "gate25_policy_reloads_total{result=\"refused\"}";
const STILL: &str = "gate25_policy_refused";
const DONE: &str = "gate25_policy_reloads_total{result=\"ok\"}";
const GENERATION: &str = "gate25_policy_generation";

/// A lab with a gate in it, and mail servers at the university and the relay.
struct Scene<'lab> {
    lab: &'lab Lab,
    gate: Gate<'lab>,
    _sinks: [Sink; 2],
}

impl<'lab> Scene<'lab> {
    fn new(lab: &'lab Lab, policy: &Path) -> Result<Self> {
        let sink = |host: &gate25_tests::lab::Host| Sink::start(&host.namespace, host.name, &[25]);
        Ok(Self { lab, gate: Gate::start(lab, policy)?, _sinks: [sink(&lab.university)?, sink(&lab.relay)?] })
    }

    /// Makes a change and awaits that alice's mail to the university arrives, or is refused, over both families.
    fn change(&self, what: &str, open: bool, change: impl FnOnce() -> Result<()>) -> Result<()> {
        ensure!(self.is(!open), "{what}: before the change, alice's mail is already as it shall be after it");
        let done = self.value(DONE)?;
        let start = Instant::now();
        change()?;
        let seen = wait::until(10 * PROMISE, || self.is(open).then(|| start.elapsed()));
        let seen = seen.with_context(|| format!("{what}: never in force; log:\n{}", self.gate.log()))?;
        println!("{what}: in force after {} ms", seen.as_millis());
        ensure!(seen < PROMISE, "{what}: took {seen:?}");
        // Packets know before the metrics do.
        self.gate.wait_series(DONE, done + 1.0).map(drop)
    }

    fn is(&self, open: bool) -> bool {
        self.outcomes().iter().all(
            |outcome| {
                if open { outcome.is_delivered() } else { *outcome == Outcome::Refused }
            },
        )
    }

    fn outcomes(&self) -> [Outcome; 2] {
        smtp::knock(&self.lab.alice, &self.lab.university, LIMIT)
    }

    fn value(&self, series: &str) -> Result<f64> {
        self.gate.metrics()?.get(series).copied().with_context(|| format!("no {series}"))
    }
}

#[test]
fn a_file_rewritten_renamed_and_sighup() -> Result<()> {
    let lab = Lab::new()?;
    let file = policy::write(lab.folder(), WEST)?;
    let scene = Scene::new(&lab, &file)?;
    let open = policy::open();
    scene.change("rewritten in place", true, || Ok(fs::write(&file, &open)?))?;
    scene.change("rewritten in place, shorter", false, || Ok(fs::write(&file, WEST)?))?;
    scene.change("renamed over it", true, || policy::put(&file, &open))?;
    scene.change("renamed over it", false, || policy::put(&file, WEST))?;

    // Nothing but the signal: the same policy again, as a generation of its own.
    let (generation, done) = (scene.value(GENERATION)?, scene.value(DONE)?);
    scene.gate.reload();
    let took = scene.gate.wait_series(GENERATION, generation + 1.0)?;
    scene.gate.wait_series(DONE, done + 1.0)?;
    ensure!(took < PROMISE, "SIGHUP: took {took:?}");
    println!("SIGHUP: in force after {} ms", took.as_millis());
    ensure!(scene.is(false) && scene.value(REFUSED)? == 0.0);
    Ok(())
}

#[test]
fn a_directory_and_a_list() -> Result<()> {
    let lab = Lab::new()?;
    let folder = lab.folder().join("policies");
    fs::create_dir(&folder)?;
    let (zones, campus, list) =
        (folder.join("10-zones.yaml"), folder.join("20-campus.yml"), folder.join("campus.txt"));
    fs::write(&zones, WEST)?;
    let scene = Scene::new(&lab, &folder)?;
    let text = format!("version: 1\nexceptions:\n{}", policy::exception("campus", "permanent: true"));
    scene.change("a file added", true, || Ok(fs::write(&campus, &text)?))?;
    scene.change("a file removed", false, || Ok(fs::remove_file(&campus)?))?;

    fs::write(&list, "100.64.9.0/24\n")?;
    let text = text.replace(&format!("destinations: {UNIVERSITY}"), "destinations_file: campus.txt");
    let done = scene.value(DONE)?;
    fs::write(&campus, text)?;
    scene.gate.wait_series(DONE, done + 1.0)?;
    scene.change("a list extended", true, || {
        Ok(fs::write(&list, "100.64.9.0/24\n198.51.100.0/24\n2001:db8:51::/48 # both families\n")?)
    })?;
    scene.change("a list replaced", false, || policy::put(&list, "100.64.9.0/24\n"))?;
    // A file that is none of the policy's is no change of it, whether or not that is a reload.
    let digest = digest(&scene.gate.scrape()?)?;
    fs::write(folder.join("notes.txt"), "not read")?;
    wait::until(PROMISE, || scene.value(DONE).is_ok_and(|now| now > done + 3.0).then_some(()));
    ensure!(digest == self::digest(&scene.gate.scrape()?)? && scene.is(false));
    ensure!(scene.value(REFUSED)? == 0.0);
    Ok(())
}

/// As config management does it, and as Kubernetes mounts a `ConfigMap`.
#[test]
fn symlinks_swapped() -> Result<()> {
    let lab = Lab::new()?;
    let at = |name: &str| lab.folder().join(name);
    fs::write(at("closed.yaml"), WEST)?;
    fs::write(at("open.yaml"), policy::open())?;
    symlink("closed.yaml", at("current.yaml"))?;
    let scene = Scene::new(&lab, &at("current.yaml"))?;
    scene.change("symlink swapped", true, || swap("open.yaml", &at("current.yaml")))?;
    scene.change("symlink swapped", false, || swap("closed.yaml", &at("current.yaml")))?;
    drop(scene);

    let volume = at("volume");
    let publish = |version: &str, text: &str| -> Result<()> {
        let folder = volume.join(version);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("policy.yaml"), text)?;
        swap(version, &volume.join("..data"))
    };
    publish("..2026_01", WEST)?;
    symlink("..data/policy.yaml", volume.join("policy.yaml"))?;
    let as_file = volume.join("policy.yaml");
    for (what, path) in [("the file in it", &as_file), ("the volume", &volume)] {
        let scene = Scene::new(&lab, path)?;
        let open = policy::open();
        scene.change(&format!("..data swapped, policy is {what}"), true, || {
            publish("..2026_02", &open)?;
            Ok(fs::remove_dir_all(volume.join("..2026_01"))?)
        })?;
        scene.change(&format!("..data swapped, policy is {what}"), false, || {
            publish("..2026_01", WEST)?;
            Ok(fs::remove_dir_all(volume.join("..2026_02"))?)
        })?;
        ensure!(scene.value(REFUSED)? == 0.0, "{}", scene.gate.log());
    }
    Ok(())
}

/// A link to `target` at `path`, in one step.
fn swap(target: &str, path: &Path) -> Result<()> {
    let new: PathBuf = path.with_file_name("new-link");
    symlink(target, &new).with_context(|| new.display().to_string())?;
    fs::rename(&new, path).with_context(|| path.display().to_string())
}

#[test]
fn a_bad_policy_changes_nothing_until_it_is_mended() -> Result<()> {
    let lab = Lab::new()?;
    let file = policy::write(lab.folder(), &policy::open())?;
    let scene = Scene::new(&lab, &file)?;
    let shown = file.display();
    let host_bits = WEST.replace("203.0.113.0/25", "203.0.113.1/25");
    let cases = [
        ("syntax", "version: 1\nzones: [\n".to_owned(), format!("{shown}:3:1: ")),
        (
            "host bits",
            host_bits,
            format!("{shown}:4:19: zones[0].subscribers[0]: 203.0.113.1/25: has host bits set"),
        ),
        ("empty", String::new(), format!("{shown}:1:1: ")),
    ];
    let digest = digest(&scene.gate.scrape()?)?;
    let generation = scene.value(GENERATION)?;
    for (number, (what, text, line)) in (1_u8..).zip(cases) {
        policy::put(&file, &text)?;
        let took = scene.gate.wait_series(REFUSED, number.into())?;
        ensure!(took < PROMISE, "{what}: refused only after {took:?}");
        let log = scene.gate.log();
        ensure!(log.lines().any(|logged| logged.contains(&line)), "{what}: no {line:?} in the log:\n{log}");
        ensure!(scene.is(true), "{what}: the old policy no longer holds: {:?}", scene.outcomes());
        ensure!(scene.gate.health()?.0 == 200, "{what}: unhealthy");
        ensure!(scene.value(STILL)? == 1.0, "{what}: in force is what is at its path?");
    }
    fs::remove_file(&file)?;
    let took = scene.gate.wait_series(REFUSED, 4.0)?;
    ensure!(took < PROMISE, "deleted: refused only after {took:?}");
    ensure!(scene.gate.log().contains(&format!("{shown}:1:1: file: ")), "{}", scene.gate.log());
    ensure!(scene.is(true) && scene.gate.health()?.0 == 200);
    ensure!(digest == self::digest(&scene.gate.scrape()?)? && scene.value(GENERATION)? == generation);

    scene.change("mended", false, || policy::put(&file, WEST))?;
    ensure!(scene.value(REFUSED)? == 4.0, "{}", scene.gate.log());
    ensure!(scene.value(STILL)? == 0.0);
    ensure!(digest != self::digest(&scene.gate.scrape()?)?);
    Ok(())
}

fn digest(metrics: &str) -> Result<String> {
    let line = metrics.lines().find(|line| line.starts_with("gate25_policy_info{digest=\""));
    Ok(line.context("no gate25_policy_info")?.to_owned())
}

/// A rule and a zone keep counting, also when everything around them changes.
#[test]
fn counters_survive_reloads() -> Result<()> {
    let lab = Lab::new()?;
    let file = policy::write(lab.folder(), &policy::open())?;
    let scene = Scene::new(&lab, &file)?;
    for round in 1..=3_u8 {
        let mails = smtp::knock(&lab.alice, &lab.relay, LIMIT);
        ensure!(mails.iter().all(Outcome::is_delivered), "{mails:?}");
        ensure!(scene.is(true));
        lab.settle()?;
        let before = scene.gate.metrics()?;
        // Another zone before it in the order, and another rule.
        let other = policy::open()
            .replace("  - id: west\n", "  - {id: aaa, subscribers: [\"100.64.7.0/24\"]}\n  - id: west\n")
            + &policy::exception("another", "permanent: true");
        let generation = scene.value(GENERATION)?;
        policy::put(&file, &if round == 2 { policy::open() } else { other })?;
        scene.gate.wait_series(GENERATION, generation + 1.0)?;
        let after = scene.gate.metrics()?;
        for (series, value) in &before {
            let counts =
                ["gate25_packets", "gate25_bytes", "gate25_attempts", "gate25_actions", "gate25_rule_"];
            let is_traffic = counts.iter().any(|name| series.starts_with(name)) && series.contains("_total");
            // What is not mail may pass by at any time.
            if is_traffic && !series.contains("not-smtp") && !series.contains("\"another\"") {
                ensure!(after.get(series) == Some(value), "{series}: {value}, then {:?}", after.get(series));
            }
        }
        let relayed = after["gate25_rule_attempts_total{kind=\"relay\",rule=\"outbound\"}"];
        ensure!(relayed == f64::from(2 * round), "round {round}: {relayed}");
    }
    Ok(())
}
