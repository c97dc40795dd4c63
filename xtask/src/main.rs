//! What people type to build, try and test Gate25.

mod bench;
mod demo;
mod dist;
mod man;
mod picture;
mod setup;
mod shell;
mod table;
mod test;
#[allow(dead_code, reason = "the build script of gate25 uses the rest of it")]
mod toolchain;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Sets up, shows and tests Gate25; as root on a Debian machine.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install what building, the demo and the tests need; says what, takes seconds when nothing is missing
    Setup {
        /// What it is for
        #[arg(value_enum, default_value = "tests")]
        purpose: setup::For,
    },
    /// Watch the gate work: a lab of network namespaces, real SMTP, a reload half-way
    Demo,
    /// Measure what packets cost, beside an empty program and beside the alternatives, all in one run (ten minutes)
    Bench(bench::Arguments),
    /// Build the Debian package: the program, its units, pages, completions and documents
    Dist,
    /// Write man pages and shell completions into a folder
    Man(man::Arguments),
    /// Draw docs/dashboard.svg anew: what the dashboard shows of a gate that is watched for four minutes
    Picture,
    /// Formatting, clippy, the build, all tests, the documentation
    Test,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().verb {
        Verb::Setup { purpose } => setup::run(purpose),
        Verb::Demo => demo::run(),
        Verb::Bench(arguments) => bench::run(&arguments),
        Verb::Dist => dist::run(),
        Verb::Man(arguments) => man::run(&arguments),
        Verb::Picture => picture::run(),
        Verb::Test => test::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
