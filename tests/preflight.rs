//! `gate25 preflight` on real interfaces: each thing that is not as it should be has its line, and nothing is changed.

use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    command::{self, Ended},
    gate::{self, Gate, LISTEN},
    lab::{INTERFACE, Lab},
    policy::{self, WEST},
    xdp, xdp_pass,
};
use serde_json::Value;
use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt as _, process::Command, time::Duration};

const SOON: Duration = Duration::from_secs(30);
const ONE_BUFFER: &str = "3498 at most, or frames of several buffers";

fn run(lab: &Lab, configuration: &str, more: &[&str]) -> Result<Ended> {
    let config = gate::write(lab, configuration)?.display().to_string();
    let arguments = ["preflight", "--config", &config].into_iter().chain(more.iter().copied());
    command::finish(&lab.edge, command::gate25(arguments), SOON)
}

/// Status, what, found, needed, remedy.
type Row = [String; 5];

/// The rows of `--json`; they are those of the table, and the exit code is that of the worst.
fn rows(lab: &Lab, configuration: &str) -> Result<Vec<Row>> {
    let (json, table) = (run(lab, configuration, &["--json"])?, run(lab, configuration, &[])?);
    let report: Value = serde_json::from_str(&json.stdout).with_context(|| format!("{json:?}"))?;
    let lines = report["lines"].as_array().context("no lines")?;
    let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let rows: Vec<Row> = lines
        .iter()
        .map(|line| ["status", "what", "found", "needed", "remedy"].map(|key| text(line, key)))
        .collect();
    for (line, row) in lines.iter().zip(&rows) {
        ensure!(
            line["remedy"].is_null() == (row[0] == "ok"),
            "a remedy where none is needed, or none: {line}"
        );
    }
    let worst =
        ["fail", "warn", "unknown", "ok"].into_iter().find(|word| rows.iter().any(|row| row[0] == *word));
    ensure!(report["status"].as_str() == worst, "{report}");
    let code = Some(i32::from(worst == Some("fail")));
    ensure!(json.code == code && table.code == code, "{worst:?}: {:?}, {:?}", json.code, table.code);
    ensure!(json.stderr.is_empty() && table.stderr.is_empty(), "{json:?}");
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown: Vec<String> = table.stdout.lines().skip(1).map(words).collect();
    // The clock goes on between the two.
    let told: Vec<String> = rows.iter().map(|row| words(&row.join(" "))).collect();
    let but_clock = |rows: &[String]| {
        rows.iter().filter(|row| !row.starts_with("ok clock 20")).cloned().collect::<Vec<_>>()
    };
    ensure!(but_clock(&shown) == but_clock(&told), "{shown:#?}\n{told:#?}");
    Ok(rows)
}

/// The row about one thing is that.
fn says(rows: &[Row], [status, what, found, needed, remedy]: [&str; 5]) -> Result<()> {
    let row = rows.iter().find(|row| row[1] == what).with_context(|| format!("no {what} in {rows:#?}"))?;
    let expected = [status, what, found, needed, remedy];
    ensure!(row.each_ref().map(String::as_str) == expected, "{row:?}\nis not\n{expected:?}");
    Ok(())
}

/// What is not as it should be, but for the clock, which is the machine's.
fn amiss(rows: &[Row]) -> Vec<&str> {
    let wrong = rows
        .iter()
        .filter(|row| ["warn", "fail"].contains(&row[0].as_str()) && row[1] != "clock synchronised");
    wrong.map(|row| row[1].as_str()).collect()
}

