//! A control socket in this process, a client, and `gate25 explain`.

use anyhow::{Result, ensure};
use gate25::{
    control::{handler::Handler, server},
    datapath::flows::Connection,
    status::{Installed, Shared},
};
use gate25_common::{
    abi::NO_RULE,
    verdict::{Action, Reason},
};
use gate25_tests::command::{self, Ended};
use serde_json::Value;
use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

pub(crate) const SOON: Duration = Duration::from_secs(10);
pub(crate) const REMOTE: &str = "192.0.2.200";

/// A control socket in this process, whose controller redirected every port below 1000 of 203.0.113.9.
pub(crate) struct Served {
    pub(crate) folder: TempDir,
    _bound: server::Bound,
}

impl Served {
    pub(crate) fn start() -> Result<Self> {
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
        let handler = Handler::new(status, std::sync::mpsc::channel().0, move |subscriber| {
            let known = subscriber.ip().to_string() == "203.0.113.9" && subscriber.port() < 1000;
            Ok(known.then_some(connection))
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::spawn(move || runtime.block_on(server::serve(listener, Arc::new(handler))));
        Ok(Self { folder, _bound: bound })
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("deep/down/control.sock")
    }

    pub(crate) fn connect(&self) -> Result<Client> {
        Client::to(&self.path())
    }
}

/// A connection to a control socket.
pub(crate) struct Client(pub(crate) BufReader<UnixStream>);

impl Client {
    pub(crate) fn to(path: &Path) -> Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(SOON))?;
        Ok(Self(BufReader::new(stream)))
    }

    pub(crate) fn write(&mut self, octets: &[u8]) -> Result<()> {
        Ok(self.0.get_mut().write_all(octets)?)
    }

    pub(crate) fn read(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        ensure!(line.ends_with('\n'), "no answer, but {line:?}");
        Ok(serde_json::from_str(&line)?)
    }

    pub(crate) fn ask(&mut self, request: &str) -> Result<Value> {
        self.write(format!("{request}\n").as_bytes())?;
        self.read()
    }

    pub(crate) fn notice(&mut self, port: u16) -> Result<Value> {
        self.ask(&format!(r#"{{"notice":{{"subscriber":"203.0.113.9","port":{port}}}}}"#))
    }
}

/// `gate25 explain` with these arguments; outside any lab.
pub(crate) fn explain(arguments: &[&str]) -> Result<Ended> {
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
