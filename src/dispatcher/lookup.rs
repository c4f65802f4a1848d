//! What Mastercard knows of a card: Get Card, whose answer is decided like a notification, and the
//! card's transactions, which are only passed on.

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::attempt::{Ended, To, after_failure, done};
use super::calls::Calls;
use crate::domain::{CardAnswer, CardId, Input, NotThere, Payment, Rank, ReportedStatus, decide};
use crate::jose::json::canonical;
use crate::mastercard;
use crate::notification::payment_json;
use crate::store::{AnswerKind, ClaimedJob, JobState, NewAnswer, StoreError};
use crate::upstream::{CallFailure, FailureClass};

/// Get Card.
pub(super) fn get_card(
    calls: &Calls,
    to: To<'_>,
    job: &ClaimedJob,
    card_id: &CardId,
) -> Result<Ended, StoreError> {
    let as_of = calls.now() - calls.settings().clock_skew();
    let answer = to.client.get_card(card_id, &calls.keyring());
    to.lane.report(&answer);
    calls.store().write(|tx| {
        let now = calls.now();
        tx.lock_cards(&[card_id.clone()].into())?;
        if !tx.holds_claim(job)? {
            return Ok(Ended::FencedOff);
        }
        let record = |kind| NewAnswer {
            kind,
            job_id: Some(&job.id),
            as_of,
            received_at: now,
            content: None,
            payment: None,
        };
        let flow_id = answer.as_ref().ok().and_then(|a| a.flow_id.clone());
        let (input, record) = match answer {
            Ok(answer) => {
                let mut record = record(AnswerKind::GetCard);
                record.content = Some(content(&answer));
                record.payment = payment(&answer.payment);
                (
                    Input::CardAnswer(input(answer, card_id, as_of, now)),
                    record,
                )
            }
            Err(failure) if failure.class == FailureClass::NotThere => {
                let not_there = NotThere {
                    card_id: card_id.clone(),
                    received_at: now,
                };
                (Input::NotThere(not_there), record(AnswerKind::NotThere))
            }
            Err(failure) => {
                return Ended::write(tx, job, after_failure(calls, job, &failure, now), now);
            }
        };
        let card = tx.card(card_id)?.map(|row| row.card);
        let decision = decide(card, input, calls.policy());
        tx.write_decision(card_id, &decision, calls.policy(), Some(&job.id), now)?;
        tx.record_answer(card_id, record, &decision)?;
        let reason = Some(decision.rule.0);
        Ended::write(tx, job, done(JobState::Done, reason, flow_id), now)
    })
}

fn input(answer: mastercard::CardAnswer, card_id: &CardId, as_of: i64, now: i64) -> CardAnswer {
    CardAnswer {
        card_id: card_id.clone(),
        rank: Rank::timed(as_of),
        received_at: now,
        status: answer.status,
        masked: answer.masked,
        payment: answer.payment,
    }
}

fn content(answer: &mastercard::CardAnswer) -> Zeroizing<Vec<u8>> {
    let status = match &answer.status {
        ReportedStatus::Known(status) => status.word(),
        ReportedStatus::Cancelled => "CANCELLED",
        ReportedStatus::Unknown(word) => word,
    };
    let held = match answer.payment {
        Payment::Unreadable(hold) => Some(hold.0),
        Payment::Absent | Payment::Opened(_) => None,
    };
    canonical(&json!({ "status": status, "masked": answer.masked, "held": held }))
}

fn payment(payment: &Payment) -> Option<Zeroizing<Vec<u8>>> {
    let Payment::Opened(data) = payment else {
        return None;
    };
    Some(payment_json(data))
}

/// Why there are no transactions to pass on.
#[derive(Debug)]
pub enum NoTransactions {
    UnknownCard,
    Ended,
    /// Its program is not known, or cannot be called.
    ProgramUnknown,
    /// Its program lists none.
    NotOffered,
    Failed(CallFailure),
    Store(StoreError),
}

impl Calls {
    /// The transactions of a card, as Mastercard lists them. Blocks while it asks.
    pub fn transactions(
        &self,
        card_id: &CardId,
        from: Option<&str>,
    ) -> Result<Value, NoTransactions> {
        let row = self.store().read(|tx| tx.card(card_id));
        let row = row.map_err(NoTransactions::Store)?;
        let card = row.ok_or(NoTransactions::UnknownCard)?.card;
        if card.terminal.is_some() {
            return Err(NoTransactions::Ended);
        }
        let lane = self.lane_of(&card).ok_or(NoTransactions::ProgramUnknown)?;
        let client = lane.client.checkout().ok_or(NoTransactions::NotOffered)?;
        let _place = lane.enter();
        let deadline = std::time::Instant::now() + self.settings().caller_patience();
        lane.admit_caller(deadline)
            .map_err(NoTransactions::Failed)?;
        let answer = client.transactions(card_id, from);
        lane.report(&answer);
        answer.map_err(NoTransactions::Failed)
    }
}
