//! What the controller may do, and what it gave up.

use crate::{LIMIT, SOON, reaches, sinks, text};
use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    command,
    gate::{self, Gate},
    lab::{INTERFACE, Lab},
    policy::{self, WEST},
    smtp::{self, Outcome},
    xdp,
};
use std::{fs, process::Command};

/// `CAP_BPF`, `CAP_PERFMON` and `CAP_NET_ADMIN`, as in `linux/capability.h`.
const KEPT: u64 = 1 << 39 | 1 << 38 | 1 << 12;
const RETURN: &str = "action: reset\n    return_path: enforce";

/// `gate25` with no more capabilities than those and the one for the control socket's group, as in the unit.
fn with_few(arguments: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-all,+bpf,+perfmon,+net_admin,+chown", "--no-new-privs"]);
    command.arg(gate25_tests::gate25()).args(arguments);
    command
}

/// A field of each thread's status, by the thread's number.
fn fields(gate: &Gate<'_>, name: &str) -> Result<Vec<(u32, u64)>> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{}/task", gate.id()))? {
        let task = task?;
        let Ok(status) = fs::read_to_string(task.path().join("status")) else { continue };
        let value = status.lines().find_map(|line| line.strip_prefix(name)).context("no such field")?;
        let number = task.file_name().to_string_lossy().parse()?;
        found.push((number, u64::from_str_radix(value.trim_start_matches(':').trim(), 16)?));
    }
    Ok(found)
}

/// Root, started by hand, has no more than it needs once it enforces; whoever talks to strangers has nothing at all.
#[test]
fn what_only_a_start_needs_is_given_up() -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = sinks(&lab)?;
    let file = policy::write(lab.folder(), WEST)?;
    let gate = Gate::start(&lab, &file)?;
    for set in ["CapPrm", "CapEff"] {
        let found = fields(&gate, set)?;
        ensure!(found.len() >= 4, "names, events, and who answers: {found:?}");
        for (thread, capabilities) in found {
            let wanted = if thread == gate.id() { KEPT } else { 0 };
            ensure!(capabilities == wanted, "{set} of thread {thread}: {capabilities:x}, not {wanted:x}");
        }
    }
    for (set, wanted) in [("CapInh", 0), ("CapAmb", 0), ("CapBnd", KEPT), ("NoNewPrivs", 1)] {
        let found = fields(&gate, set)?;
        ensure!(found.iter().all(|(_, value)| *value == wanted), "{set}: {found:x?}, not {wanted:x}");
    }
    // That is enough to follow the policy: the program of the way back is loaded only now.
    policy::put(&file, &WEST.replace("action: reset", RETURN))?;
    gate.wait_series("gate25_policy_reloads_total{result=\"ok\"}", 1.0)?;
    ensure!(lab.pin().join("return-links").join(INTERFACE).exists());
    ensure!(!reaches(&lab, &lab.stranger)?);
    Ok(())
}

/// The kernel gives programs and maps by number to `CAP_SYS_ADMIN` alone; a restart finds them without.
#[test]
fn a_restart_and_detach_need_no_more_than_the_unit_has() -> Result<()> {
    let lab = Lab::new()?;
    let _sinks = sinks(&lab)?;
    let file = policy::write(lab.folder(), &WEST.replace("action: reset", RETURN))?;
    let config = gate::write(&lab, &gate::configuration(&lab, &file))?;
    let run = ["run", "--config", text(&config)];
    let gate = Gate::run(&lab, with_few(&run), SOON)?;
    let first = xdp::on(&lab.edge, INTERFACE)?.context("not attached")?;
    gate.kill();
    let gate = Gate::run(&lab, with_few(&run), SOON)?;
    let second = xdp::on(&lab.edge, INTERFACE)?.context("not attached")?;
    ensure!(first.program != second.program && !xdp::exists(first.program), "{first:?}, {second:?}");
    ensure!(!reaches(&lab, &lab.stranger)? && reaches(&lab, &lab.relay)?);
    // Somebody removes pins: those of programs and maps that run are made again.
    let heads = fs::read_dir(lab.pin())?.flatten().map(|entry| entry.path().join("tables/HEADS"));
    let heads = heads.into_iter().find(|path| path.exists()).context("no HEADS")?;
    let programs = ["programs", "return-programs"].map(|folder| lab.pin().join(folder).join(INTERFACE));
    for pin in [&heads].into_iter().chain(&programs) {
        fs::remove_file(pin).with_context(|| pin.display().to_string())?;
    }
    gate25_tests::wait::until(SOON, || programs.iter().chain([&heads]).all(|pin| pin.exists()).then_some(()))
        .with_context(|| gate.log())?;

    // Without a controller nobody does; and such a table in another's place would be another policy.
    ensure!(gate.stop()?.success());
    fs::remove_file(&heads)?;
    let ended = command::finish(&lab.edge, with_few(&run), SOON)?;
    println!("{}", ended.last_line());
    let told = format!("pin: {}: is gone, ", heads.display());
    ensure!(ended.code == Some(1) && ended.last_line().starts_with(&told), "{ended:?}");
    ensure!(ended.last_line().ends_with("(start gate25 once as root, by hand: that pins it again)"));
    ensure!(smtp::knock(&lab.alice, &lab.stranger, LIMIT) == [Outcome::Refused, Outcome::Refused]);
    Gate::start(&lab, &file)?.kill();
    Gate::run(&lab, with_few(&run), SOON)?.kill();

    let ended = command::finish(&lab.edge, with_few(&["detach", "--config", text(&config)]), SOON)?;
    ensure!(ended.code == Some(0) && !lab.pin().exists(), "{ended:?}");
    ensure!(xdp::on(&lab.edge, INTERFACE)?.is_none());
    Ok(())
}

/// Without `CAP_DAC_OVERRIDE` root is not above the modes of files; a start says so, and not only the first reload.
#[test]
fn a_policy_of_somebody_else_must_be_readable() -> Result<()> {
    use std::os::unix::fs::{PermissionsExt as _, chown};
    let lab = Lab::new()?;
    let file = policy::write(lab.folder(), WEST)?;
    chown(&file, Some(65534), None)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    let config = gate::write(&lab, &gate::configuration(&lab, &file))?;
    let ended = crate::gate25(&lab, &["run", "--config", text(&config)])?;
    println!("{}", ended.last_line());
    ensure!(ended.code == Some(1) && ended.last_line().contains("may not be read ("), "{ended:?}");
    let ended = crate::gate25(&lab, &["preflight", "--config", text(&config)])?;
    let told = ended.stdout.lines().any(|line| line.starts_with("fail") && line.contains(text(&file)));
    ensure!(ended.code == Some(1) && told, "foretold otherwise: {ended:?}");
    Ok(())
}
