//! The socket's file, and who may use it.

use crate::support::{Client, Served, explain};
use anyhow::{Context as _, Result, ensure};
use gate25::control::{
    places::{FOR_ROOT, PER_USER},
    server,
};
use gate25_tests::{
    command,
    gate::{self, Gate},
    lab::Lab,
    policy::{self, WEST},
};
use serde_json::json;
use std::{
    fs,
    io::Read as _,
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::{UnixListener, UnixStream},
    },
    path::Path,
    process::Command,
    thread,
};

#[test]
fn the_file_is_taken_over_from_the_dead_only() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("control.sock");
    let says = |part: &str| {
        let fault = server::bind(&path).map(drop).err().map(|fault| fault.to_string()).unwrap_or_default();
        ensure!(
            fault.starts_with(&format!("control: {}: ", path.display())) && fault.contains(part),
            "{fault}"
        );
        Ok(())
    };
    drop(UnixListener::bind(&path)?);
    ensure!(path.exists(), "nothing stale to replace");
    let (listener, bound) = server::bind(&path)?;
    let metadata = fs::metadata(&path)?;
    ensure!(
        metadata.file_type().is_socket() && metadata.permissions().mode() & 0o777 == 0o660,
        "{metadata:?}"
    );
    ensure!(fs::read_dir(folder.path())?.count() == 1, "something is left behind");
    UnixStream::connect(&path).context("it does not listen")?;
    says("another controller listens there")?;
    ensure!(path.exists());

    // What took our place is not ours to remove.
    fs::remove_file(&path)?;
    let other = UnixListener::bind(&path)?;
    drop((listener, bound));
    ensure!(path.exists());
    drop(other);
    let (listener, bound) = server::bind(&path)?;
    drop((listener, bound));
    ensure!(!path.exists());

    fs::write(&path, "somebody's file")?;
    says("no socket")?;
    ensure!(fs::read_to_string(&path)? == "somebody's file");
    Ok(())
}

/// The socket of a real controller, over its whole life.
#[test]
fn a_controllers_socket() -> Result<()> {
    let lab = Lab::new()?;
    let policy = policy::write(lab.folder(), WEST)?;
    let path = lab.folder().join("control.sock");
    let gate = Gate::start(&lab, &policy)?;
    ensure!(fs::metadata(&path)?.permissions().mode() & 0o777 == 0o660);
    let unknown = json!({"error": "unknown connection"});
    ensure!(Client::to(&path)?.notice(40001)? == unknown);
    let control = path.display().to_string();
    let ended = explain(&["--ref", "7K3QX2MB", "--control", &control])?;
    ensure!(ended.code == Some(1) && ended.last_line().contains("7K3QX2MB: is not known"), "{ended:?}");
    ensure!(gate.stop()?.success());
    ensure!(!path.exists(), "an orderly end leaves it");

    let gate = Gate::start(&lab, &policy)?;
    gate.kill();
    ensure!(path.exists(), "a killed one cannot have removed it");
    let gate = Gate::start(&lab, &policy)?;
    ensure!(Client::to(&path)?.notice(40001)? == unknown);
    ensure!(gate.stop()?.success());

    // Where somebody else answers, it enforces without.
    let other = UnixListener::bind(&path)?;
    let gate = Gate::start(&lab, &policy)?;
    ensure!(
        gate.log().contains(&format!("control: {control}: another controller listens there (")),
        "{}",
        gate.log()
    );
    ensure!(gate.stop()?.success());
    ensure!(path.exists());
    drop(other);

    // Nor does it stop for a place where it cannot be.
    fs::remove_file(&path)?;
    let nowhere = gate::configuration(&lab, &policy).replace(&control, "/proc/nowhere/control.sock");
    let gate = Gate::start_with(&lab, &nowhere)?;
    ensure!(gate.log().contains("control: /proc/nowhere/control.sock: "), "{}", gate.log());
    Ok(())
}

