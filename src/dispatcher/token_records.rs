//! What token commands and reads of tokens leave behind: decisions and their records.

use serde_json::json;

use crate::domain::{
    Card, CardId, CardToken, CommandState, Input, OpenCommand, Policy, Registration, TokenCommand,
    TokenCommandDone, decide,
};
use crate::jose::json::canonical;
use crate::store::{AnswerKind, JobState, NewAnswer, RegistrationRow, StoreError, Tx};

/// Registers what a command or a read tells of a card, as the merchant's app would: it ranks below all
/// else. The card's lock is held.
pub(super) fn register(
    tx: &mut Tx<'_>,
    policy: &Policy,
    card: Option<Card>,
    registration: Registration,
) -> Result<Card, StoreError> {
    let id = registration.card_id.clone();
    let now = registration.received_at;
    let mut row = RegistrationRow::of(&registration, None);
    let decision = decide(card, Input::Registration(registration), policy);
    tx.write_decision(&id, &decision, policy, None, now)?;
    let card = decision
        .card
        .ok_or(StoreError::Damaged("a card was lost"))?;
    row.card_order = card.inputs_decided;
    row.changes = decision.changes;
    tx.record_registration(&row)?;
    Ok(card)
}

/// Decides that a command was carried out, and records it.
pub(super) fn record_done(
    tx: &mut Tx<'_>,
    policy: &Policy,
    (card_id, job): (&CardId, &str),
    (token, command): (Option<&str>, TokenCommand),
    now: i64,
) -> Result<(), StoreError> {
    let card = tx.card(card_id)?.map(|row| row.card);
    let input = Input::TokenCommandDone(TokenCommandDone {
        card_id: card_id.clone(),
        token: token.map(str::to_owned),
        command,
        received_at: now,
    });
    let decision = decide(card, input, policy);
    tx.write_decision(card_id, &decision, policy, Some(job), now)?;
    let answer = NewAnswer {
        kind: AnswerKind::TokenStatusSet,
        job_id: Some(job),
        as_of: now,
        received_at: now,
        content: Some(canonical(
            &json!({ "tokenId": token, "command": command.word() }),
        )),
        payment: None,
    };
    tx.record_answer(card_id, answer, &decision)
}

/// Ends parked commands of a card whose tokens have come to the wanted status by other means.
pub(super) fn settle_parked(
    tx: &mut Tx<'_>,
    policy: &Policy,
    card_id: &CardId,
    now: i64,
) -> Result<(), StoreError> {
    for open in tx.open_commands(card_id)? {
        let Some(row) = tx.card(card_id)? else {
            return Ok(());
        };
        if open.state != CommandState::Parked || !is_fulfilled(&row.card, &open) {
            continue;
        }
        tx.end_commands(
            std::slice::from_ref(&open.job),
            JobState::Done,
            "found done there",
            now,
        )?;
        let wanted = (open.token.as_deref(), open.command);
        record_done(tx, policy, (card_id, &open.job), wanted, now)?;
    }
    Ok(())
}

fn is_fulfilled(card: &Card, open: &OpenCommand) -> bool {
    let is_meant = |token: &&CardToken| open.token.as_ref().is_none_or(|id| *id == token.id);
    let target = open.command.target();
    let mut meant = card.tokens.iter().filter(is_meant).peekable();
    meant.peek().is_some() && meant.all(|token| token.status() == Some(&target))
}
