//! A start that cannot be: one clear line, and nothing is there that was not before.

#![expect(clippy::float_cmp, reason = "samples of counters are whole numbers, and exact")]

use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    command::{self, Ended},
    gate::{self, Gate, LISTEN},
    lab::{INTERFACE, Lab},
    metrics::sum,
    policy::{self, WEST},
    smtp::{self, Outcome, Sink},
    xdp, xdp_pass,
};
use std::{
    fmt::Write as _, fs, net::TcpListener, os::unix::fs::PermissionsExt as _, path::Path, process::Command,
    time::Duration,
};

/// For each step of a mail that arrives or is refused, on a busy machine.
const LIMIT: Duration = Duration::from_secs(15);
/// "Within a few seconds", on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// `gate25 run` with that configuration, which must end by itself.
fn run(lab: &Lab, configuration: &str) -> Result<Ended> {
    let config = gate::write(lab, configuration)?;
    let command = command::gate25(["run", "--config", &config.display().to_string()]);
    command::finish(&lab.edge, command, SOON)
}

/// The last line says what, which, why and what to do; each of `parts` is in it.
fn says(what: &str, ended: &Ended, code: i32, parts: &[&str]) -> Result<()> {
    let line = ended.last_line();
    println!("{what} ({} ms): {line}", ended.took.as_millis());
    ensure!(ended.code == Some(code), "{what}: {ended:?}");
    let (head, remedy) = line.rsplit_once(" (").with_context(|| format!("{what}: no remedy: {line}"))?;
    ensure!(remedy.ends_with(')') && remedy.len() > 5, "{what}: no remedy: {line}");
    let pieces: Vec<_> = head.split(": ").collect();
    ensure!(
        pieces.len() >= 3 && pieces.iter().all(|piece| !piece.is_empty()),
        "{what}: not what: value: cause: {line}"
    );
    let cause = pieces.last().unwrap_or(&"");
    ensure!(
        !cause.starts_with(char::is_uppercase) && !line.contains("os error"),
        "{what}: not in our words: {line}"
    );
    for part in parts {
        ensure!(line.contains(part), "{what}: no {part:?} in: {line}");
    }
    ensure!(!ended.stderr.contains("panicked") && !ended.stderr.contains("backtrace"), "{what}: {ended:?}");
    Ok(())
}

/// Nothing of the gate is there.
fn clean(lab: &Lab, what: &str) -> Result<()> {
    let attached = xdp::on(&lab.edge, INTERFACE)?;
    ensure!(attached.is_none(), "{what}: attached: {attached:?}");
    ensure!(!lab.pin().exists(), "{what}: pinned: {:?}", entries(&lab.pin()));
    Ok(())
}

fn entries(folder: &Path) -> Vec<String> {
    let all = fs::read_dir(folder).into_iter().flatten().flatten();
    all.flat_map(|entry| {
        let path = entry.path();
        std::iter::once(path.display().to_string()).chain(entries(&path))
    })
    .collect()
}

#[test]
fn interfaces_that_cannot_be_used() -> Result<()> {
    let lab = Lab::new()?;
    let config = gate::configuration(&lab, &policy::write(lab.folder(), WEST)?);
    let only = |name: &str| config.replace("name: eth1", &format!("name: {name}"));
    let cases = [
        ("missing", only("eth7"), vec!["interface: eth7: "]),
        ("a name too long", only("eth012345678901234567"), vec!["interface: eth012345678901234567: "]),
        ("no native XDP", only("lo"), vec!["interface: lo: ", "native XDP", "mode: generic"]),
        ("the second is missing", config.clone() + "  - name: eth7\n", vec!["interface: eth7: "]),
        (
            "the second has no native XDP",
            config.clone() + "  - name: lo\n",
            vec!["interface: lo: ", "native XDP"],
        ),
    ];
    for (what, configuration, parts) in cases {
        says(what, &run(&lab, &configuration)?, 1, &parts)?;
        clean(&lab, what)?;
        // A folder that was there before stays, as empty as it was.
        fs::create_dir(lab.pin())?;
        ensure!(run(&lab, &configuration)?.code == Some(1));
        ensure!(entries(&lab.pin()).is_empty(), "{what}: left in pin: {:?}", entries(&lab.pin()));
        fs::remove_dir(lab.pin())?;
    }

    let other = lab.edge.run(|| xdp_pass::attach(INTERFACE))?;
    let there = xdp::on(&lab.edge, INTERFACE)?.context("the lab's own program is not there")?;
    let ended = run(&lab, &config)?;
    let id = format!("id {}", there.program);
    says("another program", &ended, 1, &["interface: eth1: ", "another XDP program", "lab_pass", &id])?;
    ensure!(xdp::on(&lab.edge, INTERFACE)? == Some(there.clone()), "it was taken off");
    ensure!(!lab.pin().exists(), "{:?}", entries(&lab.pin()));
    // Nor does detach touch what is not ours.
    let detach = command::gate25(["detach", "--config", &gate::write(&lab, &config)?.display().to_string()]);
    ensure!(command::finish(&lab.edge, detach, SOON)?.code == Some(0));
    ensure!(xdp::on(&lab.edge, INTERFACE)? == Some(there), "detach took it off");
    drop(other);
    clean(&lab, "in the end")
}

