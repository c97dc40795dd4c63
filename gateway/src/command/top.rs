//! `gate25 top`: subscribers by blocked attempts, as the running controller has them.

use super::keys::Until;
use crate::control::{Request, client};
use crate::datapath::fault::Fault;
use crate::suspects::top::{NO_ZONE, Question, Row, Sort, Top};
use gate25_common::abi::REMOTES_LISTED;
use rustix::termios::{isatty, tcgetwinsize};
use std::fmt;
use std::io::{Write, stdout};
use std::path::Path;
use std::time::Duration;

/// How often a live table is drawn.
const PAUSE: Duration = Duration::from_secs(2);
/// Rows where there is no terminal to fill.
const ROWS: usize = 20;
/// Lines of a table that are no rows: two of its head, and one for the cursor.
const OTHER_LINES: usize = 4;

/// What is shown, and how.
#[derive(Debug)]
pub struct Options {
    /// Which subscribers come first.
    pub sort: Sort,
    /// Only of the zone of that id.
    pub zone: Option<String>,
    /// So many rows.
    pub limit: Option<usize>,
    /// Once, or until the user ends it.
    pub once: bool,
    /// JSON, a line each time.
    pub json: bool,
}

/// Asks the controller at that socket, and shows what it says.
pub fn top(control: &Path, options: &Options, out: &mut impl Write) -> anyhow::Result<()> {
    if options.once {
        return show(&ask(control, options, ROWS)?, options, None, out);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut until = Until::quit()?;
        loop {
            let size = isatty(stdout()).then(|| tcgetwinsize(stdout()).ok()).flatten();
            let size = size.map(|size| (usize::from(size.ws_col), usize::from(size.ws_row)));
            let rows = size.map_or(ROWS, |(_, lines)| lines.saturating_sub(OTHER_LINES).max(1));
            let answer = ask(control, options, rows)?;
            show(&answer, options, size.map(|(columns, _)| columns), out)?;
            tokio::select! {
                () = until.ended() => return Ok(()),
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    })
}

fn ask(control: &Path, options: &Options, rows: usize) -> Result<Top, Fault> {
    let zone = options.zone.clone();
    let limit = options.limit.unwrap_or(rows);
    let question = Question { sort: options.sort, zone: zone.clone(), limit };
    client::ask(control, &Request::Top(question), client::PATIENCE)?.map_err(|error| match zone {
        Some(zone) if error.ends_with(NO_ZONE) => {
            Fault::new("zone", zone, NO_ZONE, "name one of the policy's zones by its id")
        }
        _ => {
            let remedy = "see the controller's log; gate25 and its controller must be of one version";
            Fault::new("control", control.display(), error, remedy)
        }
    })
}

/// On a terminal of so many columns in place of what was there.
fn show(top: &Top, options: &Options, columns: Option<usize>, out: &mut impl Write) -> anyhow::Result<()> {
    if options.json {
        serde_json::to_writer(&mut *out, top)?;
        writeln!(out)?;
    } else if let Some(columns) = columns {
        // Home, and clear.
        write!(out, "\x1b[H\x1b[2J")?;
        for line in top.to_string().lines() {
            writeln!(out, "{}", line.get(..columns).unwrap_or(line))?;
        }
    } else {
        write!(out, "{top}{}", if options.once { "" } else { "\n" })?;
    }
    Ok(out.flush()?)
}

/// As people say it: one subscriber, two subscribers.
fn count(number: impl fmt::Display, noun: &str) -> String {
    let number = number.to_string();
    let plural = if number == "1" { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

impl fmt::Display for Top {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { time, subscribers, suspects, attempts, capacity, rows } = self;
        writeln!(
            f,
            "{time:.0}  {} blocked (room for {capacity}), {}, {}",
            count(subscribers, "subscriber"),
            count(suspects, "suspect"),
            count(attempts, "attempt"),
        )?;
        let wide = |title: &str, of: fn(&Row) -> &str| {
            rows.iter().map(|row| of(row).len()).max().unwrap_or(0).max(title.len())
        };
        let subscriber = wide("SUBSCRIBER", |row| &row.subscriber);
        let zone = wide("ZONE", |row| zone(row));
        writeln!(
            f,
            "{:subscriber$}  {:zone$}  {:>10}  {:>8}  {:20}  {:20}  {:10}  SUSPECT",
            "SUBSCRIBER", "ZONE", "ATTEMPTS", "REMOTES", "FIRST", "LAST", "REASON"
        )?;
        for row in rows {
            let about = if row.remotes < REMOTES_LISTED as u32 { "" } else { "~" };
            let remotes = format!("{about}{}", row.remotes);
            writeln!(
                f,
                "{:subscriber$}  {:zone$}  {:>10}  {remotes:>8}  {:20.0}  {:20.0}  {:10}  {}",
                row.subscriber,
                self::zone(row),
                row.attempts,
                row.first,
                row.last,
                row.reason.as_deref().unwrap_or("-"),
                if row.suspect { "yes" } else { "no" },
            )?;
        }
        Ok(())
    }
}

fn zone(row: &Row) -> &str {
    row.zone.as_deref().unwrap_or("-")
}
