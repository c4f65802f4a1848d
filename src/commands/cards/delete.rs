//! `cards delete`: one card, many, all of a consumer, all of a program.

use std::io::{self, IsTerminal};

use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;

use super::pages::Pages;
use crate::commands::Common;
use crate::commands::failure::Failure;
use crate::commands::refusals::Refusals;
use crate::commands::tables::{print_json, progress_style};
use crate::dispatcher::{Deletion, DeletionRequest, request_deletion};
use crate::domain::{CardId, Policy, TerminalState};
use crate::mastercard::{DeleteReason, Requestor};
use crate::store::{CardFilter, Store, StoreError};
use crate::telemetry::Clock;

/// What is deleted: by id, or all of a consumer or a program.
pub const USAGE: &str = "tokenkeep cards delete [OPTIONS] <ID>...
       tokenkeep cards delete [OPTIONS] --consumer <REFERENCE>
       tokenkeep cards delete [OPTIONS] --program <NAME>";

#[derive(Args)]
pub struct DeleteArgs {
    /// The cards; behind the first one, those that begin with - stand after --
    #[arg(allow_hyphen_values = true, required_unless_present_any = ["consumer", "program"])]
    id: Option<String>,
    // Apart from the first one: an option behind a list that takes hyphens would be one of its ids.
    #[arg(hide = true)]
    more: Vec<String>,
    /// All cards of this consumer
    #[arg(
        long,
        value_name = "REFERENCE",
        allow_hyphen_values = true,
        conflicts_with = "id"
    )]
    consumer: Option<String>,
    /// All cards of this program; with ids, where to delete those whose program is not known
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    program: Option<String>,
    /// Why, for Mastercard: SUSPECTED_FRAUD, ACCOUNT_CLOSED, OTHER or DEFAULT
    #[arg(long, value_name = "WORD", value_parser = reason)]
    reason: Option<DeleteReason>,
    /// Who wants it, for Mastercard: CARDHOLDER, MERCHANT, ISSUER or WALLET
    #[arg(long, value_name = "WORD", value_parser = requestor)]
    requestor: Option<Requestor>,
    /// Do not ask before more than one card is deleted
    #[arg(long)]
    yes: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn reason(word: &str) -> Result<DeleteReason, &'static str> {
    let words = "none of SUSPECTED_FRAUD, ACCOUNT_CLOSED, OTHER, DEFAULT";
    DeleteReason::from_word(word).ok_or(words)
}

fn requestor(word: &str) -> Result<Requestor, &'static str> {
    Requestor::from_word(word).ok_or("none of CARDHOLDER, MERCHANT, ISSUER, WALLET")
}

pub fn run(common: &Common, args: &DeleteArgs) -> Result<(), Failure> {
    let (settings, store) = common.open()?;
    // Where none is in the settings, any name may be used, as in a registration.
    let names_none = |program: &String| {
        !settings.programs.is_empty() && !settings.programs.contains_key(program)
    };
    if args.program.as_ref().is_some_and(names_none) {
        return Err(Failure::wrong(
            "--program names none of the configured programs",
        ));
    }
    let ids = chosen(&store, args)?;
    confirm(ids.len(), args.yes)?;
    let mut summary = Summary::default();
    let stopped = delete(&store, &settings.policy(), args, ids, &mut summary);
    summary.print(args.json)?;
    if let Err(error) = stopped {
        let message = format!("{error}; the rest is not deleted: run this again to go on");
        return Err(Failure::unwell(message));
    }
    summary.refused.verdict("some cards are not deleted")
}

/// The cards to delete, before the first one is: what is confirmed is what is deleted.
fn chosen(store: &Store, args: &DeleteArgs) -> Result<Vec<CardId>, Failure> {
    if args.id.is_some() {
        let ids = args.id.iter().chain(&args.more);
        let ids = ids.map(|id| CardId::parse(id).map_err(Failure::wrong));
        return ids.collect();
    }
    let filter = CardFilter {
        consumer_reference: args.consumer.clone(),
        program: args.program.clone(),
        ..CardFilter::default()
    };
    let mut ids = Vec::new();
    for page in Pages::new(store, filter) {
        ids.extend(page?.into_iter().map(|row| row.card.id));
    }
    Ok(ids)
}

/// Asks before more than one card is deleted.
fn confirm(count: usize, is_confirmed: bool) -> Result<(), Failure> {
    if count <= 1 || is_confirmed {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        let message = format!("{count} cards would be deleted; --yes confirms it");
        return Err(Failure::wrong(message));
    }
    eprint!("Delete {count} cards? They can never be used again. Type yes to go on: ");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    match answer.trim() == "yes" {
        true => Ok(()),
        false => Err(Failure::unwell("nothing is deleted")),
    }
}

/// Deletes the cards one by one. Ends early where the database cannot go on.
fn delete(
    store: &Store,
    policy: &Policy,
    args: &DeleteArgs,
    ids: Vec<CardId>,
    summary: &mut Summary,
) -> Result<(), StoreError> {
    let bar = ProgressBar::new(ids.len() as u64).with_style(progress_style("cards"));
    for card_id in ids {
        let request = DeletionRequest {
            card_id,
            program: args.program.clone(),
            reason: args.reason,
            requestor: args.requestor,
        };
        match request_deletion(store, policy, &request, Clock::system().now()) {
            Err(error) if error.is_passing() => {
                bar.finish_and_clear();
                return Err(error);
            }
            // One card that cannot be read does not keep the others.
            Err(error) => summary.refused.add(request.card_id, error),
            Ok(deletion) => summary.count(request.card_id, deletion),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

/// What became of the cards.
#[derive(Default)]
struct Summary {
    deleted: u64,
    deleted_before: u64,
    cancelled_before: u64,
    refused: Refusals,
}

impl Summary {
    fn count(&mut self, card_id: CardId, deletion: Deletion) {
        match deletion {
            Deletion::Asked(_) => self.deleted += 1,
            Deletion::Repeated { status, .. } if status == TerminalState::DeletePending.word() => {
                self.deleted_before += 1;
            }
            Deletion::Repeated { .. } => self.cancelled_before += 1,
            Deletion::UnknownCard => self.refused.add(card_id, "no card of this id is known"),
            Deletion::ProgramUnknown => {
                let why = "its program is not known: name one with --program";
                self.refused.add(card_id, why);
            }
            Deletion::NotOffered => {
                let why = "its program deletes no cards: cards status ID deactivate";
                self.refused.add(card_id, why);
            }
        }
    }

    fn print(&self, as_json: bool) -> io::Result<()> {
        if as_json {
            return print_json(&json!({
                "deleted": self.deleted,
                "deletedBefore": self.deleted_before,
                "cancelledBefore": self.cancelled_before,
                "refused": self.refused.view("cardId"),
            }));
        }
        println!(
            "{} deleted here, {} deleted before, {} cancelled before, {} refused",
            self.deleted,
            self.deleted_before,
            self.cancelled_before,
            self.refused.count()
        );
        if self.deleted + self.deleted_before > 0 {
            println!(
                "A running serve deletes them at Mastercard; cards list --not-confirmed shows which \
                 are not confirmed."
            );
        }
        self.refused.print("CARD")
    }
}
