//! Tables and JSON on standard output.

use std::io::{self, Write};

use clap::Args;
use comfy_table::{Cell, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

pub use crate::api::views::plain;

/// Prints rows under a head, if there is one; empty cells for what is absent.
pub fn print_table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if head.iter().any(|title| !title.is_empty()) {
        table.set_header(head.iter().map(Cell::new));
    }
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

/// How progress through `things` is drawn, on standard error.
pub fn progress_style(things: &str) -> ProgressStyle {
    let template = format!("{{bar:40}} {{pos}}/{{len}} {things}, {{per_sec}}, {{eta}} left");
    ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Progress through this many cards.
pub fn progress_of_cards(count: i64) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(count).unwrap_or(0));
    bar.with_style(progress_style("cards"))
}

/// Which part of a list, and in what form.
#[derive(Args)]
pub struct PageArgs {
    /// Begin after this one
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub after: Option<String>,
    /// This many at most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    pub limit: i64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