/// Nobody is neither root nor in the group.
#[test]
fn others_may_not_ask() -> Result<()> {
    let served = Served::start()?;
    for folder in served.path().ancestors().skip(1).take(3) {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    }
    let binary = served.folder.path().join("gate25");
    gate25_tests::command::copy_gate25(&binary, "")?;
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(binary);
    let output = command.args(["explain", "--ref", "00000000", "--control"]).arg(served.path()).output()?;
    let said = String::from_utf8(output.stderr)?;
    ensure!(output.status.code() == Some(1) && said.contains("permission denied (be root"), "{said}");
    Ok(())
}

/// Connections of that user.
fn connect_as(path: &Path, user: u32, count: usize) -> Result<Vec<Client>> {
    let (path, keep) = (path.to_owned(), u32::MAX);
    let connect = move || {
        // SAFETY: integers only; without glibc's wrapper it is for this thread alone, which ends here.
        let set = unsafe { libc::syscall(libc::SYS_setresuid, keep, user, keep) };
        ensure!(set == 0, "{}", std::io::Error::last_os_error());
        (0..count).map(|_| Client::to(&path)).collect()
    };
    thread::spawn(connect).join().map_err(|_| anyhow::anyhow!("panicked"))?
}

#[test]
fn who_hangs_keeps_out_neither_root_nor_other_users() -> Result<()> {
    let served = Served::start()?;
    let path = served.path();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
    for folder in path.ancestors().skip(1).take(3) {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    }
    let hang = |user, count| {
        let mut clients = connect_as(&path, user, count)?;
        clients.iter_mut().try_for_each(|client| client.write(b"{\"status"))?;
        anyhow::Ok(clients)
    };
    let refused = |user| connect_as(&path, user, 1)?.remove(0).read();
    let one = hang(65533, PER_USER)?;
    let own = json!({"error": "user 65533 has 24 connections open already"});
    ensure!(refused(65533)? == own);
    let mut other = connect_as(&path, 65534, 1)?;
    ensure!(other[0].notice(1)?["reference"].is_string(), "another user is kept out");
    let another = hang(65534, PER_USER - 1)?;
    ensure!(refused(65532)? == json!({"error": "the controller has 48 connections open already"}));
    let mut root = served.connect()?;
    ensure!(root.notice(1)?["reference"].is_string(), "root is kept out");

    let _root: Vec<_> = (1..FOR_ROOT).map(|_| served.connect()).collect::<Result<_>>()?;
    let control = path.display().to_string();
    let remedy = "(somebody on this host holds them; try again, or be root)";
    for command in [&["status"][..], &["reload"], &["events"], &["events", "--follow"], &["top", "--once"]] {
        let output = command::gate25(command.iter().copied().chain(["--control", &control])).output()?;
        let said = String::from_utf8(output.stderr)?;
        let wanted = format!("control: {control}: the controller has 64 connections open already {remedy}\n");
        ensure!(output.status.code() == Some(1) && said.ends_with(&wanted), "{command:?}: {said}");
    }
    // They were begun, and are not waited for longer than that.
    for mut hanging in one.into_iter().chain(another) {
        ensure!(hanging.0.read(&mut [0]).is_ok_and(|octets| octets == 0), "it is still open");
    }
    ensure!(connect_as(&path, 65532, 1)?.remove(0).notice(1)?["reference"].is_string());
    Ok(())
}

#[test]
fn a_listener_that_does_not_answer_is_not_taken_for_none() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("control.sock");
    let says = |part: &str| {
        let ended = explain(&["--ref", "7K3QX2MB", "--control", &path.display().to_string()])?;
        ensure!(ended.code == Some(1) && ended.last_line().contains(part), "{part}: {ended:?}");
        Ok(())
    };
    says("no controller answers (start gate25,")?;
    let listener = UnixListener::bind(&path)?;
    let closing = thread::spawn(move || {
        drop(listener.accept());
        listener
    });
    says("who listens there ended without an answer (see the controller's log;")?;
    drop(closing.join());
    says("no controller answers (start gate25,")
}
