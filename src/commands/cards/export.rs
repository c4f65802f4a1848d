//! `cards export`: the cards as `cards import` reads them, a line a card, without any full number.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

use super::pages::Pages;
use crate::commands::Common;
use crate::commands::failure::Failure;
use crate::commands::tables::progress_of_cards;
use crate::domain::{Card, shown_fields};
use crate::store::CardFilter;

#[derive(Args)]
pub struct ExportArgs {
    /// Where it goes, NDJSON: a file that is not there yet, or - for standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    to: PathBuf,
    /// Only the cards of this program
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    program: Option<String>,
}

pub fn run(common: &Common, args: &ExportArgs) -> Result<(), Failure> {
    let store = common.open_to_read("cards")?;
    let filter = CardFilter {
        program: args.program.clone(),
        ..CardFilter::default()
    };
    let mut out = BufWriter::new(output(args)?);
    let program = args.program.as_deref();
    let bar = progress_of_cards(store.read(|tx| tx.count_living(program))?);
    for page in Pages::new(&store, filter) {
        for row in page? {
            writeln!(out, "{}", line(&row.card))?;
            bar.inc(1);
        }
    }
    out.flush()?;
    bar.finish_and_clear();
    Ok(())
}

fn output(args: &ExportArgs) -> Result<Box<dyn Write>, Failure> {
    if args.to.as_os_str() == "-" {
        return Ok(Box::new(io::stdout().lock()));
    }
    // Masked data is personal data all the same: its owner's alone.
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600);
    let refused = |error: io::Error| {
        let why = error.kind();
        Failure::wrong(format!("{}: cannot be written: {why}", args.to.display()))
    };
    Ok(Box::new(file.open(&args.to).map_err(refused)?))
}

/// A card as a line of an import. Its status is not the merchant's to say, and stays behind; so do the
/// digits that may not be shown of a card with its status.
fn line(card: &Card) -> Value {
    let (mut masked, mut digital) = (Map::new(), Map::new());
    for (name, value) in shown_fields(card) {
        match name.strip_prefix("digitalCardData.") {
            Some(name) => digital.insert(name.to_owned(), value.clone()),
            None => masked.insert(name.to_owned(), value.clone()),
        };
    }
    if !digital.is_empty() {
        masked.insert("digitalCardData".to_owned(), digital.into());
    }
    json!({
        "cardId": card.id,
        "program": card.registered_program,
        "consumerReference": card.consumer_reference,
        "maskedCard": masked,
    })
}
