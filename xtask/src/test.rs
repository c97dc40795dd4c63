//! `cargo xtask test`: every check there is, one named and timed step after the other.

use crate::{
    dist, setup,
    shell::{cargo, release, run as shell},
    table::table,
};
use anyhow::{Result, ensure};
use std::time::Instant;

/// Runs the steps until one fails, then says how each went.
pub(crate) fn run() -> Result<()> {
    let steps: [(&str, &dyn Fn() -> Result<()>); 7] = [
        ("setup", &|| setup::run(setup::For::Tests)),
        ("formatting", &|| shell(&mut cargo("fmt --all --check"))),
        ("clippy", &|| {
            shell(&mut cargo(
                "clippy --locked --workspace --exclude gate25-ebpf --all-targets -- --deny warnings",
            ))
        }),
        ("build", &|| shell(&mut release("build"))),
        ("package", &dist::build),
        ("tests", &|| shell(&mut cargo("test --locked --workspace --exclude gate25-ebpf"))),
        ("documentation", &|| {
            shell(
                cargo("doc --locked --no-deps --workspace --exclude gate25-ebpf")
                    .env("RUSTDOCFLAGS", "--deny warnings"),
            )
        }),
    ];
    let mut report = table(&["step", "result", "seconds"]);
    let mut failed = None;
    for (name, step) in steps {
        eprintln!("\n== {name}");
        let start = Instant::now();
        let result = step();
        let word = if result.is_ok() { "passed" } else { "FAILED" };
        report.add_row([name, word, &format!("{:.1}", start.elapsed().as_secs_f32())]);
        if let Err(error) = result {
            eprintln!("{error:#}");
            failed = Some(name);
            break;
        }
    }
    println!("\n{report}");
    ensure!(failed.is_none(), "test: the step `{}` failed", failed.unwrap_or_default());
    Ok(())
}
