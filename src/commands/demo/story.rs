//! What the demo prints: for each card what each notification changed, and why.

use std::io::{self, Write};

use crate::commands::cards::{charge_sentence, cryptogram_word, one_of_several, token_sentence};
use crate::commands::failure::Failure;
use crate::commands::tables::{plain, print_table};
use crate::domain::{CardId, CardToken, Change, TokenStatus, display};
use crate::store::{CardFilter, CardRow, NotificationFilter, NotificationView, Store};

/// Whether it could be told.
pub type Told = Result<(), Failure>;

/// Prints a line.
pub fn say(line: &str) -> Told {
    Ok(writeln!(io::stdout().lock(), "{line}")?)
}

/// The title of a step of a story.
pub fn step(what: &str) -> Told {
    say("")?;
    say(&format!("  * {what}"))
}

/// Where everything is.
pub fn begin(receiver: &str, api: &str, sandbox: &str) -> Told {
    say("A tokenkeep on this machine, with the repository's demonstration keys.")?;
    say(&format!("  Mastercard would post to  {receiver}"))?;
    say(&format!("  the merchant's API is at  {api}"))?;
    say(&format!(
        "  the other side is at      {sandbox} (a sandbox of Mastercard and of a bank)"
    ))?;
    say("")
}

/// What comes after the stories.
pub fn begin_fixtures(card: &str) -> Told {
    say("The fixtures, one by one. Their program has no credentials, so their calls only wait.")?;
    say(&format!(
        "  The merchant's app registers card {card} with its token"
    ))
}

/// A delivery that was sent.
pub fn delivery(number: usize, name: &str, status: u16) -> Told {
    say("")?;
    say(&format!("{number:>2}. {name}: answered {status}"))
}

/// The items of the latest delivery.
pub fn items(store: &Store, now: i64) -> Told {
    let latest = |limit| NotificationFilter {
        limit,
        ..NotificationFilter::default()
    };
    let rows = store.read(|tx| tx.list_notifications(&latest(100)))?;
    let delivery = rows
        .first()
        .map(|row| row.delivery_id.clone())
        .unwrap_or_default();
    let of_delivery = rows.iter().filter(|row| row.delivery_id == delivery);
    for row in Vec::from_iter(of_delivery).into_iter().rev() {
        item(store, row, now)?;
    }
    Ok(())
}

fn item(store: &Store, row: &NotificationView, now: i64) -> Told {
    let card = row.card_id.as_deref().unwrap_or("no card");
    say(&format!(
        "    {card}: {}, rule {}",
        row.verdict_words(),
        row.rule
    ))?;
    if !row.flags.is_empty() {
        let flags = plain(&serde_json::json!(row.flags));
        say(&format!("      flags: {flags}"))?;
    }
    let is_masked = |change: &&Change| change.field.starts_with("maskedCard.");
    for change in row.changes.iter().filter(|change| !is_masked(change)) {
        let (from, to) = (shown(change, &change.from), shown(change, &change.to));
        say(&format!("      {:<20} {from} -> {to}", change.field))?;
    }
    match row.changes.iter().filter(is_masked).count() {
        0 => {}
        1 => say("      and 1 masked field")?,
        count => say(&format!("      and {count} masked fields"))?,
    }
    for step in &row.trace {
        say(&format!("      why: {}: {}", step.register, step.step))?;
    }
    let id = row.card_id.as_deref().and_then(|id| CardId::parse(id).ok());
    let Some(id) = id else {
        return Ok(());
    };
    match store.read(|tx| tx.card(&id))? {
        Some(card) => say(&format!("      now: {}", sentence(&card, now))),
        None => Ok(()),
    }
}

/// How a card with tokens of its own stands.
pub fn tokens(row: &CardRow) -> Told {
    let status = row.card.status_word().unwrap_or("status unknown");
    let none = if row.card.tokens.is_empty() {
        "; no token"
    } else {
        ""
    };
    say(&format!("      {}: {status}{none}", row.card.id))?;
    let mut tokens = row.card.tokens.iter().map(one_of_several);
    tokens.try_for_each(|token| say(&format!("        {token}")))
}

fn shown(change: &Change, value: &serde_json::Value) -> String {
    match change.field.as_str() {
        "token.number" if value.is_string() => format!("…{}", plain(value)),
        _ => plain(value),
    }
}

fn sentence(row: &CardRow, now: i64) -> String {
    format!(
        "{}; may be charged: {}; cryptogram: {}",
        row.card.status_word().unwrap_or("status unknown"),
        charge_sentence(row, now),
        cryptogram_word(row)
    )
}

/// Every card at the end.
pub fn end(store: &Store, now: i64) -> Told {
    let all = CardFilter {
        with_ended: true,
        limit: 1000,
        ..CardFilter::default()
    };
    let rows = store.read(|tx| tx.list_cards(&all))?;
    say("\nThe cards in the end")?;
    let cells = |row: &CardRow| {
        let display = display(&row.card);
        let seen = match (display.visible, display.greyed, &display.pan_last_four) {
            (false, ..) => "nothing".to_owned(),
            (_, true, _) => "greyed, no digits".to_owned(),
            (_, _, Some(digits)) => format!("card …{digits}"),
            (_, _, None) => "card".to_owned(),
        };
        vec![
            row.card.id.to_string(),
            row.card.status_word().unwrap_or("unknown").to_owned(),
            seen,
            charge_sentence(row, now),
            tokens_in_short(row),
            cryptogram_word(row).to_owned(),
        ]
    };
    let head = [
        "CARD",
        "STATUS",
        "CONSUMER SEES",
        "MAY BE CHARGED",
        "TOKEN",
        "CRYPTOGRAM",
    ];
    Ok(print_table(&head, rows.iter().map(cells))?)
}

/// The one token of a card, or all it has of its own.
fn tokens_in_short(row: &CardRow) -> String {
    if row.card.tokens.is_empty() {
        return token_sentence(row);
    }
    let in_short = |token: &CardToken| {
        let status = token.status().map_or("status unknown", TokenStatus::word);
        format!("…{}, {status}", token.last_four)
    };
    Vec::from_iter(row.card.tokens.iter().map(in_short)).join("; ")
}

/// How to look further.
pub fn invite(api: &str, key: &str) -> Told {
    say("\nThe service stays open; look further in the console")?;
    say(&format!("  {api}/console"))?;
    say(&format!("  sign in with the API key {key}"))?;
    say("or with")?;
    say(&format!(
        "  curl -H 'Authorization: Bearer {key}' {api}/v1/notifications"
    ))?;
    say("Ctrl-C ends it and removes its database.")
}
