//! `cargo xtask dist`: the Debian package. What is in it and where says `package.metadata.deb` of the gateway's Cargo.toml.

use crate::{
    man, setup,
    shell::{release, run as shell, workspace},
};
use anyhow::{Context as _, Result};
use std::{env, fs, path::PathBuf, process::Command};

/// Builds everything that belongs in it, and the package; says where it is.
pub(crate) fn run() -> Result<()> {
    setup::run(setup::For::Dist)?;
    shell(&mut release("build"))?;
    build()
}

/// The package of what was built, alone in its folder.
pub(crate) fn build() -> Result<()> {
    let pages = target().join("release/pages");
    let folder = gate25_tests::package::folder();
    for folder in [&pages, &folder] {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| folder.display().to_string());
            }
            _ => fs::create_dir_all(folder).with_context(|| folder.display().to_string())?,
        }
    }
    man::write(&pages)?;
    let man = fs::read_dir(pages.join("man"))?.collect::<Result<Vec<_>, _>>()?;
    shell(Command::new("gzip").args(["--best", "--no-name"]).args(man.iter().map(fs::DirEntry::path)))?;
    shell(
        Command::new(setup::cargo_deb())
            .current_dir(workspace())
            .args(["--package", "gate25", "--no-build", "--strip", "--locked", "--output"])
            .arg(&folder),
    )?;
    Ok(())
}

/// Where cargo builds.
fn target() -> PathBuf {
    workspace().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}
