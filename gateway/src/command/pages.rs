//! `gate25 pages`: man pages and shell completions, for whoever makes a package.

use crate::cli::Cli;
use crate::reference;
use clap::{Command, CommandFactory as _};
use clap_complete::{Shell, generate_to};
use clap_mangen::Man;
use roff::{Roff, bold, roman};
use std::fs;
use std::io;
use std::path::Path;

/// What the page of the policy is about, and of no command.
const TOPIC: &str = "policy";

/// Writes `man/gate25.8`, `man/gate25-VERB.8` of each verb, `man/gate25-policy.5`, and `completions/` for bash, zsh and
/// fish, under their usual names.
pub fn write(folder: &Path) -> io::Result<()> {
    let (man, completions) = (folder.join("man"), folder.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut Cli::command(), "gate25", &completions)?;
    }
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != TOPIC);
    for verb in verbs {
        fs::write(man.join(format!("gate25-{}.8", verb.get_name())), page(verb.clone())?)?;
    }
    fs::write(man.join("gate25.8"), page(command)?)?;
    fs::write(man.join("gate25-policy.5"), reference::roff::render())
}

/// The man page of a command.
fn page(mut command: Command) -> io::Result<Vec<u8>> {
    let notes = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let usage = command.render_usage().to_string();
    let name = command.get_display_name().unwrap_or("gate25").to_owned();
    let has_verbs = command.has_subcommands();
    let man = Man::new(command).section("8");
    let mut page = reference::roff::title(&name, "8").into_bytes();
    man.render_name_section(&mut page)?;
    let mut synopsis = Roff::new();
    synopsis.control("SH", ["SYNOPSIS"]).text([bold(usage.trim_start_matches("Usage: "))]);
    synopsis.to_writer(&mut page)?;
    man.render_description_section(&mut page)?;
    if has_verbs {
        let mut verbs = Vec::new();
        man.render_subcommands_section(&mut verbs)?;
        // The page that is of no command is in another section.
        let verbs = String::from_utf8_lossy(&verbs);
        page.extend(verbs.replace("gate25\\-policy(8)", "gate25\\-policy(5)").bytes());
    }
    man.render_options_section(&mut page)?;
    let mut rest = Roff::new();
    if !notes.is_empty() {
        rest.control("SH", ["EXAMPLES AND NOTES"]);
        reference::roff::write(&mut rest, reference::blocks(&notes));
    }
    rest.control("SH", ["SEE ALSO"]).text([
        bold("gate25"),
        roman("(8), "),
        bold("gate25-policy"),
        roman("(5)"),
    ]);
    rest.to_writer(&mut page)?;
    Ok(page)
}