#[test]
fn a_healthy_node() -> Result<()> {
    let lab = Lab::new()?;
    let config = gate::configuration(&lab, &policy::write(lab.folder(), WEST)?);
    let healthy = |program: &str, listen: &str| -> Result<()> {
        let rows = rows(&lab, &config)?;
        ensure!(amiss(&rows).is_empty(), "{rows:#?}");
        // Only the first network namespace has it.
        let remedy = "look as root, in the first network namespace";
        says(&rows, ["unknown", "BPF JIT", "could not be seen", "on", remedy])?;
        says(&rows, ["ok", "privileges", "all", "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON", ""])?;
        says(&rows, ["ok", "BTF", "there", "/sys/kernel/btf/vmlinux, readable", ""])?;
        says(&rows, ["ok", "eth1", "up", "up", ""])?;
        says(&rows, ["ok", "eth1 XDP", "native, driver veth", "native XDP", ""])?;
        says(&rows, ["ok", "eth1 XDP program", program, "none, or gate25's", ""])?;
        says(&rows, ["ok", "eth1 MTU", "1500", ONE_BUFFER, ""])?;
        for offload in ["VLAN tag stripping", "LRO", "GRO in hardware"] {
            says(&rows, ["ok", &format!("eth1 {offload}"), "off", "off", ""])?;
        }
        says(
            &rows,
            ["ok", &format!("pin {}", lab.pin().display()), "writable", "below a bpffs, writable", ""],
        )?;
        says(&rows, ["ok", &format!("listen {LISTEN}"), listen, "free", ""])?;
        // This policy asks nothing of the way back.
        ensure!(rows.iter().all(|row| row[1] != "return path"), "{rows:#?}");
        Ok(())
    };
    healthy("none", "free")?;
    ensure!(!lab.pin().exists() && !lab.folder().join("state").exists(), "it left something behind");
    ensure!(xdp::on(&lab.edge, INTERFACE)?.is_none());

    let gate = Gate::start_with(&lab, &config)?;
    let there = xdp::on(&lab.edge, INTERFACE)?.context("nothing attached")?;
    healthy(&format!("gate25's: \"gate25\", id {}", there.program), "a controller runs")?;
    let log = gate.log();
    let warnings = log.lines().filter(|line| line.contains(" WARN ") && line.contains("needed: "));
    ensure!(warnings.count() <= 1, "{log}");

    // Another zone's way back, and what takes the place of ours.
    let returning = WEST.replace("action: reset", "action: reset\n    return_path: enforce");
    policy::write(lab.folder(), &returning)?;
    says(&rows(&lab, &config)?, ["ok", "return path", "tcx", "tcx (Linux 6.6), or else clsact", ""])
}

#[test]
fn interfaces_that_are_not_as_they_should_be() -> Result<()> {
    let lab = Lab::new()?;
    let config = gate::configuration(&lab, &policy::write(lab.folder(), WEST)?);
    lab.edge.ip("link add bridge9 type bridge\n")?;
    let more = config.clone() + "  - name: bridge9\n  - name: eth7\n";
    let rows_of_more = rows(&lab, &more)?;
    let native = "use a driver that has, or accept the cost of `mode: generic`";
    says(&rows_of_more, ["warn", "bridge9", "down", "up", "ip link set bridge9 up"])?;
    says(&rows_of_more, ["fail", "bridge9 XDP", "none, driver bridge", "native XDP", native])?;
    says(
        &rows_of_more,
        ["fail", "eth7", "there is none of that name", "an interface", "`ip link` lists what there is"],
    )?;
    ensure!(amiss(&rows_of_more) == ["bridge9", "bridge9 XDP", "eth7"], "{rows_of_more:#?}");
    let generic = config.clone() + "  - {name: bridge9, mode: generic}\n";
    let rows_of_generic = rows(&lab, &generic)?;
    says(&rows_of_generic, ["ok", "bridge9 XDP", "generic, which every interface has", "generic XDP", ""])?;
    ensure!(amiss(&rows_of_generic) == ["bridge9"], "{rows_of_generic:#?}");

    let mut command = Command::new("ethtool");
    command.args(["-K", INTERFACE, "rxvlan", "on"]);
    lab.edge.output(command)?;
    lab.edge
        .ip("link add v9 type veth peer name v8\nlink set v9 mtu 9000 up\nlink set bridge9 mtu 9000\n")?;
    let rows_of_large = rows(&lab, &(config.clone() + "  - name: v9\n  - name: bridge9\n"))?;
    let several = format!("{ONE_BUFFER}, which the driver has");
    says(&rows_of_large, ["ok", "v9 MTU", "9000", &several, ""])?;
    let unknown = format!("{ONE_BUFFER}, which the driver does not say that it has");
    let smaller = "ip link set bridge9 mtu 1500, if the start is refused";
    says(&rows_of_large, ["warn", "bridge9 MTU", "9000", &unknown, smaller])?;
    let off = "ethtool -K eth1 rxvlan off, or answers to tagged frames go without the tag";
    says(&rows_of_large, ["warn", "eth1 VLAN tag stripping", "on", "off", off])?;
    // A controller starts all the same, and says so once.
    let gate = Gate::start_with(&lab, &config)?;
    let log = gate.log();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("VLAN tag stripping")).collect();
    let [told] = told.as_slice() else { anyhow::bail!("{log}") };
    ensure!(
        told.contains(" WARN ")
            && told.contains(&format!("eth1 VLAN tag stripping: on: needed: off ({off})")),
        "{told}"
    );
    ensure!(gate.stop()?.success());
    let detach = command::gate25(["detach", "--config", &gate::write(&lab, &config)?.display().to_string()]);
    ensure!(command::finish(&lab.edge, detach, SOON)?.code == Some(0));

    let _other = lab.edge.run(|| xdp_pass::attach(INTERFACE))?;
    let there = xdp::on(&lab.edge, INTERFACE)?.context("the lab's own program is not there")?;
    let found = format!("has another XDP program: \"lab_pass\", id {}", there.program);
    let remedy = "take it off first, as `ip link set dev eth1 xdp off` does";
    says(&rows(&lab, &config)?, ["fail", "eth1 XDP program", &found, "none, or gate25's", remedy])?;
    ensure!(xdp::on(&lab.edge, INTERFACE)? == Some(there), "it was taken off");
    Ok(())
}

