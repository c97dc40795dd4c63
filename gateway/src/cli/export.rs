//! `gate25 export`.

use super::{Cli, instant};
use crate::export::{Format, Wanted};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Error};
use jiff::Timestamp;
use std::path::PathBuf;

/// The longest name that an interface can have.
const MAX_NAME: usize = 15;

/// Its arguments.
#[derive(Debug, Args)]
pub struct Export {
    /// A policy file or directory
    #[arg(long)]
    pub policy: PathBuf,
    /// For whom
    #[arg(long, value_enum)]
    pub format: Format,
    /// The instant, in RFC 3339 with an offset [default: now]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub at: Option<Timestamp>,
    /// Ask no name server: names match nothing
    #[arg(long)]
    pub offline: bool,
    /// nftables: a subscriber interface, where packets are routed; may be given again [default: every interface]
    #[arg(long, value_name = "NAME", value_parser = interface)]
    pub interface: Vec<String>,
}

impl Export {
    /// What is wanted; an error of usage where the arguments do not go together.
    pub fn wanted(&self) -> Result<Wanted, Error> {
        if self.format != Format::Nftables && !self.interface.is_empty() {
            let words = "--interface goes with --format nftables alone";
            return Err(Cli::command().error(ErrorKind::ArgumentConflict, words));
        }
        Ok(Wanted {
            format: self.format,
            at: self.at.unwrap_or_else(Timestamp::now),
            goes_on: self.at.is_none(),
            knows_names: !self.offline,
            interfaces: self.interface.clone(),
        })
    }
}

/// A name that an interface can have, and that is none in quotes of nftables, where `*` stands for more than one.
fn interface(name: &str) -> Result<String, String> {
    let can_be = |letter: char| letter.is_ascii_graphic() && !"\"/*\\:".contains(letter);
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(can_be) {
        return Err(
            "is no interface's name (write it as `ip link` shows it, like eth1 or eth1.100)".to_owned()
        );
    }
    Ok(name.to_owned())
}
