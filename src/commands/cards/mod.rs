//! `cards`: list, show, import, export, delete, status, hold, release, erase.

mod delete;
mod export;
mod hold;
mod import;
mod list;
mod pages;
mod show;
mod status;

use std::path::PathBuf;

use clap::Subcommand;

use super::Common;
use super::failure::Failure;

pub(super) use show::{charge_sentence, cryptogram_word, one_of_several, token_sentence};

#[derive(Subcommand)]
pub enum CardsCommand {
    /// Lists cards by ascending id
    List(list::ListArgs),
    /// Shows one card: what the consumer sees, whether it may be charged and why not, its calls
    Show {
        #[arg(allow_hyphen_values = true)]
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Registers cards from a file: one JSON object a line, as for PUT /v1/cards/{id}, with cardId
    Import {
        /// NDJSON; - reads standard input
        file: PathBuf,
    },
    /// Writes the living cards as `cards import` reads them: masked data, no number, one a line
    Export(export::ExportArgs),
    /// Deletes cards: here at once and for good, at Mastercard through a running serve
    ///
    /// Number and cryptogram are destroyed, and the call to Mastercard is queued. A running serve makes
    /// it, again and again until it is confirmed: `cards list --not-confirmed` shows what is not. Run
    /// again after it was interrupted, the command goes on where it stopped.
    #[command(override_usage = delete::USAGE)]
    Delete(delete::DeleteArgs),
    /// Suspends, resumes or deactivates the tokens of a card, through a running serve
    ///
    /// The call is made where the tokens live: at Mastercard Processing Digital or at the bank. A card
    /// of a Checkout program can only be deactivated, which deletes it. `outbox show` tells what became
    /// of the call, `cards show` how the tokens stand.
    Status(status::StatusArgs),
    /// Keeps a card from purge and erasure until it is released
    Hold {
        #[arg(allow_hyphen_values = true)]
        id: String,
        /// Why, for those who ask later
        #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
        reason: String,
    },
    /// Ends a hold
    Release {
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
    /// Destroys everything that is kept of a card but its id, its state and the time
    ///
    /// A living card is deleted first, as by `cards delete` or by deactivating its tokens, and erased
    /// by a running serve once that is confirmed. Of what came for it stays only when it came and how it
    /// was judged.
    Erase {
        #[arg(allow_hyphen_values = true)]
        id: String,
        /// Where to delete it first, for a card whose program is not known
        #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
        program: Option<String>,
    },
}

pub fn run(common: &Common, command: CardsCommand) -> Result<(), Failure> {
    match command {
        CardsCommand::List(args) => list::run(common, args),
        CardsCommand::Show { id, json } => show::run(common, &id, json),
        CardsCommand::Import { file } => import::run(common, &file),
        CardsCommand::Export(args) => export::run(common, &args),
        CardsCommand::Delete(args) => delete::run(common, &args),
        CardsCommand::Status(args) => status::run(common, &args),
        CardsCommand::Hold { id, reason } => hold::hold(common, &id, &reason),
        CardsCommand::Release { id } => hold::release(common, &id),
        CardsCommand::Erase { id, program } => hold::erase(common, &id, program.as_deref()),
    }
}