#[test]
fn files_that_are_not_as_they_should_be() -> Result<()> {
    let lab = Lab::new()?;
    let policy = policy::write(lab.folder(), WEST)?;
    let config = gate::configuration(&lab, &policy);
    let folder = lab.folder().display().to_string();

    let elsewhere = config.replace(&format!("pin: {}", lab.pin().display()), &format!("pin: {folder}/pins"));
    let rows_elsewhere = rows(&lab, &elsewhere)?;
    let remedy = format!("mount -t bpf bpf {folder}");
    says(
        &rows_elsewhere,
        ["fail", &format!("pin {folder}/pins"), "is not on a bpffs", "below a bpffs, writable", &remedy],
    )?;

    let taken = lab.edge.run(|| TcpListener::bind(LISTEN))?;
    let remedy = "end what listens there, or set `listen` to a free address";
    says(
        &rows(&lab, &config)?,
        ["fail", &format!("listen {LISTEN}"), "address already in use", "free", remedy],
    )?;
    drop(taken);

    // Not a folder, and nothing that even root can write into.
    let state =
        config.replace(&format!("state: {folder}/state"), &format!("state: {}/below", policy.display()));
    let rows_of_state = rows(&lab, &state)?;
    let (what, file) = (format!("state {}/below", policy.display()), policy.display().to_string());
    ensure!(amiss(&rows_of_state) == [what.as_str()], "{rows_of_state:#?}");
    let found = format!("{file} is no folder");
    says(&rows_of_state, ["warn", &what, &found, "writable", "name another folder"])?;

    // Where root may write, as the kernel tells, and nobody can make a file.
    let pins = format!("{folder}/bpf");
    let nowhere = config
        .replace(&format!("state: {folder}/state"), &format!("state: {pins}/x"))
        .replace(&format!("control: {folder}/control.sock"), &format!("control: {pins}/y/control.sock"));
    let rows_of_nowhere = rows(&lab, &nowhere)?;
    let found = format!("{pins} is no place for files");
    for what in [format!("control {pins}/y/control.sock"), format!("state {pins}/x")] {
        says(&rows_of_nowhere, ["warn", &what, &found, "writable", "name another folder"])?;
    }
    ensure!(!lab.folder().join("state").exists() && amiss(&rows(&lab, &config)?).is_empty());

    policy::put(&policy, "version: 1\nzones: [{id: west, subscribers: [\"10.0.0.1/24\"]}]\n")?;
    let shown = policy.display();
    let remedy = format!(
        "`gate25 check {shown}` tells all: {shown}:2:34: zones[0].subscribers[0]: 10.0.0.1/24: has host bits set (did you mean 10.0.0.0/24?)"
    );
    says(&rows(&lab, &config)?, ["fail", "policy", "1 problem", "valid", &remedy])
}

#[test]
fn somebody_without_privileges() -> Result<()> {
    let lab = Lab::new()?;
    let policy = policy::write(lab.folder(), WEST)?;
    let config = gate::write(&lab, &gate::configuration(&lab, &policy))?;
    let _gate = Gate::start_with(&lab, &fs::read_to_string(&config)?)?;
    let binary = lab.folder().join("gate25");
    command::copy_gate25(&binary, "")?;
    for path in [lab.folder(), &binary] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.arg(&binary).args(["preflight", "--json", "--config"]).arg(&config);
    let ended = command::finish(&lab.edge, command, SOON)?;
    let report: Value = serde_json::from_str(&ended.stdout).with_context(|| format!("{ended:?}"))?;
    ensure!(ended.code == Some(1), "{ended:?}");
    let lines = report["lines"].as_array().context("no lines")?;
    let line = |what: &str| {
        lines.iter().find(|line| line["what"] == what).with_context(|| format!("{what}: {report:#}"))
    };
    let there = xdp::on(&lab.edge, INTERFACE)?.context("nothing attached")?;
    let privileges = line("privileges")?;
    ensure!(
        privileges["status"] == "fail"
            && privileges["found"] == "without CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON",
        "{privileges}"
    );
    let program = line("eth1 XDP program")?;
    let found = format!("id {}; whose it is could not be seen", there.program);
    ensure!(program["status"] == "warn" && program["found"] == found.as_str(), "{program}");
    for (what, found) in
        [("eth1", "up"), ("eth1 XDP", "native, driver veth"), ("eth1 VLAN tag stripping", "off")]
    {
        ensure!(line(what)?["status"] == "ok" && line(what)?["found"] == found, "{report:#}");
    }
    Ok(())
}
