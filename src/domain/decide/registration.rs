//! Registration: what the merchant's app says ranks below every notification.

use serde_json::Value;

use super::Judgement;
use crate::domain::{Card, Decision, Policy, Rank, Registration, Rule, Verdict};

/// Fills empty registers, never overwrites set ones, always sets program and consumer reference.
/// A card that has ended stays ended: verdict `stale`, rule `terminal`.
pub(super) fn register(card: Option<Card>, input: Registration, policy: &Policy) -> Decision {
    let card = card.unwrap_or_else(|| Card::new(input.card_id.clone()));
    let mut judgement = Judgement::new(card, Rank::LOWEST, input.received_at, policy);
    if judgement.card.terminal.is_some() {
        judgement.note(
            "card",
            "has ended: it cannot be registered again".to_owned(),
        );
        return judgement.finish(Verdict::Stale, Rule::TERMINAL, Vec::new());
    }
    judgement.card.inputs_decided += 1;
    if let Some(program) = input.program {
        judgement.set_program(program);
    }
    if let Some(reference) = input.consumer_reference {
        judgement.set_consumer_reference(reference);
    }
    for (name, value) in &input.masked {
        judgement.fill_field(name, value);
    }
    let was_suspected = judgement.card.refresh_is_suspected();
    if let Some(token) = input.token {
        judgement.register_token(token);
    }
    judgement.look_for_missed_refresh(was_suspected);
    let shown_before = judgement.card.status_word();
    judgement.register_tokens(input.tokens);
    judgement.status_of_tokens_changed(shown_before);
    let has_status = judgement.card.status.is_some() || !judgement.card.tokens.is_empty();
    if !has_status && judgement.card.status_held.is_none() {
        // Nothing has said yet that the card may be used: Mastercard is asked.
        judgement.asks_get_card = true;
        judgement.note("status", "none known yet".to_owned());
    }
    let verdict = match judgement.changes.is_empty() {
        true => Verdict::NoChange,
        false => Verdict::Applied,
    };
    judgement.finish(verdict, Rule::REGISTERED, Vec::new())
}

impl Judgement<'_> {
    fn set_program(&mut self, program: String) {
        let before = self.card.registered_program.replace(program.clone());
        if before.as_ref() != Some(&program) {
            self.change("program", before.map_or(Value::Null, Value::from), program);
        }
    }

    fn set_consumer_reference(&mut self, reference: String) {
        let before = self.card.consumer_reference.replace(reference.clone());
        if before.as_ref() != Some(&reference) {
            self.change(
                "consumerReference",
                before.map_or(Value::Null, Value::from),
                reference,
            );
        }
    }
}
