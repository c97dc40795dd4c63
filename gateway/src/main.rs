//! The `gate25` command: says what went wrong in one last line, and exits 0 (done), 1 (wrong or failed) or 2 (usage).

use clap::error::{ContextKind, ErrorKind};
use clap::{CommandFactory, Parser};
use gate25::cli::{Cli, Command, Explain, SchemaFormat};
use gate25::command::{
    ask, check, detach, events, explain, notice, pages, reference, reload, replay, run, top,
};
use gate25::control::Filter;
use gate25::controller::Failure;
use gate25::diff;
use gate25::export;
use gate25::names;
use gate25::policy::compile::Clock;
use gate25::policy::{self, Loaded, Policy, Problem, Refused, schema};
use gate25::preflight;
use gate25::privilege;
use gate25::progress::Progress;
use gate25::reference::{markdown, text};
use gate25_common::verdict::EventKind;
use jiff::Timestamp;
use serde::Serialize;
use std::error::Error as _;
use std::fmt::Display;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(error) => return usage(&error),
    };
    match perform(command) {
        Ok(code) => code,
        Err(Failure::Policy(Refused { problems, warnings, .. })) => {
            print_warnings(&warnings);
            for problem in problems {
                say(problem);
            }
            ExitCode::FAILURE
        }
        // Whoever read the output has seen enough.
        Err(Failure::Fault(error)) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(Failure::Fault(error)) => {
            say(format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn perform(command: Command) -> Result<ExitCode, Failure> {
    let mut out = BufWriter::new(Output(io::stdout().lock()));
    match command {
        Command::Run(arguments) => {
            log();
            run::run(arguments.node.config()?, arguments.log_packets)?;
        }
        Command::Detach(arguments) => detach::detach(&arguments.pin()?, &mut out)?,
        Command::Check { policy, offline, at, format } => {
            let _progress = Progress::shown();
            let options = check::Options { policy: &policy, offline, at, format };
            if !check::check(options, &mut out, &mut io::stderr())? {
                out.flush()?;
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Notice(arguments) => {
            log();
            notice::notice(arguments.options()?)?;
        }
        Command::Diff { old, new, at, offline, json } => {
            let at = at.unwrap_or_else(Timestamp::now);
            print(&diff::compare(&*load(&old, offline)?, &*load(&new, offline)?, at)?, json, &mut out)?;
        }
        Command::Explain(arguments) => explained(arguments, &mut out)?,
        Command::Export(arguments) => {
            let wanted = match arguments.wanted() {
                Ok(wanted) => wanted,
                Err(error) => return Ok(usage(&error)),
            };
            let export = export::export(&*load(&arguments.policy, arguments.offline)?, &wanted);
            export.warnings.iter().for_each(|warning| say(format_args!("warning: {warning}")));
            out.write_all(export.text.as_bytes())?;
        }
        Command::Preflight { node, json } => {
            // With the powers that `run` would have, who gives up some first.
            privilege::prepare();
            let report = preflight::look(&node.config()?);
            print(&report, json, &mut out)?;
            if report.fails() {
                out.flush()?;
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Status { controller, json } => {
            print(&ask::status(&controller.socket()?)?, json, &mut out)?;
        }
        Command::Reload { controller, trust_clock, json } => {
            let outcome = reload::reload(&controller.socket()?, trust_clock)?;
            outcome.warnings.iter().for_each(|warning| say(format_args!("warning: {warning}")));
            if json || outcome.is_in_force {
                print(&outcome, json, &mut out)?;
                out.flush()?;
            }
            if !outcome.is_in_force {
                outcome.problems.iter().for_each(say);
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Top(arguments) => {
            let options = top::Options {
                sort: arguments.sort,
                zone: arguments.zone,
                limit: arguments.limit.map(|limit| limit as usize),
                once: arguments.once,
                json: arguments.json,
            };
            top::top(&arguments.controller.socket()?, &options, &mut out)?;
        }
        Command::Events(arguments) => {
            let kind = arguments.kind.map(|kind| EventKind::from(kind).label().into());
            let filter = Filter { kind, zone: arguments.zone };
            let show = if arguments.follow { events::follow } else { events::newest };
            show(&arguments.controller.socket()?, filter, arguments.json, &mut out)?;
        }
        Command::Replay { policy, at, direction, offline, json, capture } => {
            let at = at.unwrap_or_else(Timestamp::now);
            replay::replay(&*load(&policy, offline)?, at, direction.into(), &capture, json, &mut out)?;
        }
        Command::Schema { format } => {
            let text = match format {
                SchemaFormat::Json => schema::text(),
                SchemaFormat::Markdown => markdown::render(),
            };
            out.write_all(text.as_bytes())?;
        }
        Command::Policy => out.write_all(text::render().as_bytes())?,
        Command::Pages { folder } => {
            pages::write(&folder).map_err(|error| {
                let folder = folder.display();
                anyhow::anyhow!("folder: {folder}: {error} (name a folder that you may write to)")
            })?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn log() {
    tracing_subscriber::fmt().with_writer(io::stderr).with_target(false).with_ansi(false).init();
}

fn explained(arguments: Explain, out: &mut impl Write) -> Result<(), Failure> {
    let Explain { policy, from, to, at, offline, direction, json, reference, controller } = arguments;
    match (reference, policy, from, to) {
        (Some(reference), ..) => {
            let record = reference::look_up(&controller.socket()?, &reference)?;
            print(&record, json, out)
        }
        (None, policy, Some(from), Some(to)) => {
            if from.is_ipv4() != to.is_ipv4() {
                return Err(anyhow::anyhow!(
                    "to: {to}: is of another family than {from} (give two IPv4 or two IPv6 addresses)"
                )
                .into());
            }
            let path = explain::Path { subscriber: from, remote: to, direction: direction.into() };
            let explanation = match policy {
                Some(policy) => {
                    let at = Clock::standing_at(at.unwrap_or_else(Timestamp::now));
                    explain::explain(&*load(&policy, offline)?, path, at, explain::Node::PLAIN)?
                }
                None => ask::explain(&controller.socket()?, path, at)?,
            };
            print(&explanation, json, out)
        }
        // clap has asked for both.
        (None, _, None, _) | (None, _, _, None) => Ok(()),
    }
}

/// A table, or one JSON object.
fn print(answer: &(impl Serialize + Display), json: bool, out: &mut impl Write) -> Result<(), Failure> {
    if json {
        serde_json::to_writer(&mut *out, answer)?;
        writeln!(out)?;
    } else {
        write!(out, "{answer}")?;
    }
    Ok(())
}

/// clap's words, and a last line in ours. Help and version are no faults.
fn usage(error: &clap::Error) -> ExitCode {
    let kind = error.kind();
    if !error.use_stderr() || kind == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return match error.print() {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                say(unwritten(error));
                ExitCode::FAILURE
            }
            _ => ExitCode::from(if error.use_stderr() { 2 } else { 0 }),
        };
    }
    let text = error.render().to_string();
    let text = text.trim_end().trim_end_matches("For more information, try '--help'.").trim_end();
    let cause = text.lines().next().unwrap_or_default().trim_start_matches("error: ").trim_end_matches(':');
    let kinds = [ContextKind::InvalidValue, ContextKind::InvalidSubcommand, ContextKind::InvalidArg];
    let value = kinds.iter().find_map(|kind| error.get(*kind)).map(ToString::to_string);
    // A value that we judged ourselves has its remedy.
    let own = error.source().map(ToString::to_string).filter(|own| own.ends_with(')'));
    let no_value = if own.is_some() { "\"\"" } else { "gate25" };
    let value = value.filter(|value| !value.is_empty()).unwrap_or_else(|| no_value.to_owned());
    let why = own.unwrap_or_else(|| {
        let verb = std::env::args().nth(1).filter(|verb| Cli::command().find_subcommand(verb).is_some());
        let help = verb.map_or_else(
            || "`gate25 help` and `gate25 help run` show".to_owned(),
            |verb| format!("`gate25 help {verb}` shows"),
        );
        format!("{cause} ({help} what there is)")
    });
    say(format_args!("{text}\n\nusage: {value}: {why}"));
    ExitCode::from(2)
}

/// Standard output, whose errors say that it is it.
struct Output<W>(W);

impl<W: Write> Write for Output<W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.write(octets).map_err(unwritten)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(unwritten)
    }
}

/// A line on standard error, as far as that takes any: its loss changes no exit status.
fn say(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn unwritten(error: io::Error) -> io::Error {
    let text = error.to_string().to_lowercase();
    let cause = text.split(" (os error").next().unwrap_or_default();
    io::Error::new(error.kind(), format!("output: standard output: {cause} (make room, or write elsewhere)"))
}

/// The policy, with the addresses of its names unless `offline`.
fn load(path: &Path, offline: bool) -> Result<Arc<Policy>, Failure> {
    let _progress = Progress::shown();
    let Loaded { policy, warnings, .. } = policy::load(path).map_err(Failure::Policy)?;
    let policy = Arc::new(policy);
    print_warnings(&warnings);
    if offline {
        return Ok(policy);
    }
    let (resolved, unresolved) = names::resolve(&policy)?;
    print_warnings(&unresolved);
    Ok(policy.with_addresses(&resolved))
}

fn print_warnings(warnings: &[Problem]) {
    for warning in warnings {
        say(format_args!("warning: {warning}"));
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
