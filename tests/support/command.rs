//! Commands that end, and what they said.

use crate::namespace::Namespace;
use anyhow::{Context as _, Result, ensure};
use std::{
    fs::File,
    io::{Read as _, Seek as _},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

/// What became of a command.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote.
    pub stdout: String,
    /// What it wrote.
    pub stderr: String,
    /// How long it ran.
    pub took: Duration,
}

impl Ended {
    /// The last line it wrote to stderr.
    #[must_use]
    pub fn last_line(&self) -> &str {
        self.stderr.lines().last().unwrap_or_default()
    }
}

/// Runs a command in a namespace, whatever comes of it; an error if it still runs after that time, and then it is
/// killed.
pub fn finish(namespace: &Namespace, mut command: Command, limit: Duration) -> Result<Ended> {
    let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
    let shown = format!("{command:?}");
    let start = Instant::now();
    let mut process = namespace.spawn(command)?;
    let status = process.wait(limit);
    let took = start.elapsed();
    let (stdout, stderr) = (text(&mut stdout)?, text(&mut stderr)?);
    let status =
        status.with_context(|| format!("{shown}: still running after {limit:?}; it wrote:\n{stderr}"))?;
    Ok(Ended { code: status.code(), stdout, stderr, took })
}

/// `gate25` with these arguments.
#[must_use]
pub fn gate25<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(crate::gate25());
    command.args(arguments);
    command
}

fn text(file: &mut File) -> Result<String> {
    let mut octets = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut octets)?;
    Ok(String::from_utf8_lossy(&octets).into_owned())
}

/// Puts a copy of `gate25` there, with a mark behind it that no loader reads.
pub fn copy_gate25(to: &Path, mark: &str) -> Result<()> {
    copy(&crate::gate25(), to, mark)
}

/// Puts a copy of a program there, with a mark behind it. Another process writes it: a descriptor of this one, open for
/// writing while another thread starts a command, would keep the kernel from starting the copy.
pub(crate) fn copy(program: &Path, to: &Path, mark: &str) -> Result<()> {
    let mut command = Command::new("sh");
    command.args(["-c", "cp \"$0\" \"$1\" && printf %s \"$2\" >> \"$1\""]);
    let status = command.arg(program).arg(to).arg(mark).status()?;
    ensure!(status.success(), "a copy of {} at {}: {status}", program.display(), to.display());
    Ok(())
}
