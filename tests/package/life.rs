//! From the installation to the purge, with mail passing through.

use crate::site::{
    SOON, becomes, bring, bring_next, change, enforce, is_open, policies, process, running, scrape, sinks,
    traces,
};
use crate::stream;
use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    lab::{INTERFACE, Lab},
    machine::Machine,
    metrics::Samples,
    wait, xdp,
};
use std::{collections::BTreeSet, fs, sync::atomic::Ordering};

/// Nothing is stopped before the operator says so; then nothing is let through until he ends it; and then nothing is left.
#[test]
fn is_installed_upgraded_under_traffic_booted_and_purged() -> Result<()> {
    let lab = Lab::new()?;
    let root = Machine::install(&lab)?;
    let _sinks = sinks(&lab)?;
    let machine = Machine::boot(&lab, &root)?;
    let before = traces(&root)?;

    machine.ok(&format!("apt-get install --quiet=2 --yes {}", bring(&root)?))?;
    ensure!(is_open(&lab)?, "an installation alone stops mail");
    for unit in ["gate25", "gate25-notice"] {
        let enabled = machine.run(&format!("systemctl is-enabled {unit}"))?;
        ensure!(enabled.stdout.trim() == "disabled", "{unit}: {enabled:?}");
        let active = machine.run(&format!("systemctl is-active {unit}"))?;
        ensure!(active.stdout.trim() == "inactive", "{unit}: {active:?}");
    }
    holds_together(&machine)?;
    machine.ok("gate25 preflight --config /etc/gate25/gate25.yaml")?;

    machine.ok("systemctl enable --now gate25")?;
    ensure!(is_open(&lab)?, "the policy as installed stops mail");
    enforce(&root)?;
    becomes(&lab, &machine, false)?;

    let counted = scrape(&lab)?;
    let old = process(&machine, "gate25")?;
    let next = bring_next(&root)?;
    let ((), made) = stream::during(&lab, |_| {
        let said = machine.ok(&format!("apt-get install --quiet=2 --yes {next}"))?;
        ensure!(!said.contains("installed, and stops nothing"), "greets at an upgrade: {said}");
        Ok(())
    })?;
    let (allowed, blocked) = (made.allowed.load(Ordering::Relaxed), made.blocked.load(Ordering::Relaxed));
    println!("under an upgrade: {allowed} delivered, none refused; {blocked} refused, none let through");
    ensure!(allowed > 50 && blocked > 50, "hardly any traffic");
    let new = process(&machine, "gate25")?;
    ensure!(new != old, "the old controller still runs");
    let program = machine.ok(&format!("tail --bytes=16 /proc/{new}/exe"))?;
    ensure!(program == "the next version", "not the new program: {program}");
    not_less(&counted, &scrape(&lab)?)?;
    ensure!(fs::read_to_string(policies(&root))?.contains("mode: enforce "), "the policy was replaced");

    // A power cycle: what was pinned goes with the machine, what is enabled comes back by itself.
    drop(machine);
    let gone = || xdp::on(&lab.edge, INTERFACE).ok()?.is_none().then_some(());
    wait::until(SOON, gone).context("a program outlives its machine")?;
    let machine = Machine::boot(&lab, &root)?;
    ensure!(!is_open(&lab)?, "open after a boot: {}", machine.journal("gate25")?);

    let said = machine.ok("apt-get purge --quiet=2 --yes gate25")?;
    ensure!(said.contains(&format!("{INTERFACE}: detached, no longer enforced")), "{said}");
    ensure!(xdp::on(&lab.edge, INTERFACE)?.is_none(), "a program is left");
    ensure!(is_open(&lab)?, "still enforced");
    let pins = machine.ok("find /sys/fs/bpf -mindepth 1 -not -name '*.debug'; pgrep gate25 || true")?;
    ensure!(pins.is_empty(), "left behind: {pins}");
    let after = traces(&root)?;
    let differences: BTreeSet<_> = before.symmetric_difference(&after).collect();
    ensure!(differences.is_empty(), "not as before: {differences:?}");
    Ok(())
}

