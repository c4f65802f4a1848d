//! `cards list`: all cards, or those that somebody should look at.

use clap::Args;
use serde_json::{Value, json};

use super::pages::Pages;
use crate::api::views;
use crate::commands::Common;
use crate::commands::failure::Failure;
use crate::commands::outbox::last_words;
use crate::commands::tables::{PageArgs, print_json, print_table};
use crate::domain::{Card, JobKind, not_there_since};
use crate::store::{CardFilter, CardRow, JobView, Store, StoreError};
use crate::telemetry::timestamp;

#[derive(Args)]
pub struct ListArgs {
    /// Only the cards of this consumer
    #[arg(long, value_name = "REFERENCE", allow_hyphen_values = true)]
    consumer: Option<String>,
    /// Only the cards of this program
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    program: Option<String>,
    /// Only cards that were deleted here and whose deletion Mastercard has not confirmed, with the
    /// call that is to delete them
    #[arg(long)]
    not_confirmed: bool,
    /// Only living cards that their program says it does not know
    #[arg(long, conflicts_with = "not_confirmed")]
    not_there: bool,
    #[command(flatten)]
    page: PageArgs,
}

pub fn run(common: &Common, args: ListArgs) -> Result<(), Failure> {
    let store = common.open_to_read("cards")?;
    let filter = CardFilter {
        status: None,
        consumer_reference: args.consumer,
        program: args.program,
        not_confirmed: args.not_confirmed,
        // What has ended need not be known there.
        with_ended: !args.not_there,
        after: args.page.after,
        limit: args.page.limit,
    };
    let as_json = args.page.json;
    match (args.not_confirmed, args.not_there) {
        (true, _) => not_confirmed(&store, &filter, as_json),
        (_, true) => not_there(&store, filter, as_json),
        _ => all(&store, &filter, as_json),
    }
}

fn all(store: &Store, filter: &CardFilter, as_json: bool) -> Result<(), Failure> {
    let rows = store.read(|tx| tx.list_cards(filter))?;
    if as_json {
        let page = views::CardPage::new(&rows, filter.limit);
        return Ok(print_json(&json!(page))?);
    }
    let cells = |row: &CardRow| {
        let card = &row.card;
        let token = card.token.as_ref();
        vec![
            card.id.to_string(),
            status(row),
            row.program.clone().unwrap_or_default(),
            card.consumer_reference.clone().unwrap_or_default(),
            token_cell(card),
            token
                .and_then(|t| t.expiry)
                .map(|e| e.to_string())
                .unwrap_or_default(),
            timestamp(row.card.updated_at),
        ]
    };
    let head = [
        "CARD", "STATUS", "PROGRAM", "CONSUMER", "TOKEN", "EXPIRY", "UPDATED",
    ];
    Ok(print_table(&head, rows.iter().map(cells))?)
}

/// The last four digits of a card's token; of several tokens how many there are.
fn token_cell(card: &Card) -> String {
    match (&card.token, card.tokens.as_slice()) {
        (Some(token), _) => token.number.last_four(),
        (None, []) => String::new(),
        (None, [one]) => one.last_four.clone(),
        (None, several) => format!("{} tokens", several.len()),
    }
}

/// A card whose deletion is not confirmed, with the call that is to delete it, if there is one.
struct NotConfirmed {
    row: CardRow,
    deletion: Option<JobView>,
}

fn not_confirmed(store: &Store, filter: &CardFilter, as_json: bool) -> Result<(), Failure> {
    let delete = JobKind::DeleteCard.name();
    let found = store.read(|tx| {
        let rows = tx.list_cards(filter)?.into_iter();
        let with_deletion = rows.map(|row| {
            let jobs = tx.jobs_of_card(&row.card.id)?;
            let deletion = jobs.into_iter().rfind(|job| job.kind == delete);
            Ok(NotConfirmed { row, deletion })
        });
        with_deletion.collect::<Result<Vec<_>, StoreError>>()
    })?;
    if as_json {
        let card = |found: &NotConfirmed| {
            let deletion = found.deletion.as_ref().map(views::job);
            views::with(views::card(&found.row), [("deletion", json!(deletion))])
        };
        return print_page(&Vec::from_iter(found.iter().map(card)), filter.limit);
    }
    let cells = |found: &NotConfirmed| {
        let card = &found.row.card;
        let call = found.deletion.as_ref();
        vec![
            card.id.to_string(),
            found.row.program.clone().unwrap_or_default(),
            card.terminal
                .map(|terminal| timestamp(terminal.at))
                .unwrap_or_default(),
            call.map_or_else(|| "none".to_owned(), |job| job.state.clone()),
            call.map(|job| job.attempts.to_string()).unwrap_or_default(),
            call.map(last_words).unwrap_or_default(),
        ]
    };
    let head = [
        "CARD",
        "PROGRAM",
        "DELETED",
        "CALL",
        "ATTEMPTS",
        "LAST RESULT",
    ];
    Ok(print_table(&head, found.iter().map(cells))?)
}

fn not_there(store: &Store, filter: CardFilter, as_json: bool) -> Result<(), Failure> {
    let wanted = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    let limit = filter.limit;
    let mut rows = Vec::new();
    // What a card's registers say is not for the database to search: page by page, until enough are found.
    for page in Pages::new(store, filter) {
        let missing = |row: &CardRow| not_there_since(&row.card).is_some();
        rows.extend(page?.into_iter().filter(missing));
        if rows.len() >= wanted {
            rows.truncate(wanted);
            break;
        }
    }
    let since = |row: &CardRow| not_there_since(&row.card).map(timestamp);
    if as_json {
        let card =
            |row: &CardRow| views::with(views::card(row), [("notThereSince", json!(since(row)))]);
        return print_page(&Vec::from_iter(rows.iter().map(card)), limit);
    }
    let cells = |row: &CardRow| {
        vec![
            row.card.id.to_string(),
            status(row),
            row.program.clone().unwrap_or_default(),
            row.card.consumer_reference.clone().unwrap_or_default(),
            since(row).unwrap_or_default(),
        ]
    };
    let head = ["CARD", "STATUS", "PROGRAM", "CONSUMER", "NOT THERE SINCE"];
    Ok(print_table(&head, rows.iter().map(cells))?)
}

fn print_page(cards: &[Value], limit: i64) -> Result<(), Failure> {
    let id = |card: &Value| {
        card.get("cardId")
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let next = views::next(cards, limit, |card| id(card).unwrap_or_default());
    Ok(print_json(&json!({ "cards": cards, "next": next }))?)
}

fn status(row: &CardRow) -> String {
    row.card.status_word().unwrap_or("unknown").to_owned()
}
