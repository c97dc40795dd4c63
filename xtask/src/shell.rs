//! Running other programs, in sight of the user.

use anyhow::{Context as _, Result, ensure};
use std::{env, path::PathBuf, process::Command};

/// The folder of the workspace.
pub(crate) fn workspace() -> PathBuf {
    gate25_tests::workspace()
}

/// This very cargo, in the workspace. It ends when xtask does.
pub(crate) fn cargo(arguments: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace()).args(arguments.split_whitespace());
    gate25_tests::process::die_with_parent(&mut command);
    command
}

/// [`cargo`] for the release build of gate25, in whose messages and symbols are no paths of this machine.
pub(crate) fn release(verb: &str) -> Command {
    let mut command = cargo(&format!("{verb} --locked --release --package gate25"));
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    if let Some(home) = home.or_else(|| Some(env::home_dir()?.join(".cargo"))) {
        let flag = format!("--remap-path-prefix={}=cargo", home.display());
        command.args(["--config", &format!("build.rustflags=[{flag:?}]")]);
    }
    command
}

/// Runs the command with its output in sight; an error when it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = line(command);
    eprintln!("+ {line}");
    let status = command.status().with_context(|| format!("{line}: cannot be started"))?;
    ensure!(status.success(), "{line}: {status}");
    Ok(())
}

/// The command as people type it.
pub(crate) fn line(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let words = command.get_args().map(|word| word.to_string_lossy());
    std::iter::once(program.file_name().unwrap_or_default().to_string_lossy())
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}
