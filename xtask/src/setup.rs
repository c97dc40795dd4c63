//! `cargo xtask setup`: installs what is missing, and only that.

use crate::{
    shell::{cargo, run as shell, workspace},
    toolchain::{self, Compiler},
};
use anyhow::{Context as _, Result, bail, ensure};
use std::{
    fs::{self, Permissions},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The version that was tried; its LLVM is the compiler's, whichever that is.
const BPF_LINKER: &str = "0.13.0";
/// Its newest that builds with the toolchain of the workspace.
const CARGO_DEB: &str = "3.8.0";

/// What is to be done afterwards; each needs what those before it need.
#[derive(Clone, Copy, PartialEq, PartialOrd, clap::ValueEnum)]
pub(crate) enum For {
    /// The program alone.
    Build,
    /// A lab with the real program in it.
    Demo,
    /// A Debian package.
    Dist,
    /// All tests, that of the package among them.
    Tests,
    /// The alternatives to measure beside.
    Bench,
}

/// Installs what is missing.
pub(crate) fn run(purpose: For) -> Result<()> {
    ebpf_toolchain(&workspace())?;
    if purpose >= For::Demo {
        packages(&["iproute2", "ethtool"])?;
    }
    if purpose >= For::Dist {
        debian_packager(&workspace())?;
    }
    if purpose >= For::Tests {
        prometheus(&workspace())?;
        mail_programs(&workspace())?;
        // The program alone, without a service.
        packages(&["dnsmasq-base"])?;
        // Exports are loaded into what they are for.
        packages(&["nftables", "bind9-dnsutils"])?;
        rbldnsd(&workspace())?;
        components()?;
        // Renders the man pages.
        packages(&["man-db"])?;
        // For systemd-analyze, which checks the units; nothing of it runs.
        packages(&["systemd"])?;
        debian(&workspace())?;
    }
    if purpose >= For::Bench {
        packages(&["ipset", "iptables", "nftables", "xdp-tools"])?;
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

/// What makes a Debian package of what cargo built.
fn debian_packager(workspace: &Path) -> Result<()> {
    // Unpacks and compresses what goes into it.
    packages(&["xz-utils", "gzip", "binutils"])?;
    if cargo_deb().is_file() {
        return Ok(());
    }
    eprintln!("setup: building cargo-deb {CARGO_DEB} into .tools (about a minute)");
    let build = workspace.join(".tools/build");
    shell(
        cargo("install cargo-deb --locked --force --no-default-features --version")
            .arg(CARGO_DEB)
            .arg("--root")
            .arg(workspace.join(".tools"))
            .env("CARGO_TARGET_DIR", &build),
    )?;
    Ok(fs::remove_dir_all(build)?)
}

/// Where [`debian_packager`] puts it.
pub(crate) fn cargo_deb() -> PathBuf {
    workspace().join(".tools/bin/cargo-deb")
}

/// A clean Debian with systemd in it, as an archive, for the test of the package.
fn debian(workspace: &Path) -> Result<()> {
    let archive = workspace.join(".tools/debian.tar");
    if archive.is_file() {
        return Ok(());
    }
    packages(&["mmdebstrap"])?;
    eprintln!("setup: bootstrapping a clean Debian into {} (it is not started)", archive.display());
    // Complete or not there.
    let partial = archive.with_extension("partial.tar");
    let included = "--include=systemd,systemd-sysv,dbus,man-db,bash-completion,iproute2";
    // The one that this machine is: what was built here runs there.
    let release = fs::read_to_string("/etc/os-release")?;
    let codename = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    let codename = codename.context("/etc/os-release: no VERSION_CODENAME")?;
    shell(Command::new("mmdebstrap").args(["--variant=apt", included, codename]).arg(&partial))?;
    Ok(fs::rename(partial, archive)?)
}

/// Prometheus and its checker of metrics and rules, out of the package but without installing it: that would start a
/// server here.
fn prometheus(workspace: &Path) -> Result<()> {
    if ["prometheus", "promtool"].into_iter().all(|name| gate25_tests::program(name).is_ok()) {
        return Ok(());
    }
    unpack(workspace, "prometheus", &["usr/bin/prometheus", "usr/bin/promtool"])
}

/// The server of DNS lists, out of the package but without installing it, which would start it.
fn rbldnsd(workspace: &Path) -> Result<()> {
    if workspace.join(".tools/bin/rbldnsd").is_file() {
        return Ok(());
    }
    unpack(workspace, "rbldnsd", &["usr/sbin/rbldnsd"])
}

/// The mail programs that the gate is tried with, none of which runs on this machine afterwards.
fn mail_programs(workspace: &Path) -> Result<()> {
    // Without a main.cf its service does not start.
    preseed("postfix", "postfix/main_mailer_type select No configuration")?;
    packages(&["postfix", "swaks", "libio-socket-inet6-perl", "curl", "python3-scapy"])?;
    if gate25_tests::mail::exim().is_some() {
        return Ok(());
    }
    // Debian has one mail server a machine; this one is unpacked, beside its libraries.
    packages(&["libdb5.3", "libgnutls-dane0", "libidn12", "libnsl2", "libpcre2-8-0"])?;
    unpack(workspace, "exim4-daemon-light", &["usr/sbin/exim4"])
}

/// Answers a question that the package's installation would ask.
fn preseed(package: &str, answer: &str) -> Result<()> {
    if missing(&[package])?.is_empty() {
        return Ok(());
    }
    privileged(package)?;
    let mut child = Command::new("debconf-set-selections").stdin(Stdio::piped()).spawn()?;
    writeln!(child.stdin.take().context("no stdin")?, "{package} {answer}")?;
    ensure!(child.wait()?.success(), "debconf-set-selections: {package} {answer}: refused");
    Ok(())
}

/// Programs out of a package, into `.tools/bin`; nothing is installed or started.
fn unpack(workspace: &Path, package: &str, programs: &[&str]) -> Result<()> {
    eprintln!(
        "setup: unpacking {} from Debian's {package} into .tools (it is not installed)",
        programs.join(", ")
    );
    let folder = workspace.join(".tools").join(package);
    fs::create_dir_all(&folder)?;
    privileged(package)?;
    shell(&mut apt("update"))?;
    shell(apt("download").args(["-o", "APT::Sandbox::User=root", package]).current_dir(&folder))?;
    for file in fs::read_dir(&folder)?.flatten().map(|file| file.path()) {
        if file.extension().is_some_and(|extension| extension == "deb") {
            shell(Command::new("dpkg-deb").arg("--extract").arg(&file).arg(&folder))?;
            fs::remove_file(file)?;
        }
    }
    let bin = workspace.join(".tools/bin");
    fs::create_dir_all(&bin)?;
    for program in programs.iter().map(|program| folder.join(program)) {
        let target = bin.join(program.file_name().unwrap_or_default());
        // Exim comes setuid.
        fs::set_permissions(&program, Permissions::from_mode(0o755))?;
        fs::rename(program, &target).with_context(|| target.display().to_string())?;
    }
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
    let missing = missing(names)?;
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    privileged(&list)?;
    eprintln!("setup: installing {list}");
    shell(&mut apt("update"))?;
    // Where a package would push another one out (a machine has one mail server), people decide.
    shell(apt("install").args(["--yes", "--no-remove", "--no-install-recommends"]).args(missing))
}

/// Those of the packages that are not installed.
fn missing<'a>(names: &[&'a str]) -> Result<Vec<&'a str>> {
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat", "${Package} ${db:Status-Status}\n"])
        .args(names)
        .output()
        .with_context(|| {
            format!("dpkg-query: not a Debian machine? (install {} by hand)", names.join(" "))
        })?;
    let known = String::from_utf8_lossy(&output.stdout);
    let is_there = |name: &str| known.lines().any(|line| line == format!("{name} installed"));
    Ok(names.iter().copied().filter(|name| !is_there(name)).collect())
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
