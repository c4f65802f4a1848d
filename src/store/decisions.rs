//! Writes what a decision on one card says: the card, its events, the calls that follow.

use super::{DueCall, StoreError, Tx};
use crate::domain::{CardId, Decision, Event, Policy};

impl Tx<'_> {
    /// Writes a decision on a card whose lock is held. `source` is the notification or the call behind
    /// it, if there is one.
    pub fn write_decision(
        &mut self,
        card_id: &CardId,
        decision: &Decision,
        policy: &Policy,
        source: Option<&str>,
        now: i64,
    ) -> Result<(), StoreError> {
        let Some(card) = &decision.card else {
            return Ok(());
        };
        self.save_card(card, policy.program_of(card), now)?;
        if decision.no_longer_due {
            self.withdraw_cryptogram_calls(&[card_id.as_str()], now)?;
        }
        if card.terminal.is_some() {
            self.wipe_numbers(card_id)?;
            self.settle_jobs_of_ended(card, now)?;
        }
        let due = decision.jobs.iter().map(|job| DueCall {
            card_id,
            job,
            source,
        });
        self.queue_jobs(&due.collect::<Vec<_>>(), now)?;
        let told: Vec<(&CardId, &Event)> = decision
            .events
            .iter()
            .map(|event| (card_id, event))
            .collect();
        self.tell(&told, now)
    }
}