#[test]
fn policies_that_cannot_be_read() -> Result<()> {
    let lab = Lab::new()?;
    let file = lab.folder().join("policy.yaml");
    let config = gate::configuration(&lab, &file);
    let shown = file.display().to_string();
    let mut bomb = "version: 1\na0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{aliases}]")?;
    }
    // Not one octet repeated: some of it looks like YAML, some is not even text.
    let mut state = 1_u64;
    let garbage: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
    .take(10 << 20)
    .collect();
    let text: Vec<u8> =
        garbage.iter().map(|octet| b"ab: \n-[]{}&*!|>'\"%@`#,?x0123"[usize::from(octet % 28)]).collect();
    let cases: [(&str, Vec<u8>); 6] = [
        ("empty", Vec::new()),
        ("only a comment", b"# nothing\n".to_vec()),
        ("YAML bomb", bomb.into_bytes()),
        ("deep", b"[".repeat(100_000)),
        ("10 MB of garbage", garbage),
        ("10 MB of printable garbage", text),
    ];
    for (what, octets) in cases {
        fs::write(&file, octets)?;
        says(what, &run(&lab, &config)?, 1, &[&format!("{shown}:")])?;
        clean(&lab, what)?;
    }
    fs::remove_file(&file)?;
    says("missing", &run(&lab, &config)?, 1, &[&format!("{shown}:1:1: file: "), "does not exist"])?;
    fs::create_dir(&file)?;
    says("an empty directory", &run(&lab, &config)?, 1, &[&shown, "*.yaml"])?;
    clean(&lab, "in the end")
}

#[test]
fn nodes_that_cannot_be() -> Result<()> {
    let lab = Lab::new()?;
    let config = gate::configuration(&lab, &policy::write(lab.folder(), WEST)?);

    let taken = lab.edge.run(|| TcpListener::bind(LISTEN))?;
    says("port in use", &run(&lab, &config)?, 1, &[&format!("listen: {LISTEN}: "), "in use"])?;
    drop(taken);
    clean(&lab, "port in use")?;

    let pin = lab.pin().display().to_string();
    let elsewhere = config.replace(&pin, "/tmp/gate25-no-bpffs/gate25");
    let parts = ["pin: /tmp/gate25-no-bpffs/gate25: ", "mount -t bpf bpf /tmp/gate25-no-bpffs"];
    says("no bpffs", &run(&lab, &elsewhere)?, 1, &parts)?;
    ensure!(!Path::new("/tmp/gate25-no-bpffs").exists());
    let root = lab.folder().join("bpf").display().to_string();
    says("the root of a bpffs", &run(&lab, &config.replace(&pin, &root))?, 1, &[&format!("pin: {root}: ")])?;

    for (what, configuration, part) in [
        ("unknown key", config.clone() + "colour: red\n", "colour"),
        ("unknown key of an interface", config.clone() + "    colour: red\n", "colour"),
        ("unknown mode", config.clone() + "    mode: fast\n", "fast"),
        ("an interface twice", config.clone() + "  - name: eth1\n", "eth1"),
        ("no interface", config.replace("interfaces:\n  - name: eth1\n", "interfaces: []\n"), "interface"),
        ("not YAML", "{".to_owned(), "gate25.yaml:"),
        ("empty", String::new(), "gate25.yaml"),
        ("a relative pin", config.replace(&pin, "pins"), "pins"),
    ] {
        says(what, &run(&lab, &configuration)?, 1, &[part])?;
        clean(&lab, what)?;
    }
    let missing = command::gate25(["run", "--config", "/nowhere/gate25.yaml"]);
    says("no configuration", &command::finish(&lab.edge, missing, SOON)?, 1, &["/nowhere/gate25.yaml"])?;
    let nothing = command::finish(&lab.edge, command::gate25(["run"]), SOON)?;
    says("neither file nor flags", &nothing, 2, &["--policy"])?;
    clean(&lab, "in the end")
}

#[test]
fn bad_usage() -> Result<()> {
    let lab = Lab::new()?;
    for (arguments, part) in [
        (vec!["run", "--colour", "red"], "--colour"),
        (vec!["run", "--interface", "eth1:fast"], "fast"),
        (vec!["run", "--listen", "nowhere"], "nowhere"),
        (vec!["walk"], "walk"),
        (vec!["check"], "POLICY"),
    ] {
        let ended = command::finish(&lab.edge, command::gate25(arguments.iter().copied()), SOON)?;
        says(&arguments.join(" "), &ended, 2, &[part])?;
    }
    let nothing = command::finish(&lab.edge, command::gate25([]), SOON)?;
    ensure!(nothing.code == Some(2), "{nothing:?}");
    Ok(())
}

