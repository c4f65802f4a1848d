//! What Mastercard answered: Get Card through the same registers as a notification, Checkout against
//! the token we hold.

use super::{Judgement, SETTLE_AFTER_MS, verdict_of};
use crate::domain::{
    Card, CardAnswer, CheckoutAnswer, CryptogramSpent, CryptogramState, Decision, Flag,
    FreshCryptogram, Job, JobKind, NotThere, PaymentData, Policy, Precedence, Rule, Status, Token,
    Verdict,
};

/// Get Card: status, masked data and, if it came, the token. It settles doubts and raises no
/// further call.
pub(super) fn card_answer(card: Card, answer: CardAnswer, policy: &Policy) -> Decision {
    let mut judgement = Judgement::new(card, answer.rank, answer.received_at, policy);
    judgement.card.inputs_decided += 1;
    judgement.card.not_there_since = None;
    let was_terminal = judgement.card.terminal.is_some();
    let was_suspected = judgement.card.refresh_is_suspected();
    let outcomes = [
        judgement.status(&answer.status),
        judgement.payment(&answer.payment, &answer.masked),
        judgement.masked(&answer.masked),
    ];
    judgement.look_for_missed_refresh(was_suspected);
    judgement.asks_get_card = false;
    let (verdict, rule) = match judgement.terminal_verdict(was_terminal, &outcomes[0]) {
        Some(terminal) => terminal,
        None => verdict_of(&outcomes, &[]),
    };
    judgement.finish(verdict, rule, Vec::new())
}

/// Get Card found nothing: changes nothing, but the card is listed.
pub(super) fn not_there(card: Card, answer: &NotThere, policy: &Policy) -> Decision {
    let rank = crate::domain::Rank::timed(answer.received_at);
    let mut judgement = Judgement::new(card, rank, answer.received_at, policy);
    judgement.card.inputs_decided += 1;
    judgement.not_there();
    judgement.finish(Verdict::NoChange, Rule::NOT_THERE, Vec::new())
}

/// Checkout: its cryptogram is usable if it belongs to the number we hold, or to one that we may
/// take from the answer itself.
pub(super) fn checkout_answer(card: Card, answer: CheckoutAnswer, policy: &Policy) -> Decision {
    let mut judgement = Judgement::new(card, answer.rank, answer.received_at, policy);
    judgement.card.inputs_decided += 1;
    let (verdict, rule) = judgement.checkout(answer);
    judgement.finish(verdict, rule, Vec::new())
}

/// The stored cryptogram was handed out or ran out: it is not asked for again unasked.
pub(super) fn cryptogram_spent(card: Card, input: &CryptogramSpent, policy: &Policy) -> Decision {
    let rank = crate::domain::Rank::timed(input.received_at);
    let mut judgement = Judgement::new(card, rank, input.received_at, policy);
    judgement.card.inputs_decided += 1;
    judgement.card.cryptogram = Some(input.state);
    let stored = CryptogramState::Stored.word();
    judgement.change("cryptogram", stored, input.state.word());
    judgement.finish(Verdict::Applied, Rule::CRYPTOGRAM_SPENT, Vec::new())
}

impl Judgement<'_> {
    /// The other side does not know the card.
    pub(super) fn not_there(&mut self) {
        self.flag(Flag::NotFoundThere);
        self.card.not_there_since.get_or_insert(self.received_at);
        self.note("card", "the other side does not know it".to_owned());
    }

    fn checkout(&mut self, answer: CheckoutAnswer) -> (Verdict, Rule) {
        let may_be_charged =
            self.card.terminal.is_none() && self.card.known_status() == Some(Status::Active);
        if !may_be_charged || answer.asked_for != self.card.number_version {
            self.fresh_cryptogram = FreshCryptogram::Destroyed;
            self.note(
                "cryptogram",
                "the answer came too late: destroyed".to_owned(),
            );
            return (Verdict::Stale, Rule::CHECKOUT_LATE);
        }
        let Some(held) = self.card.token.clone() else {
            self.replace(None, answer.data);
            self.take_fresh_cryptogram();
            return (Verdict::Applied, Rule::FIRST_TOKEN);
        };
        let data = PaymentData {
            expiry: answer.data.expiry.or(held.expiry),
            number: answer.data.number,
        };
        if data.number == held.number && data.expiry == held.expiry {
            self.take_fresh_cryptogram();
            return (Verdict::Applied, Rule::CHECKOUT_CONFIRMS);
        }
        let is_older = self.rank.against(held.rank) == Precedence::Older;
        if answer.is_consistent && !is_older {
            self.flag(Flag::RefreshMissed);
            return self.take_missed_refresh(held, data);
        }
        self.disagree(answer.is_repeated);
        (Verdict::Stale, Rule::CHECKOUT_DISAGREES)
    }

    /// The token that the answer brought is newer than ours: a refresh passed us by.
    fn take_missed_refresh(&mut self, held: Token, data: PaymentData) -> (Verdict, Rule) {
        let outcome = self.replace(Some(held), data);
        self.take_fresh_cryptogram();
        match outcome {
            super::Outcome::Changed(rule) => (Verdict::Applied, rule),
            _ => (Verdict::Applied, Rule::CHECKOUT_CONFIRMS),
        }
    }

    fn take_fresh_cryptogram(&mut self) {
        self.fresh_cryptogram = FreshCryptogram::Usable;
        self.card.checkout_recommended = false;
        if self.card.cryptogram != Some(CryptogramState::Stored) {
            self.change("cryptogram", serde_json::Value::Null, "stored");
        }
        self.card.cryptogram = Some(CryptogramState::Stored);
        self.note(
            "cryptogram",
            format!("obtained for number version {}", self.card.number_version),
        );
    }

    /// The answer's token is not ours and may not be taken. The first time Checkout is asked once
    /// more; the second time the token is in doubt and Get Card is to settle it.
    fn disagree(&mut self, is_repeated: bool) {
        self.fresh_cryptogram = FreshCryptogram::Destroyed;
        self.note(
            "token",
            "the answer names another token: its cryptogram is destroyed".to_owned(),
        );
        if is_repeated {
            self.card.token_doubted = self.card.token_doubted.max(Some(self.rank));
            self.flag(Flag::RefreshSuspected);
            self.further_jobs.push(Job {
                kind: JobKind::GetCard,
                not_before: self.received_at + SETTLE_AFTER_MS,
            });
        }
    }
}
