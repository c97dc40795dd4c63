//! The Debian package, as `cargo xtask dist` leaves it.

use anyhow::{Context as _, Result, ensure};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Where it is, alone.
#[must_use]
pub fn folder() -> PathBuf {
    crate::workspace().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into())).join("dist")
}

/// The package; an error says how to build it.
pub fn built() -> Result<PathBuf> {
    let files = fs::read_dir(folder()).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut packages: Vec<_> =
        files.filter(|file| file.extension().is_some_and(|end| end == "deb")).collect();
    ensure!(packages.len() < 2, "{}: more than one package", folder().display());
    packages.pop().with_context(|| format!("{}: no package (cargo xtask dist builds it)", folder().display()))
}

/// The same package under another version, with a mark behind its program; at that path.
pub fn repacked(version: &str, mark: &str, to: &Path) -> Result<()> {
    let tree = tempfile::tempdir()?;
    // Another process writes the program, see `command::copy_gate25`.
    let script = r#"
        dpkg-deb --raw-extract "$0" "$1"
        sed -i "s/^Version: .*/Version: $2/" "$1/DEBIAN/control"
        printf %s "$3" >> "$1/usr/bin/gate25"
        (cd "$1" && find usr -type f -exec md5sum {} + > DEBIAN/md5sums)
        dpkg-deb --root-owner-group -Znone --build "$1" "$4"
    "#;
    let mut command = Command::new("sh");
    command.args(["-ec", script]).arg(built()?).arg(tree.path()).args([version, mark]).arg(to);
    crate::namespace::checked(&mut command).map(drop)
}
