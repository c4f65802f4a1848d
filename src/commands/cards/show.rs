//! `cards show`: one card, in words.

use serde_json::json;

use crate::api::views;
use crate::commands::Common;
use crate::commands::failure::Failure;
use crate::commands::outbox::last_words;
use crate::commands::tables::{plain, print_json, print_table};
use crate::domain::{
    Card, CardId, CardToken, CryptogramState, Reason, TokenStatus, Warning, may_charge,
    not_there_since, reasons, shown_fields, warnings,
};
use crate::store::{CardRow, JobView};
use crate::telemetry::{Clock, timestamp};

pub fn run(common: &Common, id: &str, as_json: bool) -> Result<(), Failure> {
    let id = CardId::parse(id).map_err(Failure::wrong)?;
    let store = common.open_to_read(&format!("cards/{id}"))?;
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
        let warnings = warnings(&row.card).into_iter().map(Warning::name);
        let more = [
            ("mayCharge", may_charge(&row.card, now).into()),
            ("reasons", json!(against)),
            ("warnings", warnings.collect()),
            ("cryptogram", cryptogram_word(&row).into()),
            ("jobs", jobs.iter().map(views::job).collect()),
        ];
        let card = views::with(views::card(&row), more);
        return Ok(print_json(&card)?);
    }
    Ok(print_table(&["", ""], lines(&row, &jobs, now))?)
}

fn lines(row: &CardRow, jobs: &[JobView], now: i64) -> Vec<Vec<String>> {
    let line = |name: &str, value: String| vec![name.to_owned(), value];
    let card = &row.card;
    let status = card.status_word().unwrap_or("unknown");
    let program = row.program.as_deref().unwrap_or("not known");
    let consumer = card.consumer_reference.clone().unwrap_or_default();
    let mut lines = vec![
        line("card", card.id.to_string()),
        line("status", status.to_owned()),
        line("program", program.to_owned()),
        line("consumer", consumer),
        line("may be charged", charge_sentence(row, now)),
    ];
    if card.tokens.is_empty() {
        lines.push(line("token", token_sentence(row)));
        lines.push(line("cryptogram", cryptogram_word(row).to_owned()));
    }
    let tokens = card.tokens.iter();
    lines.extend(tokens.map(|token| line("token", one_of_several(token))));
    lines.push(line("updated", timestamp(card.updated_at)));
    if let Some(code) = &card.contract_status {
        lines.push(line("contract status", code.clone()));
    }
    for warning in warnings(card) {
        lines.push(line("warning", warning_sentence(warning, card)));
    }
    for (name, value) in shown_fields(card) {
        lines.push(line(name, plain(value)));
    }
    lines.extend(jobs.iter().map(|job| line("call", job_sentence(job))));
    lines
}

/// A warning in words.
fn warning_sentence(warning: Warning, card: &Card) -> String {
    match warning {
        Warning::RefreshSuspected => {
            "a refresh seems to have been missed: what came later names another token".to_owned()
        }
        Warning::NotFoundThere => {
            let since = not_there_since(card).map(timestamp).unwrap_or_default();
            format!("the other side does not know it since {since}")
        }
    }
}

/// Whether the card may be charged, in words.
pub fn charge_sentence(row: &CardRow, now: i64) -> String {
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
pub fn token_sentence(row: &CardRow) -> String {
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

/// One of a card's tokens in words.
pub fn one_of_several(token: &CardToken) -> String {
    let status = token.status().map_or("status unknown", TokenStatus::word);
    let expiry = token.expiry.map(|expiry| format!(", expires {expiry}"));
    let relinking = token.relinking_since.map(timestamp);
    let relinking = relinking.map(|since| format!(", waits to be relinked since {since}"));
    let not_there = token.not_there_since.map(timestamp);
    let not_there = not_there.map(|since| format!(", not known there since {since}"));
    let more = [expiry, relinking, not_there].into_iter().flatten();
    format!("…{}, {status}{}", token.last_four, more.collect::<String>())
}

/// Where the cryptogram stands.
pub fn cryptogram_word(row: &CardRow) -> &'static str {
    match row.card.cryptogram {
        Some(CryptogramState::Stored) => "ready",
        _ if row.card.cryptogram_is_due() => "due",
        _ => "none",
    }
}

fn job_sentence(job: &JobView) -> String {
    let (kind, state) = (views::kind_words(job), &job.state);
    let created = timestamp(job.created_at);
    let attempts = match job.attempts {
        0 => String::new(),
        1 => ", 1 attempt".to_owned(),
        many => format!(", {many} attempts"),
    };
    let last = match last_words(job) {
        none if none.is_empty() => none,
        words => format!(": {words}"),
    };
    format!("{kind} {state}, queued at {created}{attempts}{last}")
}
