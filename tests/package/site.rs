//! A router with Debian on it, subscribers on one side and mail servers on the other.

use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    gate::LISTEN,
    http,
    lab::Lab,
    machine::Machine,
    metrics::{self, Samples},
    package, policy,
    smtp::{self, Outcome, Sink},
    wait,
};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

pub(crate) const SOON: Duration = Duration::from_mins(1);
/// For each step of a mail.
const LIMIT: Duration = Duration::from_secs(15);

/// Mail servers at the relay and at the stranger.
pub(crate) fn sinks(lab: &Lab) -> Result<Vec<Sink>> {
    let hosts = [&lab.relay, &lab.stranger];
    hosts.into_iter().map(|host| Sink::start(&host.namespace, host.name, &[25])).collect()
}

/// Whether alice's mail to the stranger arrives, over both families alike; mail to the relay must.
pub(crate) fn is_open(lab: &Lab) -> Result<bool> {
    let relay = smtp::knock(&lab.alice, &lab.relay, LIMIT);
    ensure!(relay.iter().all(Outcome::is_delivered), "the relay: {relay:?}");
    match &smtp::knock(&lab.alice, &lab.stranger, LIMIT) {
        [Outcome::Delivered(_), Outcome::Delivered(_)] => Ok(true),
        [Outcome::Refused, Outcome::Refused] => Ok(false),
        other => anyhow::bail!("the stranger: {other:?}"),
    }
}

/// What is told of the enforcement, as a monitoring server hears it.
pub(crate) fn scrape(lab: &Lab) -> Result<Samples> {
    let (status, body) = lab.edge.run(|| http::get(LISTEN, "/metrics"))?;
    ensure!(status == 200, "/metrics: {status}");
    metrics::parse(&body)
}

/// Puts a package into the root's home, as people copy it there; where it is on the machine.
pub(crate) fn bring(root: &Path) -> Result<&'static str> {
    fs::copy(package::built()?, root.join("root/gate25.deb"))?;
    Ok("/root/gate25.deb")
}

/// The next version, the same but for its number and a mark behind the program.
pub(crate) fn bring_next(root: &Path) -> Result<&'static str> {
    package::repacked("0.1.1-1", "the next version", &root.join("root/gate25-next.deb"))?;
    Ok("/root/gate25-next.deb")
}

/// The policy in force, replaced by one that enforces.
pub(crate) fn enforce(root: &Path) -> Result<()> {
    change(&policies(root), "mode: monitor ", "mode: enforce ")
}

pub(crate) fn policies(root: &Path) -> PathBuf {
    root.join("etc/gate25/policies/policy.yaml")
}

/// The file with other words in the place of some.
pub(crate) fn change(file: &Path, from: &str, to: &str) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    ensure!(text.contains(from), "{}: no {from:?}", file.display());
    policy::put(file, &text.replace(from, to))
}

/// Awaits that the stranger is open for alice, or is not.
pub(crate) fn becomes(lab: &Lab, machine: &Machine<'_>, open: bool) -> Result<()> {
    let turned = wait::until(SOON, || is_open(lab).is_ok_and(|found| found == open).then_some(()));
    turned.with_context(|| {
        format!("the stranger never became {open}: {}", machine.journal("gate25").unwrap_or_default())
    })
}

/// A machine with the package on it, whose policy enforces and whose services run.
pub(crate) fn running<'lab>(lab: &'lab Lab, root: &Path, units: &str) -> Result<Machine<'lab>> {
    let machine = Machine::boot(lab, root)?;
    machine.ok(&format!("apt-get install --quiet=2 --yes {}", bring(root)?))?;
    enforce(root)?;
    machine.ok(&format!("systemctl enable --now {units}"))?;
    Ok(machine)
}

/// The process of a unit.
pub(crate) fn process(machine: &Machine<'_>, unit: &str) -> Result<u32> {
    let id: u32 = machine.ok(&format!("systemctl show --property=MainPID --value {unit}"))?.trim().parse()?;
    ensure!(id != 0, "{unit}: no process: {}", machine.journal(unit)?);
    Ok(id)
}

/// Everything that a package could leave: files, but those in which Debian keeps what it did; users and groups; programs
/// and maps.
pub(crate) fn traces(root: &Path) -> Result<BTreeSet<String>> {
    const DEBIAN: [&str; 9] = [
        "root",
        "var/cache",
        "var/lib/apt",
        "var/lib/dpkg",
        "var/lib/systemd",
        "var/log/apt",
        "var/log/dpkg.log",
        "var/log/journal",
        "var/tmp",
    ];
    let mut found = BTreeSet::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            let path = entry.path();
            let inside = path.strip_prefix(root)?;
            if DEBIAN.iter().any(|own| inside.starts_with(own)) {
                continue;
            }
            found.insert(format!("/{}", inside.display()));
            if entry.file_type()?.is_dir() {
                folders.push(path);
            }
        }
    }
    for list in ["etc/passwd", "etc/group", "etc/shadow", "etc/gshadow"] {
        let text = fs::read_to_string(root.join(list))?;
        found.extend(text.lines().map(|line| format!("{list}: {line}")));
    }
    Ok(found)
}
