//! Deletion by the merchant: unusable at once here, then confirmed by Mastercard.

use super::Judgement;
use crate::domain::{
    Card, Decision, Delete, DeleteConfirmed, Job, JobKind, Policy, Rank, Rule, Terminal,
    TerminalState, Verdict,
};

/// The merchant wants the card deleted: number and cryptogram go at once, the call needs ids only.
pub(super) fn delete(card: Card, input: &Delete, policy: &Policy) -> Decision {
    let rank = Rank::timed(input.received_at);
    let mut judgement = Judgement::new(card, rank, input.received_at, policy);
    if judgement.card.terminal.is_some() {
        judgement.note("card", "has ended already".to_owned());
        return judgement.finish(Verdict::NoChange, Rule::TERMINAL, Vec::new());
    }
    judgement.card.inputs_decided += 1;
    judgement.end(TerminalState::DeletePending);
    judgement.further_jobs.push(Job {
        kind: JobKind::DeleteCard,
        not_before: input.received_at,
    });
    judgement.finish(Verdict::Applied, Rule::DELETE_ASKED, Vec::new())
}

/// Mastercard confirmed: the mark that stays says CANCELLED.
pub(super) fn confirm(card: Card, input: &DeleteConfirmed, policy: &Policy) -> Decision {
    let rank = Rank::timed(input.received_at);
    let mut judgement = Judgement::new(card, rank, input.received_at, policy);
    judgement.card.inputs_decided += 1;
    let verdict = match judgement.confirm_end() {
        true => Verdict::Applied,
        false => Verdict::NoChange,
    };
    judgement.finish(verdict, Rule::DELETE_CONFIRMED, Vec::new())
}

impl Judgement<'_> {
    /// Moves a card whose deletion is under way to CANCELLED; returns whether it was.
    pub(super) fn confirm_end(&mut self) -> bool {
        let Some(Terminal {
            state: TerminalState::DeletePending,
            ..
        }) = self.card.terminal
        else {
            return false;
        };
        let cancelled = TerminalState::Cancelled;
        self.card.terminal = Some(Terminal {
            state: cancelled,
            at: self.received_at,
        });
        self.note("status", "the deletion is confirmed".to_owned());
        let before = TerminalState::DeletePending.word();
        self.change("status", before, cancelled.word());
        true
    }
}