/// What was installed, as those see it who use it.
fn holds_together(machine: &Machine<'_>) -> Result<()> {
    let verified = machine.run("systemd-analyze verify gate25.service gate25-notice.service")?;
    ensure!(verified.code == Some(0) && verified.stderr.is_empty(), "{verified:?}");
    machine.ok("gate25 check /etc/gate25/policies")?;
    machine.ok("cd /usr/share/doc/gate25 && gate25 check policies/example.yaml")?;
    for (page, part) in [("gate25-policy", "ADD A UNIVERSITY UNTIL JUNE"), ("gate25-run", "--config")] {
        let shown = machine.ok(&format!("man {page} | col -b 2>/dev/null || man {page}"))?;
        ensure!(shown.contains(part), "man {page}: no {part:?} in {shown}");
    }
    let completed = machine.ok("bash -c '. /usr/share/bash-completion/bash_completion; _completion_loader gate25; complete -p gate25'")?;
    ensure!(completed.contains("gate25"), "{completed}");
    for file in [
        "/usr/share/zsh/vendor-completions/_gate25",
        "/usr/share/fish/vendor_completions.d/gate25.fish",
        "/usr/share/gate25/schema.json",
        "/usr/share/doc/gate25/copyright",
        "/usr/share/doc/gate25/docs/runbook.md",
        "/usr/share/doc/gate25/deploy/prometheus/rules.yaml",
    ] {
        machine.ok(&format!("test -s {file}"))?;
    }
    let version = machine.ok("dpkg-query --show --showformat '${Version}' gate25")?;
    let changelog = machine.ok("zcat /usr/share/doc/gate25/changelog.Debian.gz")?;
    ensure!(changelog.starts_with(&format!("gate25 ({version}) ")), "{version}: {changelog}");
    let conffiles = machine.ok("dpkg-query --show --showformat '${Conffiles}' gate25")?;
    let conffiles: BTreeSet<_> =
        conffiles.lines().filter_map(|line| line.split_whitespace().next()).collect();
    ensure!(
        conffiles == BTreeSet::from(["/etc/gate25/gate25.yaml", "/etc/gate25/policies/policy.yaml"]),
        "{conffiles:?}"
    );
    // Whoever built it is nobody's business.
    let builder = gate25_tests::workspace();
    let named = machine.run(&format!(
        "grep --count --fixed-strings -e {}/ -e /.cargo/ /usr/bin/gate25",
        builder.display()
    ))?;
    ensure!(named.stdout.trim() == "0", "names paths of {}: {named:?}", builder.display());
    machine.ok("dpkg --verify gate25").map(drop)
}

/// Every total that was there is there, and not less.
fn not_less(before: &Samples, after: &Samples) -> Result<()> {
    for (series, was) in before.iter().filter(|(series, _)| series.contains("_total")) {
        ensure!(
            after.get(series).is_some_and(|is| is >= was),
            "{series}: {was}, then {:?}",
            after.get(series)
        );
    }
    Ok(())
}

