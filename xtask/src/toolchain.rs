//! Chooses the toolchain that builds the eBPF program: Debian's, which has `core` for the BPF target precompiled, or
//! else a rustup nightly with `rust-src`; and a `bpf-linker` for the same LLVM. No other place knows of any.
//!
//! Standard library only: the build script of `gate25` includes this very file.

use std::{
    env,
    ffi::OsString,
    fmt, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The eBPF target of this byte order.
pub(crate) const TARGET: &str =
    if cfg!(target_endian = "big") { "bpfeb-unknown-none" } else { "bpfel-unknown-none" };

/// What `cargo xtask setup` has to install.
#[derive(Debug)]
pub(crate) enum Missing {
    /// No compiler that has, or can build, `core` for [`TARGET`].
    Compiler,
    /// No `bpf-linker` for the compiler's LLVM, by its major version.
    Linker(u32),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compiler => write!(f, "eBPF toolchain: no Rust compiler for {TARGET}")?,
            Self::Linker(llvm) => write!(f, "eBPF toolchain: no bpf-linker for LLVM {llvm}")?,
        }
        write!(f, " (`cargo xtask setup` installs it)")
    }
}

impl std::error::Error for Missing {}

/// A compiler for [`TARGET`].
#[derive(Debug)]
pub(crate) struct Compiler {
    cargo: PathBuf,
    rustc: PathBuf,
    /// `core` is compiled along, as no precompiled one was found.
    build_std: bool,
    /// The major version of its LLVM, which `bpf-linker` must share.
    pub(crate) llvm: u32,
}

impl Compiler {
    /// Debian's compiler, or else rustup's nightly.
    pub(crate) fn find() -> Result<Self, Missing> {
        Self::debian().or_else(Self::nightly).ok_or(Missing::Compiler)
    }

    fn debian() -> Option<Self> {
        let rustc = PathBuf::from("/usr/bin/rustc");
        let libraries = ask(&rustc, &["--target", TARGET, "--print", "target-libdir"])?;
        let core = fs::read_dir(libraries).ok()?.flatten().any(|file| {
            let name = file.file_name();
            name.to_string_lossy().starts_with("libcore-")
                && Path::new(&name).extension() == Some("rlib".as_ref())
        });
        core.then(|| Self::new("/usr/bin/cargo".into(), rustc, false))?
    }

    fn nightly() -> Option<Self> {
        let which =
            |tool| ask(Path::new("rustup"), &["which", "--toolchain", "nightly", tool]).map(PathBuf::from);
        let (cargo, rustc) = (which("cargo")?, which("rustc")?);
        let sysroot = PathBuf::from(ask(&rustc, &["--print", "sysroot"])?);
        sysroot.join("lib/rustlib/src/rust/library/core").is_dir().then(|| Self::new(cargo, rustc, true))?
    }

    fn new(cargo: PathBuf, rustc: PathBuf, build_std: bool) -> Option<Self> {
        ask(&cargo, &["--version"])?;
        let about = ask(&rustc, &["-vV"])?;
        let version = about.lines().find_map(|line| line.strip_prefix("LLVM version: "))?;
        Some(Self { llvm: version.split('.').next()?.parse().ok()?, cargo, rustc, build_std })
    }
}

/// A compiler and a linker that fit each other.
#[derive(Debug)]
pub(crate) struct Toolchain {
    /// The compiler.
    pub(crate) compiler: Compiler,
    /// The path of `bpf-linker`.
    pub(crate) linker: PathBuf,
}

/// The toolchain to build with; `bpf-linker` is looked for in `.tools/bin` of the workspace, then on `PATH`.
pub(crate) fn find(workspace: &Path) -> Result<Toolchain, Missing> {
    let compiler = Compiler::find()?;
    let path = env::var_os("PATH").unwrap_or_default();
    let linker = std::iter::once(workspace.join(".tools/bin"))
        .chain(env::split_paths(&path))
        .map(|folder| folder.join("bpf-linker"))
        .find(|linker| linker.is_file() && fits(linker, compiler.llvm))
        .ok_or(Missing::Linker(compiler.llvm))?;
    Ok(Toolchain { compiler, linker })
}

