//! `cargo xtask man`: man pages and completions, by the command that they are of.

use crate::shell::{release, run as shell};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// Where they go.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The folder in which `man` and `completions` are made
    folder: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    // cargo is run in the workspace, which may be another folder than this one.
    write(&std::path::absolute(&arguments.folder)?)
}

/// `man/*.8`, `man/gate25-policy.5`, `completions/{gate25.bash,_gate25,gate25.fish}` below `folder`.
pub(crate) fn write(folder: &Path) -> Result<()> {
    shell(release("run").args(["--", "pages"]).arg(folder))
}
