//! Registers a card: the same decision and the same transaction as for a notification.

use serde_json::json;

use crate::domain::{Input, Policy, Registration, Rule, decide};
use crate::jose::json::canonical;
use crate::notification::payment_json;
use crate::store::{RegistrationRow, Store, StoreError, Tx};

/// What became of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// The card was not known here.
    Created,
    Updated,
    /// The card has ended; nothing was written.
    Ended,
}

/// Registers a card, and lets notifications that waited for it be decided.
pub fn register(
    store: &Store,
    policy: &Policy,
    registration: Registration,
) -> Result<Registered, StoreError> {
    store.write(|tx| register_in(tx, policy, registration))
}

fn register_in(
    tx: &mut Tx<'_>,
    policy: &Policy,
    registration: Registration,
) -> Result<Registered, StoreError> {
    let id = registration.card_id.clone();
    let now = registration.received_at;
    tx.lock_cards(&[id.clone()].into())?;
    let card = tx.card(&id)?.map(|row| row.card);
    let outcome = if card.is_some() {
        Registered::Updated
    } else {
        Registered::Created
    };
    let mut row = RegistrationRow {
        card_id: id.as_str().to_owned(),
        card_order: 0,
        received_at: now,
        program: registration.program.clone(),
        consumer_reference: registration.consumer_reference.clone(),
        content: canonical(&json!(registration.masked)),
        payment: registration.token.as_ref().map(payment_json),
        changes: Vec::new(),
    };
    let decision = decide(card, Input::Registration(registration), policy);
    if decision.rule == Rule::TERMINAL {
        return Ok(Registered::Ended);
    }
    tx.write_decision(&id, &decision, policy, None, now)?;
    row.card_order = decision.card.map_or(0, |card| card.inputs_decided);
    row.changes = decision.changes;
    tx.record_registration(&row)?;
    // Notifications that came before the registration wait in their deliveries.
    tx.wake_deliveries_parked_for(&id)?;
    Ok(outcome)
}