impl Toolchain {
    /// The build of the eBPF program of `workspace` into `target_dir`; see [`Self::object`] for its result.
    /// Works from within a build script: nothing of an outer cargo's environment reaches it.
    pub(crate) fn command(&self, workspace: &Path, target_dir: &Path) -> Command {
        let mut linker = OsString::from("linker=");
        linker.push(&self.linker);
        let mut flags = OsString::from("-C\x1f");
        flags.push(linker);
        flags.push("\x1f-C\x1fdebuginfo=2\x1f-C\x1flink-arg=--btf");
        // The kernel shows source lines (`bpftool prog dump`): of this repository, not of this machine.
        let home =
            env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
        for (path, shown) in [(Some(workspace), "=."), (home.as_deref(), "=cargo")] {
            if let Some(path) = path {
                flags.push("\x1f--remap-path-prefix=");
                flags.push(path);
                flags.push(shown);
            }
        }

        let mut command = clean(&self.compiler.cargo);
        command
            .current_dir(workspace)
            .args(["build", "--locked", "--release", "--package", "gate25-ebpf", "--bin", "gate25-ebpf"])
            .args(["--target", TARGET, "--target-dir"])
            .arg(target_dir)
            // aya-ebpf uses `asm_experimental_arch`, and Debian's compiler is a stable one.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTC", &self.compiler.rustc)
            .env("CARGO_ENCODED_RUSTFLAGS", flags);
        if self.compiler.build_std {
            command.args(["-Z", "build-std=core"]);
        }
        command
    }

    /// Where [`Self::command`] leaves the eBPF object.
    pub(crate) fn object(target_dir: &Path) -> PathBuf {
        target_dir.join(TARGET).join("release/gate25-ebpf")
    }
}

/// Whether that `bpf-linker` runs and holds, or links, that LLVM: it does not say so itself, but LLVM leaves its
/// version in every program it is linked into, and a shared one its file name.
fn fits(linker: &Path, llvm: u32) -> bool {
    let found = clean(Path::new("grep"))
        .args(["-qaE", &format!(r"LLVM{llvm}\.[0-9]|libLLVM(\.so\.|-){llvm}([^0-9]|$)")])
        .arg(linker)
        .env("LC_ALL", "C")
        .status();
    found.is_ok_and(|status| status.success()) && ask(linker, &["--version"]).is_some()
}

/// What a program prints, without the closing line end; `None` when it is missing or fails.
fn ask(program: &Path, arguments: &[&str]) -> Option<String> {
    let output = clean(program).args(arguments).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim_end().to_owned())
}

/// A command without what cargo, rustup and a build script's surroundings say about another build. What a user says
/// about the network and the registry stays.
fn clean(program: &Path) -> Command {
    const KEPT: &[&str] =
        &["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTR", "CARGO_SOURCE_", "CARGO_TERM_"];
    const FOREIGN: &[&str] = &["CARGO", "RUSTC", "RUSTFLAGS", "RUSTDOC", "DEP_"];
    const NAMES: &[&str] = &[
        "DEBUG",
        "HOST",
        "LD_LIBRARY_PATH",
        "MAKEFLAGS",
        "MFLAGS",
        "NUM_JOBS",
        "OPT_LEVEL",
        "OUT_DIR",
        "PROFILE",
        "RUSTUP_TOOLCHAIN",
        "TARGET",
    ];
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let begins = |list: &[&str]| list.iter().any(|start| text.starts_with(start));
        if NAMES.contains(&&*text) || (begins(FOREIGN) && !begins(KEPT)) {
            command.env_remove(name);
        }
    }
    command
}
