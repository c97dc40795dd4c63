//! `cargo xtask setup`: installs what is missing, and only that.

use crate::{
    shell::{cargo, run as shell, workspace},
    toolchain::{self, Compiler},
};
use anyhow::{Context as _, Result, bail};
use std::{fs, path::Path, process::Command};

/// The version that was tried; its LLVM is the compiler's, whichever that is.
const BPF_LINKER: &str = "0.13.0";

/// What is to be done afterwards; each needs what those before it need.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
pub(crate) enum For {
    /// A lab with the real program in it.
    Demo,
    /// All tests.
    Tests,
}

/// Installs what is missing.
pub(crate) fn run(purpose: For) -> Result<()> {
    packages(&["iproute2", "ethtool"])?;
    ebpf_toolchain(&workspace())?;
    if purpose >= For::Tests {
        promtool(&workspace())?;
        components()?;
    }
    eprintln!("setup: everything needed is installed");
    Ok(())
}

/// A compiler and a linker for eBPF. Where no complete pair is found, Debian's compiler and a linker built for it.
fn ebpf_toolchain(workspace: &Path) -> Result<()> {
    if toolchain::find(workspace).is_ok() {
        return Ok(());
    }
    packages(&["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"])?;
    let llvm = Compiler::find()?.llvm;
    packages(&[&format!("llvm-{llvm}-dev"), &format!("libpolly-{llvm}-dev"), "zlib1g-dev", "libzstd-dev"])?;
    eprintln!("setup: building bpf-linker {BPF_LINKER} for LLVM {llvm} into .tools (about a minute)");
    let features = format!("llvm-{llvm}");
    let build = workspace.join(".tools/build");
    shell(
        cargo("install bpf-linker --locked --force --no-default-features")
            .args(["--version", BPF_LINKER, "--features", &features, "--root"])
            .arg(workspace.join(".tools"))
            .env("LLVM_PREFIX", format!("/usr/lib/llvm-{llvm}"))
            // Here, and not in a temporary folder: an interrupted build goes on where it was, and litters nothing.
            .env("CARGO_TARGET_DIR", &build),
    )?;
    fs::remove_dir_all(build)?;
    toolchain::find(workspace)?;
    Ok(())
}

/// Prometheus' checker of metrics, out of the package but without installing it: that would start a server here.
fn promtool(workspace: &Path) -> Result<()> {
    if gate25_tests::promtool().is_some() {
        return Ok(());
    }
    eprintln!(
        "setup: unpacking promtool from Debian's prometheus into .tools (nothing is installed or started)"
    );
    let folder = workspace.join(".tools/prometheus");
    fs::create_dir_all(&folder)?;
    privileged("prometheus")?;
    shell(&mut apt("update"))?;
    shell(apt("download").args(["-o", "APT::Sandbox::User=root", "prometheus"]).current_dir(&folder))?;
    for file in fs::read_dir(&folder)?.flatten().map(|file| file.path()) {
        if file.extension().is_some_and(|extension| extension == "deb") {
            shell(Command::new("dpkg-deb").arg("--extract").arg(&file).arg(&folder))?;
            fs::remove_file(file)?;
        }
    }
    let target = workspace.join(".tools/bin/promtool");
    fs::create_dir_all(workspace.join(".tools/bin"))?;
    fs::rename(folder.join("usr/bin/promtool"), &target).with_context(|| target.display().to_string())?;
    Ok(fs::remove_dir_all(folder)?)
}

/// rustfmt and clippy, which a minimal rustup leaves out.
fn components() -> Result<()> {
    let missing = ["fmt", "clippy"].map(|tool| {
        let found = cargo(tool).arg("--version").output().is_ok_and(|output| output.status.success());
        !found
    });
    if missing.contains(&true) {
        eprintln!("setup: installing rustfmt and clippy");
        shell(Command::new("rustup").args(["component", "add", "rustfmt", "clippy"]))?;
    }
    Ok(())
}

/// Debian packages, those not there yet.
fn packages(names: &[&str]) -> Result<()> {
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat", "${Package} ${db:Status-Status}\n"])
        .args(names)
        .output()
        .with_context(|| {
            format!("dpkg-query: not a Debian machine? (install {} by hand)", names.join(" "))
        })?;
    let known = String::from_utf8_lossy(&output.stdout);
    let missing: Vec<_> =
        names.iter().filter(|name| !known.lines().any(|line| line == format!("{name} installed"))).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.iter().map(|name| **name).collect::<Vec<_>>().join(" ");
    privileged(&list)?;
    eprintln!("setup: installing {list}");
    shell(&mut apt("update"))?;
    shell(apt("install").args(["--yes", "--no-install-recommends"]).args(missing))
}

/// An error that says what to do by hand, unless this process may install packages.
fn privileged(list: &str) -> Result<()> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    bail!("setup: not root: cannot install packages (as root: apt-get install {list})")
}

fn apt(verb: &str) -> Command {
    let mut command = Command::new("apt-get");
    command.args(["-q", verb]).env("DEBIAN_FRONTEND", "noninteractive");
    command
}
