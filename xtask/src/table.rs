//! Tables on a terminal.

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};

/// An empty table with those columns.
pub(crate) fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(columns);
    table
}
