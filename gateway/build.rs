//! Builds the eBPF program with its own toolchain and hands its path to the crate as `GATE25_OBJECT`.

#[path = "../xtask/src/toolchain.rs"]
#[allow(dead_code, reason = "xtask uses the rest")]
mod toolchain;

use std::{env, path::Path, path::PathBuf, process::exit};

fn main() {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let workspace = manifest.parent().unwrap_or(Path::new("."));
    let target_dir = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("ebpf");
    for source in
        ["gateway-ebpf", "gateway-common", "Cargo.lock", "xtask/src/toolchain.rs", ".tools/bin/bpf-linker"]
    {
        println!("cargo::rerun-if-changed={}", workspace.join(source).display());
    }
    let toolchain = toolchain::find(workspace).unwrap_or_else(|missing| fail(&missing.to_string()));
    match toolchain.command(workspace, &target_dir).status() {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!("eBPF program: {status} (its errors are above)")),
        Err(error) => fail(&format!("eBPF toolchain: {error} (`cargo xtask setup` installs it)")),
    }
    println!("cargo::rustc-env=GATE25_OBJECT={}", toolchain::Toolchain::object(&target_dir).display());
}

fn fail(message: &str) -> ! {
    println!("cargo::error={message}");
    exit(1)
}
