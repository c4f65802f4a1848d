//! Deletion of a card: unusable here at once, in the transaction that queues the call; then confirmed
//! by Mastercard.

use serde_json::json;

use super::attempt::{Ended, To, after_failure, card_id, done};
use super::calls::Calls;
use crate::audit::Act;
use crate::domain::{Card, CardId, Delete, DeleteConfirmed, Input, Policy, TerminalState, decide};
use crate::mastercard::{DeleteReason, DeleteRequest, Requestor};
use crate::store::{
    AnswerKind, ClaimedJob, Entry, JobState, JobView, NewAnswer, Store, StoreError, Tx,
};
use crate::upstream::FailureClass;

/// A request to delete a card.
pub struct DeletionRequest {
    pub card_id: CardId,
    /// The program to delete it at, for a card whose program is not known.
    pub program: Option<String>,
    pub reason: Option<DeleteReason>,
    pub requestor: Option<Requestor>,
}

/// What became of a request to delete a card.
pub enum Deletion {
    /// The card is unusable here; the call waits.
    Asked(JobView),
    /// The card had ended or was being deleted already.
    Repeated {
        status: &'static str,
        job: Option<JobView>,
    },
    UnknownCard,
    /// Nobody knows where the call would go.
    ProgramUnknown,
    /// The card's program deletes no cards: its tokens are deactivated.
    NotOffered,
}

impl Deletion {
    /// What became of it, for the audit.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Asked(_) => "done",
            Self::Repeated { .. } => "no_change",
            Self::UnknownCard => "unknown-card",
            Self::ProgramUnknown => "program-unknown",
            Self::NotOffered => "not-offered",
        }
    }
}

/// Deletes a card here and queues the call that deletes it at Mastercard.
pub fn request_deletion(
    store: &Store,
    policy: &Policy,
    request: &DeletionRequest,
    now: i64,
) -> Result<Deletion, StoreError> {
    store.write(|tx| {
        let deletion = delete_in(tx, policy, request, now)?;
        tx.audit(Entry {
            act: Act::CardDeleted,
            object: request.card_id.as_str(),
            outcome: deletion.word(),
            details: json!({
                "program": request.program,
                "reason": request.reason.map(DeleteReason::word),
                "requestor": request.requestor.map(Requestor::word),
            }),
            at: now,
        })?;
        Ok(deletion)
    })
}

pub(super) fn delete_in(
    tx: &mut Tx<'_>,
    policy: &Policy,
    request: &DeletionRequest,
    now: i64,
) -> Result<Deletion, StoreError> {
    let id = &request.card_id;
    tx.lock_cards(&[id.clone()].into())?;
    let Some(row) = tx.card(id)? else {
        return Ok(Deletion::UnknownCard);
    };
    if let Some(terminal) = row.card.terminal {
        return Ok(Deletion::Repeated {
            status: terminal.state.word(),
            job: tx.open_deletion(id)?,
        });
    }
    let named = request.program.as_ref();
    let program = policy.program_of(&row.card).or_else(|| named.cloned());
    if program.is_some_and(|program| policy.token_programs.contains_key(&program)) {
        return Ok(Deletion::NotOffered);
    }
    // The caller's word counts only where nobody knows better.
    let program = match policy.program_of(&row.card) {
        Some(_) => None,
        None if request.program.is_none() => return Ok(Deletion::ProgramUnknown),
        None => request.program.as_deref(),
    };
    let input = Input::Delete(Delete {
        card_id: id.clone(),
        received_at: now,
    });
    let decision = decide(Some(row.card), input, policy);
    tx.write_decision(id, &decision, policy, None, now)?;
    let word = request.reason.map(DeleteReason::word);
    let requestor = request.requestor.map(Requestor::word);
    tx.describe_deletion(id, program, word, requestor)?;
    let answer = NewAnswer {
        kind: AnswerKind::DeleteAsked,
        job_id: None,
        as_of: now,
        received_at: now,
        content: None,
        payment: None,
    };
    tx.record_answer(id, answer, &decision)?;
    let job = tx.open_deletion(id)?;
    job.map(Deletion::Asked)
        .ok_or(StoreError::Damaged("a deletion is not in the outbox"))
}

/// Makes the call. It never gives up; 404 counts as done only if an earlier attempt may have arrived
/// or Mastercard itself said that the card is cancelled.
pub(super) fn delete(
    calls: &Calls,
    to: To<'_>,
    job: &ClaimedJob,
    card_id: &CardId,
) -> Result<Ended, StoreError> {
    let answer = to.client.delete_card(&call(job, card_id));
    to.lane.report(&answer);
    calls.store().write(|tx| {
        let now = calls.now();
        tx.lock_cards(&[card_id.clone()].into())?;
        if !tx.holds_claim(job)? {
            return Ok(Ended::FencedOff);
        }
        let card = tx.card(card_id)?.map(|row| row.card);
        let is_cancelled = card.as_ref().is_some_and(is_cancelled);
        match &answer {
            Err(failure) if failure.class != FailureClass::NotThere => {
                Ended::write(tx, job, after_failure(calls, job, failure, now), now)
            }
            Err(failure) if !job.may_have_arrived && !is_cancelled => {
                let mut ending = after_failure(calls, job, failure, now);
                ending.reason = Some("not-found".to_owned());
                Ended::write(tx, job, ending, now)
            }
            _ => confirm(tx, calls, job, card, now),
        }
    })
}

fn is_cancelled(card: &Card) -> bool {
    let terminal = card.terminal.map(|terminal| terminal.state);
    terminal == Some(TerminalState::Cancelled)
}

fn confirm(
    tx: &mut Tx<'_>,
    calls: &Calls,
    job: &ClaimedJob,
    card: Option<Card>,
    now: i64,
) -> Result<Ended, StoreError> {
    let card_id = card_id(job)?;
    let input = Input::DeleteConfirmed(DeleteConfirmed {
        card_id: card_id.clone(),
        received_at: now,
    });
    let decision = decide(card, input, calls.policy());
    tx.write_decision(&card_id, &decision, calls.policy(), Some(&job.id), now)?;
    let answer = NewAnswer {
        kind: AnswerKind::DeleteConfirmed,
        job_id: Some(&job.id),
        as_of: now,
        received_at: now,
        content: None,
        payment: None,
    };
    tx.record_answer(&card_id, answer, &decision)?;
    Ended::write(tx, job, done(JobState::Done, None, None), now)
}

fn call(job: &ClaimedJob, card_id: &CardId) -> DeleteRequest {
    let requestor = job.requestor.as_deref();
    DeleteRequest {
        card_id: card_id.clone(),
        reason: job.reason.as_deref().and_then(DeleteReason::from_word),
        requestor: requestor.and_then(Requestor::from_word),
        flow_id: job.flow_id.clone(),
    }
}
