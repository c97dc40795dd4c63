//! `gate25 preflight` as a table.

use crate::preflight::Report;
use std::fmt;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["status", "what", "found", "needed", "remedy"].map(str::to_owned);
        let rows = self.lines.iter().map(|line| {
            let remedy = line.remedy.clone().unwrap_or_default();
            [
                line.status.label().to_owned(),
                line.what.clone(),
                line.found.clone(),
                line.needed.clone(),
                remedy,
            ]
        });
        let rows: Vec<[String; 5]> = std::iter::once(head).chain(rows).collect();
        let widths: [usize; 4] = std::array::from_fn(|column| {
            rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
        });
        for row in &rows {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}  "));
            let text: String = cells.chain(std::iter::once(row[4].clone())).collect();
            writeln!(f, "{}", text.trim_end())?;
        }
        Ok(())
    }
}