/// A version that does not start changes nothing that is enforced, and says why; it begins when what it minded is mended. A
/// package that cannot end the enforcement is not removed.
#[test]
fn what_goes_wrong_changes_nothing() -> Result<()> {
    let lab = Lab::new()?;
    let root = Machine::install(&lab)?;
    let _sinks = sinks(&lab)?;
    let machine = running(&lab, &root, "gate25")?;
    ensure!(!is_open(&lab)?, "not enforced: {}", machine.journal("gate25")?);

    let config = root.join("etc/gate25/gate25.yaml");
    change(&config, "interfaces:", "interfacez:")?;
    let next = bring_next(&root)?;
    stream::during(&lab, |_| {
        let ended = machine.run(&format!("apt-get install --quiet=2 --yes {next}"))?;
        ensure!(ended.code == Some(0), "{ended:?}");
        ensure!(ended.stdout.contains("Job for gate25.service failed"), "says nothing: {ended:?}");
        let minded = || machine.journal("gate25").ok().filter(|said| said.contains("interfacez"));
        wait::until(SOON, minded).context("the journal does not say why")?;
        Ok(())
    })?;

    change(&config, "interfacez:", "interfaces:")?;
    let active = || (machine.run("systemctl is-active gate25").ok()?.stdout.trim() == "active").then_some(());
    wait::until(SOON, active).with_context(|| machine.journal("gate25").unwrap_or_default())?;
    ensure!(!is_open(&lab)?, "open");

    // What it cannot end: another program than gate25's in the place of a pin.
    let link = "/sys/fs/bpf/gate25/links/eth1";
    machine.ok(&format!("mkdir -p /sys/fs/bpf/aside && mv {link} /sys/fs/bpf/aside/eth1"))?;
    let refused = machine.run("apt-get remove --quiet=2 --yes gate25")?;
    ensure!(refused.code == Some(100), "{refused:?}");
    let said = refused.stdout.clone() + &refused.stderr;
    ensure!(said.contains("an interface still has the program"), "{said}");
    ensure!(!is_open(&lab)?, "a removal that failed has opened it");
    machine.ok("dpkg --verify gate25 && test -x /usr/bin/gate25")?;
    Ok(())
}

/// A removal ends what is enforced, by whichever configuration: it may have changed, or be gone.
#[test]
fn a_removal_ends_it_whatever_the_configuration_says() -> Result<()> {
    let lab = Lab::new()?;
    let root = Machine::install(&lab)?;
    let _sinks = sinks(&lab)?;
    let machine = running(&lab, &root, "gate25")?;
    let config = root.join("etc/gate25/gate25.yaml");
    change(&config, "pin: /sys/fs/bpf/gate25", "pin: /sys/fs/bpf/other")?;
    // A controller that is about to start must not come between.
    machine.ok("systemctl kill --signal=KILL gate25")?;
    let left = "find /sys/fs/bpf -mindepth 1 -not -name '*.debug'";
    let removed = |what: &str| {
        ensure!(machine.ok(left)?.is_empty(), "{what}: {}", machine.ok(left)?);
        ensure!(xdp::on(&lab.edge, INTERFACE)?.is_none() && is_open(&lab)?, "{what}: still enforced");
        anyhow::Ok(())
    };
    machine.ok("apt-get remove --quiet=2 --yes gate25")?;
    removed("another pin")?;
    ensure!(config.exists(), "a removal takes the configuration along");

    change(&config, "pin: /sys/fs/bpf/other", "pin: /sys/fs/bpf/gate25")?;
    machine.ok("apt-get install --quiet=2 --yes /root/gate25.deb && systemctl start gate25")?;
    ensure!(!is_open(&lab)?, "not enforced: {}", machine.journal("gate25")?);
    machine.ok("rm -r /etc/gate25 && apt-get purge --quiet=2 --yes gate25")?;
    removed("no configuration")
}

/// Where no systemd runs, as in the making of an image.
#[test]
fn is_installed_and_purged_where_nothing_runs() -> Result<()> {
    let lab = Lab::new()?;
    let root = Machine::install(&lab)?;
    let before = traces(&root)?;
    let run = |line: &str| Machine::chroot(&lab, &root, line);
    run(&format!("apt-get install --quiet=2 --yes {}", bring(&root)?))?;
    run("gate25 check /etc/gate25/policies && getent group gate25")?;
    run("apt-get purge --quiet=2 --yes gate25")?;
    let after = traces(&root)?;
    let differences: BTreeSet<_> = before.symmetric_difference(&after).collect();
    ensure!(differences.is_empty(), "not as before: {differences:?}");
    Ok(())
}
