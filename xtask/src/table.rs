//! Tables on a terminal.

use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};

/// An empty table with those columns.
pub(crate) fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header(columns);
    table
}
