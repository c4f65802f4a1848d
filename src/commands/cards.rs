//! `cards`: list, show, import.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use clap::Subcommand;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::failure::Failure;
use super::tables::{PageArgs, plain, print_json, print_table, progress_style};
use super::{Common, tables};
use crate::api::{body, views};
use crate::domain::{CardId, Reason, may_charge, reasons};
use crate::processor::{self, Registered};
use crate::store::{CardFilter, CardRow, JobView};
use crate::telemetry::{Clock, timestamp};

#[derive(Subcommand)]
pub enum CardsCommand {
    /// Lists cards by ascending id
    List {
        /// Only the cards of this consumer
        #[arg(long, value_name = "REFERENCE", allow_hyphen_values = true)]
        consumer: Option<String>,
        #[command(flatten)]
        page: PageArgs,
    },
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
}

pub fn run(common: &Common, command: CardsCommand) -> Result<(), Failure> {
    match command {
        CardsCommand::List { consumer, page } => {
            let filter = CardFilter {
                consumer_reference: consumer,
                with_ended: true,
                after: page.after,
                limit: page.limit,
            };
            list(common, &filter, page.json)
        }
        CardsCommand::Show { id, json } => show(common, &id, json),
        CardsCommand::Import { file } => import(common, &file),
    }
}

fn list(common: &Common, filter: &CardFilter, as_json: bool) -> Result<(), Failure> {
    let (_, store) = common.open()?;
    let rows = store.read(|tx| tx.list_cards(filter))?;
    if as_json {
        let cards: Vec<Value> = rows.iter().map(views::card).collect();
        let next = views::next(&rows, filter.limit, |row| row.card.id.to_string());
        return Ok(print_json(&json!({ "cards": cards, "next": next }))?);
    }
    let cells = |row: &CardRow| {
        let card = &row.card;
        let token = card.token.as_ref();
        vec![
            card.id.to_string(),
            card.status_word().unwrap_or("unknown").to_owned(),
            row.program.clone().unwrap_or_default(),
            card.consumer_reference.clone().unwrap_or_default(),
            token
                .map(|token| token.number.last_four())
                .unwrap_or_default(),
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

fn show(common: &Common, id: &str, as_json: bool) -> Result<(), Failure> {
    let (_, store) = common.open()?;
    let id = CardId::parse(id).map_err(Failure::wrong)?;
    let found = store.read(|tx| Ok((tx.card(&id)?, tx.jobs_of_card(&id)?)))?;
    let (Some(row), jobs) = found else {
        return Err(Failure::unwell("no card of this id is known"));
    };
    let now = Clock::system().now();
    if as_json {
        let against: Vec<&str> = reasons(&row.card, now)
            .into_iter()
            .map(Reason::name)
            .collect();
        let more = [
            ("mayCharge", may_charge(&row.card, now).into()),
            ("reasons", json!(against)),
            ("cryptogram", cryptogram_word(&row).into()),
            ("jobs", jobs.iter().map(views::job).collect()),
        ];
        let card = views::with(views::card(&row), more);
        return Ok(print_json(&card)?);
    }
    let line = |name: &str, value: String| vec![name.to_owned(), value];
    let mut lines = vec![
        line("card", row.card.id.to_string()),
        line(
            "status",
            row.card.status_word().unwrap_or("unknown").to_owned(),
        ),
        line(
            "program",
            row.program
                .clone()
                .unwrap_or_else(|| "not known".to_owned()),
        ),
        line(
            "consumer",
            row.card.consumer_reference.clone().unwrap_or_default(),
        ),
        line("may be charged", charge_sentence(&row, now)),
        line("token", token_sentence(&row)),
        line("cryptogram", cryptogram_word(&row).to_owned()),
        line("updated", timestamp(row.card.updated_at)),
    ];
    for (name, register) in &row.card.masked {
        lines.push(line(name, plain(&register.value)));
    }
    lines.extend(jobs.iter().map(|job| line("call", job_sentence(job))));
    Ok(print_table(&["", ""], lines)?)
}

/// Whether the card may be charged, in words.
pub(super) fn charge_sentence(row: &CardRow, now: i64) -> String {
    if row.card.terminal.is_some() {
        return "no, it has ended".to_owned();
    }
    let against: Vec<&str> = reasons(&row.card, now)
        .into_iter()
        .map(Reason::name)
        .collect();
    match against.is_empty() {
        true => "yes".to_owned(),
        false => format!("no: {}", against.join(", ")),
    }
}

/// The token in words: never more than its last four digits.
pub(super) fn token_sentence(row: &CardRow) -> String {
    let Some(token) = &row.card.token else {
        return "none".to_owned();
    };
    let expiry = token
        .expiry
        .map_or_else(|| "unknown".to_owned(), |expiry| expiry.to_string());
    format!(
        "…{}, expires {expiry}, version {}, number version {}",
        token.number.last_four(),
        row.card.version,
        row.card.number_version
    )
}

/// Where the cryptogram stands.
pub(super) fn cryptogram_word(row: &CardRow) -> &'static str {
    match row.card.cryptogram {
        Some(crate::domain::CryptogramState::Stored) => "ready",
        _ if row.card.cryptogram_is_due() => "due",
        _ => "none",
    }
}

fn job_sentence(job: &JobView) -> String {
    format!(
        "{} {} since {}",
        job.kind,
        job.state,
        timestamp(job.created_at)
    )
}

fn import(common: &Common, file: &PathBuf) -> Result<(), Failure> {
    let (settings, store) = common.open()?;
    let unreadable = |error: std::io::Error| {
        Failure::wrong(format!(
            "{}: cannot be read: {}",
            file.display(),
            error.kind()
        ))
    };
    let text = match file.as_os_str() == "-" {
        true => std::io::read_to_string(std::io::stdin()),
        false => fs::read_to_string(file),
    };
    let text = text.map_err(unreadable)?;
    let programs: BTreeSet<String> = settings.programs.keys().cloned().collect();
    let policy = settings.policy();
    let lines: Vec<(usize, &str)> = (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty())
        .collect();
    let bar = ProgressBar::new(lines.len() as u64).with_style(progress_style("cards"));
    let (mut created, mut updated, mut refused) = (0_u64, 0_u64, Vec::new());
    for (number, line) in lines {
        let now = Clock::system().now();
        let outcome = match body::import_line(line.as_bytes(), &programs, now) {
            Ok(registration) => processor::register(&store, &policy, registration)?,
            Err(fault) => {
                refused.push(vec![number.to_string(), fault.to_string()]);
                bar.inc(1);
                continue;
            }
        };
        match outcome {
            Registered::Created => created += 1,
            Registered::Updated => updated += 1,
            Registered::Ended => {
                refused.push(vec![number.to_string(), "the card has ended".to_owned()]);
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    println!(
        "{created} new, {updated} known before, {} refused",
        refused.len()
    );
    if refused.is_empty() {
        return Ok(());
    }
    tables::print_table(&["LINE", "REFUSED BECAUSE"], refused)?;
    Err(Failure::unwell(
        "some lines were refused; the others are registered",
    ))
}
