//! The control socket: who may connect, what it bears, and the way of a reference from a notice to `explain --ref`.

use anyhow::{Context as _, Result, ensure};
use gate25::{
    control::{handler::Handler, server},
    datapath::flows::Connection,
    status::{Installed, Shared},
};
use gate25_common::{
    abi::NO_RULE,
    verdict::{Action, Reason},
};
use gate25_tests::{
    command::{self, Ended},
    gate::{self, Gate},
    lab::Lab,
    policy::{self, WEST},
    wait,
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    fs,
    io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(10);
const REMOTE: &str = "192.0.2.200";

/// A control socket in this process, whose controller redirected every port below 1000 of 203.0.113.9.
struct Served {
    folder: TempDir,
    _bound: server::Bound,
}

impl Served {
    fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (listener, bound) = server::bind(&folder.path().join("deep/down/control.sock"))?;
        let status = Shared::default();
        let zones = HashMap::from([(3, "west".to_owned())]);
        status.lock().installed = Some(Arc::new(Installed { zones, ..Installed::default() }));
        let connection = Connection {
            remote: REMOTE.parse()?,
            zone: 3,
            reason: Reason::Default,
            action: Action::Notice,
            rule: NO_RULE,
        };
        let handler = Handler::new(status, move |subscriber| {
            let known = subscriber.ip().to_string() == "203.0.113.9" && subscriber.port() < 1000;
            Ok(known.then_some(connection))
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::spawn(move || runtime.block_on(server::serve(listener, Arc::new(handler))));
        Ok(Self { folder, _bound: bound })
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("deep/down/control.sock")
    }

    fn connect(&self) -> Result<Client> {
        Client::to(&self.path())
    }
}

/// A connection to a control socket.
struct Client(BufReader<UnixStream>);

impl Client {
    fn to(path: &Path) -> Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(SOON))?;
        Ok(Self(BufReader::new(stream)))
    }

    fn write(&mut self, octets: &[u8]) -> Result<()> {
        Ok(self.0.get_mut().write_all(octets)?)
    }

    fn read(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        ensure!(line.ends_with('\n'), "no answer, but {line:?}");
        Ok(serde_json::from_str(&line)?)
    }

    fn ask(&mut self, request: &str) -> Result<Value> {
        self.write(format!("{request}\n").as_bytes())?;
        self.read()
    }

    fn notice(&mut self, port: u16) -> Result<Value> {
        self.ask(&format!(r#"{{"notice":{{"subscriber":"203.0.113.9","port":{port}}}}}"#))
    }
}

/// `gate25 explain` with these arguments; outside any lab.
fn explain(arguments: &[&str]) -> Result<Ended> {
    let mut command = command::gate25(["explain"].into_iter().chain(arguments.iter().copied()));
    let start = Instant::now();
    let output = command.stdin(Stdio::null()).output()?;
    Ok(Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
        took: start.elapsed(),
    })
}

#[test]
fn a_reference_goes_round() -> Result<()> {
    let served = Served::start()?;
    let control = served.path().display().to_string();
    let notice = served.connect()?.notice(25)?;
    let reference = notice["reference"].as_str().context("no reference")?.to_owned();
    ensure!(
        notice
            == json!({"zone": "west", "reason": "default", "rule": null, "remote": REMOTE, "reference": reference}),
        "{notice}"
    );

    // As somebody reads it out over the telephone.
    let spoken = reference.to_lowercase().replace('1', "l").replace('0', "o");
    let ended = explain(&["--ref", &spoken, "--control", &control, "--json"])?;
    let record: Value = serde_json::from_str(&ended.stdout).with_context(|| format!("{ended:?}"))?;
    let time = record["time"].clone();
    let wanted = json!({
        "reference": reference, "time": time, "subscriber": "203.0.113.9", "subscriber_port": 25,
        "remote": REMOTE, "zone": "west", "reason": "default", "rule": null, "action": "notice",
    });
    ensure!(ended.code == Some(0) && record == wanted, "{ended:?}");
    let age = jiff::Timestamp::now().duration_since(time.as_str().context("no time")?.parse()?);
    ensure!((0..60).contains(&age.as_secs()), "{age:?}");

    let ended = explain(&["--ref", &reference, "--control", &control])?;
    let rows: Vec<_> = ended.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    for row in [
        vec!["reference", &reference],
        vec!["from", "203.0.113.9", "port", "25"],
        vec!["to", REMOTE, "port", "25"],
        vec!["zone", "west"],
        vec!["reason", "default"],
        vec!["rule", "-"],
    ] {
        ensure!(rows.contains(&row), "no {row:?} in {ended:?}");
    }
    Ok(())
}

#[test]
fn references_that_lead_nowhere() -> Result<()> {
    let served = Served::start()?;
    let control = served.path().display().to_string();
    let gone = served.folder.path().join("nobody").display().to_string();
    let says = |arguments: &[&str], code: i32, line: &str| {
        let ended = explain(arguments)?;
        let is_so = ended.code == Some(code) && ended.last_line().starts_with(line);
        ensure!(is_so && ended.stdout.is_empty(), "{arguments:?}: {ended:?} instead of {line}");
        Ok(())
    };
    says(
        &["--ref", "00000000", "--control", &control],
        1,
        "reference: 00000000: is not known to this controller (",
    )?;
    says(&["--ref", "nonsense!", "--control", &control], 1, "reference: nonsense!: is no reference (")?;
    let nobody =
        format!("control: {gone}: no controller answers (start gate25, or name its socket with --control)");
    says(&["--ref", "00000000", "--control", &gone], 1, &nobody)?;
    // A socket that nobody listens on any more, and one whose owner says nothing.
    drop(UnixListener::bind(&gone)?);
    says(&["--ref", "00000000", "--control", &gone], 1, &nobody)?;
    fs::remove_file(&gone)?;
    let _mute = UnixListener::bind(&gone)?;
    says(&["--ref", "00000000", "--control", &gone], 1, &nobody)?;

    says(&["--ref", "00000000", "--policy", "x"], 2, "usage: ")?;
    says(&["--ref", "00000000", "--from", "203.0.113.9"], 2, "usage: ")?;
    says(&["--ref", "00000000", "--to", "203.0.113.9"], 2, "usage: ")?;
    says(&["--policy", "x"], 2, "usage: ")?;
    says(
        &["--from", "203.0.113.9", "--to", "192.0.2.1"],
        1,
        "policy: (none): the running controller cannot be asked yet",
    )
}

#[test]
fn the_configuration_names_the_socket() -> Result<()> {
    let served = Served::start()?;
    let config = served.folder.path().join("gate25.yaml");
    fs::write(&config, format!("policy: /nowhere\ncontrol: {}\n", served.path().display()))?;
    let notice = served.connect()?.notice(1)?;
    let reference = notice["reference"].as_str().context("no reference")?;
    let ended = explain(&["--ref", reference, "--config", &config.display().to_string()])?;
    ensure!(ended.code == Some(0), "{ended:?}");
    Ok(())
}

#[test]
fn requests_may_have_4096_octets() -> Result<()> {
    let served = Served::start()?;
    let mut client = served.connect()?;
    let request = r#"{"notice":{"subscriber":"203.0.113.9","port":1}}"#;
    let padded = |octets: usize| format!("{request:octets$}\n");
    client.write(padded(4096).as_bytes())?;
    ensure!(client.read()?["reference"].is_string());
    client.write(padded(4097).as_bytes())?;
    let refused = client.read()?;
    ensure!(refused["error"].as_str().is_some_and(|error| error.contains("4096")), "{refused}");
    ensure!(client.0.read(&mut [0]).or_else(is_reset)? == 0, "it goes on");

    // Endless, without a newline; nobody else is kept waiting.
    let mut endless = served.connect()?;
    let flood = thread::spawn(move || {
        while endless.write(&[b'x'; 8192]).is_ok() {}
        endless.read()
    });
    ensure!(served.connect()?.notice(2)?["reference"].is_string());
    let answer = flood.join().map_err(|_| anyhow::anyhow!("panicked"))??;
    ensure!(answer["error"].is_string(), "{answer}");
    Ok(())
}

fn is_reset(error: std::io::Error) -> std::io::Result<usize> {
    if error.kind() == ErrorKind::ConnectionReset { Ok(0) } else { Err(error) }
}

#[test]
fn garbage_is_answered_and_forgotten() -> Result<()> {
    let served = Served::start()?;
    let mut client = served.connect()?;
    let mut state = 1_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    for length in 0..300 {
        let line: Vec<u8> =
            (0..length).map(|_| random()).filter(|octet| *octet != b'\n').chain([b'\n']).collect();
        client.write(&line)?;
        let answer = client.read()?;
        ensure!(answer["error"].is_string(), "{line:?}: {answer}");
    }
    for line in [
        "null",
        "{}",
        "[]",
        r#"{"reload":{}}"#,
        r#"{"notice":{"subscriber":"x","port":1}}"#,
        r#"{"notice":{"subscriber":"203.0.113.9","port":65536}}"#,
    ] {
        ensure!(client.ask(line)?["error"].is_string(), "{line}");
    }
    ensure!(client.ask(&"[".repeat(4000))?["error"].is_string(), "deep");
    ensure!(client.notice(7)?["reference"].is_string(), "the same connection");
    Ok(())
}

#[test]
fn answers_come_in_the_order_of_their_requests() -> Result<()> {
    let served = Served::start()?;
    let mut client = served.connect()?;
    let line = |port: u16| format!("{{\"notice\":{{\"subscriber\":\"203.0.113.9\",\"port\":{port}}}}}\n");
    let alone: Vec<_> = (1..100).map(|port| client.notice(port)).collect::<Result<_>>()?;
    client.write((1..100).map(line).collect::<String>().as_bytes())?;
    let together: Vec<_> = (1..100).map(|_| client.read()).collect::<Result<_>>()?;
    ensure!(alone == together, "within a minute a connection keeps its reference");
    Ok(())
}

#[test]
fn connections_are_bounded_and_come_free() -> Result<()> {
    let served = Served::start()?;
    let mut clients: Vec<_> = (0..server::CONNECTIONS).map(|_| served.connect()).collect::<Result<_>>()?;
    for client in &mut clients {
        ensure!(client.notice(1)?["reference"].is_string());
    }
    let refused = served.connect()?.read()?;
    ensure!(refused["error"].as_str().is_some_and(|error| error.contains("64")), "{refused}");
    ensure!(clients[0].notice(2)?["reference"].is_string(), "those that are there go on");
    clients.pop();
    let next = wait::until(SOON, || served.connect().ok()?.notice(3).ok()?["reference"].as_str().map(drop));
    ensure!(next.is_some(), "no place came free");
    Ok(())
}

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
    fs::copy(gate25_tests::gate25(), &binary)?;
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(binary);
    let output = command.args(["explain", "--ref", "00000000", "--control"]).arg(served.path()).output()?;
    let said = String::from_utf8(output.stderr)?;
    ensure!(output.status.code() == Some(1) && said.contains("permission denied (be root"), "{said}");
    Ok(())
}
