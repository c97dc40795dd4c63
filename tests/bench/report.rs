//! What was measured: as a table, and as JSON.

use crate::figures::Spread;
use anyhow::{Context as _, Result};
use serde::Serialize;
use std::{collections::BTreeSet, fs, path::Path};

/// One contender's figure in a row of a part.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    pub(crate) part: &'static str,
    /// What was done.
    pub(crate) what: String,
    /// With how many prefixes or rules, where that is varied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u64>,
    pub(crate) contender: &'static str,
    pub(crate) unit: &'static str,
    #[serde(flatten)]
    pub(crate) spread: Spread,
}

/// Something promised, held against what was measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Promise {
    pub(crate) what: String,
    pub(crate) value: f64,
    pub(crate) at_least: Option<f64>,
    pub(crate) at_most: Option<f64>,
    pub(crate) unit: &'static str,
    pub(crate) holds: bool,
}

/// Everything of one run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: String,
    pub(crate) kernel: String,
    pub(crate) quick: bool,
    pub(crate) seconds: f64,
    pub(crate) figures: Vec<Figure>,
    pub(crate) promises: Vec<Promise>,
    /// Who could not take part, and why.
    pub(crate) missing: Vec<String>,
    /// What else there is to know about a part.
    pub(crate) notes: Vec<String>,
}

impl Report {
    pub(crate) fn new(quick: bool) -> Result<Self> {
        Ok(Self {
            machine: machine()?,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            quick,
            seconds: 0.0,
            figures: Vec::new(),
            promises: Vec::new(),
            missing: Vec::new(),
            notes: Vec::new(),
        })
    }

    pub(crate) fn add(
        &mut self,
        part: &'static str,
        (what, size): (&str, Option<u64>),
        contender: &'static str,
        unit: &'static str,
        spread: Spread,
    ) {
        self.figures.push(Figure { part, what: what.to_owned(), size, contender, unit, spread });
    }

    /// Who cannot take part, in a line.
    pub(crate) fn missing(&mut self, who: &str, why: impl std::fmt::Display) {
        let why = format!("{why:#}");
        let line = format!("{who}: {}", why.lines().next().unwrap_or_default());
        eprintln!("bench: missing: {line}");
        self.missing.push(line);
    }

    pub(crate) fn at_most(&mut self, what: impl Into<String>, value: f64, most: f64, unit: &'static str) {
        let promise = Promise {
            what: what.into(),
            value,
            at_least: None,
            at_most: Some(most),
            unit,
            holds: value <= most,
        };
        self.promises.push(promise);
    }

    pub(crate) fn at_least(&mut self, what: impl Into<String>, value: f64, least: f64, unit: &'static str) {
        let promise = Promise {
            what: what.into(),
            value,
            at_least: Some(least),
            at_most: None,
            unit,
            holds: value >= least,
        };
        self.promises.push(promise);
    }

    /// The median of that figure, if it was taken.
    pub(crate) fn median(&self, part: &str, what: &str, size: Option<u64>, contender: &str) -> Option<f64> {
        self.figures
            .iter()
            .find(|figure| {
                figure.part == part
                    && figure.what == what
                    && figure.size == size
                    && figure.contender == contender
            })
            .map(|figure| figure.spread.median)
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let json = serde_json::to_string_pretty(self)? + "\n";
        fs::write(path, json).with_context(|| path.display().to_string())
    }

    /// The table of all parts.
    pub(crate) fn print(&self) {
        println!("{}, Linux {}; {}", self.machine, self.kernel, if self.quick { "quick" } else { "full" });
        let mut parts: Vec<_> = self.figures.iter().map(|figure| (figure.part, figure.unit)).collect();
        let mut seen = BTreeSet::new();
        parts.retain(|part| seen.insert(*part));
        for (part, unit) in parts {
            self.print_part(part, unit);
        }
        println!("\n{:<76} {:>10}  bound", "promises", "here");
        for promise in &self.promises {
            let (sign, bound) = match (promise.at_least, promise.at_most) {
                (Some(least), _) => (">=", least),
                (_, most) => ("<=", most.unwrap_or_default()),
            };
            let word = match (promise.holds, sign) {
                (true, sign) => sign,
                (false, "<=") => "OVER",
                (false, _) => "UNDER",
            };
            println!("{:<76} {:>10}  {word} {bound} {}", promise.what, short(promise.value), promise.unit);
        }
        self.missing.iter().for_each(|line| println!("missing: {line}"));
        self.notes.iter().for_each(|line| println!("note: {line}"));
    }

    fn print_part(&self, part: &str, unit: &str) {
        let figures = || self.figures.iter().filter(|figure| figure.part == part && figure.unit == unit);
        let mut columns: Vec<_> = figures().map(|figure| figure.contender).collect();
        let mut rows: Vec<_> = figures().map(|figure| (figure.what.as_str(), figure.size)).collect();
        let (mut known, mut known_rows) = (BTreeSet::new(), BTreeSet::new());
        columns.retain(|column| known.insert(*column));
        rows.retain(|row| known_rows.insert(*row));
        let width =
            rows.iter().map(|(what, _)| what.len()).max().unwrap_or(0).max(part.len() + unit.len() + 2);
        let sized = rows.iter().any(|(_, size)| size.is_some());
        let title = format!("{part}, {unit}");
        print!("\n{title:<width$}");
        if sized {
            print!(" {:>9}", "size");
        }
        for column in &columns {
            print!(" {column:>21}");
        }
        println!();
        for (what, size) in rows {
            print!("{what:<width$}");
            if sized {
                print!(" {:>9}", size.map(grouped).unwrap_or_default());
            }
            for column in &columns {
                let figure = figures()
                    .find(|figure| figure.what == what && figure.size == size && figure.contender == *column);
                let text = figure.map_or_else(String::new, |figure| cell(figure.spread));
                print!(" {text:>21}");
            }
            println!();
        }
    }
}

/// `12 (11..14)`.
fn cell(spread: Spread) -> String {
    if spread.rounds == 1 {
        return short(spread.median);
    }
    format!("{} ({}..{})", short(spread.median), short(spread.least), short(spread.greatest))
}

/// With as many digits as mean something.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        size if size < 10.0 && size.fract().abs() > 0.001 => format!("{value:.2}"),
        size if size < 100.0 && size.fract().abs() > 0.001 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Thousands apart.
pub(crate) fn grouped(number: impl ToString) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The processor and how many of it.
fn machine() -> Result<String> {
    let text = fs::read_to_string("/proc/cpuinfo")?;
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let count = text.lines().filter(|line| line.starts_with("processor")).count();
    Ok(format!("{count} x {}", name.map_or("unknown processor", |(_, name)| name)))
}