#[test]
fn without_privilege() -> Result<()> {
    let lab = Lab::new()?;
    let config = gate::write(&lab, &gate::configuration(&lab, &policy::write(lab.folder(), WEST)?))?;
    // Where anybody can run it.
    let binary = lab.folder().join("gate25");
    command::copy_gate25(&binary, "")?;
    let run = || {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set=-all"]);
        command.arg(&binary).arg("run").arg("--config").arg(&config);
        command::finish(&lab.edge, command, SOON)
    };
    fs::set_permissions(lab.folder().join("bpf"), fs::Permissions::from_mode(0o755))?;
    says("nobody", &run()?, 1, &["pin: ", "permission denied", "root"])?;
    clean(&lab, "nobody")?;
    // Also where the folder could be written.
    fs::set_permissions(lab.folder().join("bpf"), fs::Permissions::from_mode(0o1777))?;
    says("nobody, pin writable", &run()?, 1, &["CAP_BPF"])?;
    clean(&lab, "nobody, pin writable")?;
    // A policy that this user may not read.
    fs::set_permissions(lab.folder().join("policy.yaml"), fs::Permissions::from_mode(0o600))?;
    says("unreadable policy", &run()?, 1, &["policy.yaml:1:1: file: ", "may not be read"])?;
    clean(&lab, "unreadable policy")
}

/// What a controller that is no more left in force is not touched by a start that fails.
#[test]
fn a_refused_start_leaves_earlier_enforcement_alone() -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = [&lab.relay, &lab.university, &lab.stranger]
        .map(|host| Sink::start(&host.namespace, host.name, &[25]))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let _second = lab.second_interface()?;
    let text =
        WEST.replace("[\"192.0.2.25\"", "[\"198.51.100.0/24\", \"192.0.2.25\"").replace("outbound", "first");
    let file = policy::write(lab.folder(), &text)?;
    let first = gate::configuration(&lab, &file);
    let gate = Gate::start_with(&lab, &first)?;
    let arrives = |to: std::net::Ipv4Addr| smtp::mail(&lab.alice, to.into(), LIMIT).is_delivered();
    ensure!(arrives(lab.university.v4));
    let generation = gate.metrics()?["gate25_policy_generation"];
    ensure!(gate.stop()?.success());
    let there = xdp::on(&lab.edge, INTERFACE)?.context("nothing attached")?;
    let pins = entries(&lab.pin());

    // A policy that would take the university away, and alice's relay along.
    let other =
        policy::write(lab.folder(), &WEST.replace("192.0.2.25", "192.0.2.99").replace("outbound", "other"))?;
    let other = other.display().to_string();
    let bad = lab.folder().join("bad.yaml").display().to_string();
    fs::write(&bad, "version: 2\n")?;
    let occupied = lab.edge.run(|| xdp_pass::attach("eth2"))?;
    let unmanaged = "    unmanaged: block\n";
    let cases = [
        ("bad policy", first.replace(&other, &bad), "version"),
        ("second interface missing", first.clone() + unmanaged + "  - name: eth7\n", "eth7"),
        ("second without native XDP", first.clone() + unmanaged + "  - name: lo\n", "lo"),
        ("second taken", first.clone() + unmanaged + "  - name: eth2\n", "lab_pass"),
        (
            "first taken",
            first.replace("- name: eth1\n", "- name: eth2\n  - name: eth1\n    unmanaged: block\n"),
            "lab_pass",
        ),
        ("another mode", first.clone() + unmanaged + "    mode: generic\n", "native"),
    ];
    for (what, configuration, part) in cases {
        says(what, &run(&lab, &configuration)?, 1, &[part])?;
        ensure!(xdp::on(&lab.edge, INTERFACE)? == Some(there.clone()), "{what}: the program was changed");
        ensure!(arrives(lab.university.v4), "{what}: the refused policy is in force");
        ensure!(smtp::mail(&lab.alice, lab.stranger.v4.into(), LIMIT) == Outcome::Refused, "{what}: open");
        ensure!(smtp::mail(&lab.bob, lab.relay.v4.into(), LIMIT).is_delivered(), "{what}: bob is blocked");
        ensure!(entries(&lab.pin()) == pins, "{what}: pins: {:?}", entries(&lab.pin()));
    }
    drop(occupied);
    let policy = policy::write(lab.folder(), &text)?;
    let gate = Gate::start(&lab, &policy)?;
    let samples = gate.metrics()?;
    let found = samples["gate25_policy_generation"];
    ensure!(found == generation + 1.0, "generation {generation}, then {found}");
    let counted = sum(&samples, "gate25_rule_attempts_total", &[("rule", "first")]);
    ensure!(counted == 7.0, "the rule's counter: {counted} instead of 7");
    Ok(())
}
