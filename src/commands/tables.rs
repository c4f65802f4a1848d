//! Tables and JSON on standard output.

use std::io::{self, Write};

use comfy_table::{Cell, Table, presets};
use serde_json::Value;

/// Prints rows under a head; empty cells for what is absent.
pub fn print_table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(head.iter().map(Cell::new));
    for row in rows {
        table.add_row(row);
    }
    let text = table.to_string();
    let mut out = io::stdout().lock();
    text.lines()
        .try_for_each(|line| writeln!(out, "{}", line.trim_end()))
}

/// Prints one JSON document.
pub fn print_json(value: &Value) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{value:#}")
}

/// A value of a change, as people read it.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// How many rows a list may be asked for.
pub fn limit_range() -> clap::builder::RangedI64ValueParser<i64> {
    clap::value_parser!(i64).range(1..=100_000)
}
