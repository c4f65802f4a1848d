//! Checkout: a fresh cryptogram, kept only if it belongs to the number the card has now.

use serde_json::json;

use super::attempt::{Ended, To, after_failure, done, not_made};
use super::calls::Calls;
use crate::domain::{
    Card, CardId, CheckoutAnswer, Cryptogram, CryptogramSpent, CryptogramState, Decision, Expiry,
    FreshCryptogram, Input, Job, JobKind, PaymentData, Policy, Rank, Rule, TokenNumber, decide,
};
use crate::jose::json::canonical;
use crate::mastercard::{self, CheckoutRequest};
use crate::notification::payment_json;
use crate::store::{
    AnswerKind, ClaimedJob, Ending, JobState, NewAnswer, StoreError, StoredCryptogram, Tx,
};
use crate::upstream::{CallFailure, FailureClass};

/// Between an answer that cannot be brought together with our token and the second call.
const ASK_AGAIN_AFTER: i64 = 60_000;
/// The mark of such an answer on its call.
const DISAGREES: &str = "answer-disagrees";

/// A cryptogram that a caller may have, with the token it belongs to.
pub(super) struct Fresh {
    pub number: TokenNumber,
    pub expiry: Option<Expiry>,
    pub number_version: u32,
    pub cryptogram: Cryptogram,
    pub data_type: String,
    /// Milliseconds since 1970, UTC; none if Mastercard did not say.
    pub expires_at: Option<i64>,
}

/// An answered call, or a failed one, to be written.
pub(super) struct Answered {
    /// When the call began, less the clock skew.
    pub as_of: i64,
    pub answer: Result<mastercard::CheckoutAnswer, CallFailure>,
}

/// Asks Checkout.
pub(super) fn ask(calls: &Calls, to: To<'_>, request: &CheckoutRequest) -> Answered {
    let as_of = calls.now() - calls.settings().clock_skew();
    let answer = to.client.checkout(request, &calls.keyring());
    to.lane.report(&answer);
    Answered { as_of, answer }
}

/// A cryptogram obtained in advance, to be kept.
pub(super) fn prefetch(
    calls: &Calls,
    to: To<'_>,
    job: &ClaimedJob,
    card_id: &CardId,
) -> Result<Ended, StoreError> {
    let request = CheckoutRequest {
        card_id: card_id.clone(),
        amount: None,
        flow_id: job.flow_id.clone(),
    };
    let answered = ask(calls, to, &request);
    calls.store().write(|tx| {
        let now = calls.now();
        let (ended, fresh) = write(tx, calls, job, card_id, answered, false, now)?;
        if let (Ended::As(_), Some(kept)) = (&ended, fresh) {
            let longest = now.saturating_add(calls.settings().cryptogram_lifetime());
            let new = StoredCryptogram {
                number_version: kept.number_version,
                value: &kept.cryptogram,
                data_type: &kept.data_type,
                expires_at: kept.expires_at.map_or(longest, |at| at.min(longest)),
            };
            tx.put_cryptogram(card_id, &new, now)?;
        }
        Ok(ended)
    })
}

/// Writes an answer: the decision on it, the record, the end of the claim. Gives the cryptogram back
/// if it may be used; it is destroyed otherwise. With `hands_out` the card is marked accordingly.
pub(super) fn write(
    tx: &mut Tx<'_>,
    calls: &Calls,
    job: &ClaimedJob,
    card_id: &CardId,
    answered: Answered,
    hands_out: bool,
    now: i64,
) -> Result<(Ended, Option<Fresh>), StoreError> {
    tx.lock_cards(&[card_id.clone()].into())?;
    if !tx.holds_claim(job)? {
        return Ok((Ended::FencedOff, None));
    }
    let mut answer = match answered.answer {
        Ok(answer) => answer,
        Err(failure) => {
            let ended = fail(tx, calls, job, card_id, &failure, now)?;
            return Ok((ended, None));
        }
    };
    let Some(cryptogram) = answer.cryptogram.take() else {
        let failure = CallFailure {
            may_have_arrived: true,
            ..not_made("no-cryptogram")
        };
        return Ok((fail(tx, calls, job, card_id, &failure, now)?, None));
    };
    let card = tx.card(card_id)?.map(|row| row.card);
    let data = answer.data.clone();
    let input = input(&answer, job, card_id, answered.as_of, now);
    let asked = (input.asked_for, input.is_consistent, input.is_repeated);
    let mut decision = decide(card, Input::CheckoutAnswer(input), calls.policy());
    let is_usable = decision.fresh_cryptogram == FreshCryptogram::Usable;
    if is_usable {
        // Of an older number, it must go before the token's row moves on.
        tx.take_cryptogram(card_id)?;
        if hands_out {
            decision.hand_out_cryptogram();
        }
    }
    tx.write_decision(card_id, &decision, calls.policy(), Some(&job.id), now)?;
    // What deciding it again needs beside the number.
    let content = json!({
        "masked": answer.masked,
        "askedFor": asked.0,
        "isConsistent": asked.1,
        "isRepeated": asked.2,
        "handedOut": is_usable && hands_out,
    });
    let record = NewAnswer {
        kind: AnswerKind::Checkout,
        job_id: Some(&job.id),
        as_of: answered.as_of,
        received_at: now,
        content: Some(canonical(&content)),
        payment: Some(payment_json(&answer.data)),
    };
    tx.record_answer(card_id, record, &decision)?;
    let ended = Ended::write(tx, job, ending(job, &decision, &answer, now), now)?;
    let number_version = decision.card.map_or(0, |card| card.number_version);
    let fresh = is_usable.then(|| Fresh {
        number: data.number,
        expiry: data.expiry,
        number_version,
        cryptogram,
        data_type: answer.dynamic_data_type,
        expires_at: answer.cryptogram_expires_at,
    });
    Ok((ended, fresh))
}

fn input(
    answer: &mastercard::CheckoutAnswer,
    job: &ClaimedJob,
    card_id: &CardId,
    as_of: i64,
    now: i64,
) -> CheckoutAnswer {
    let asked_for = job.number_version.and_then(|v| u32::try_from(v).ok());
    let last_four = answer.data.number.last_four();
    CheckoutAnswer {
        card_id: card_id.clone(),
        rank: Rank::timed(as_of),
        received_at: now,
        asked_for: asked_for.unwrap_or_default(),
        // That the signed masked card names our card was checked with the signature.
        is_consistent: answer.token_last_four.as_deref() == Some(&last_four),
        is_repeated: is_last_word(job),
        data: PaymentData {
            number: answer.data.number.clone(),
            expiry: answer.data.expiry,
        },
    }
}

/// Whether Checkout is not asked once more when its answer disagrees: it was, or it was asked for a
/// caller, who does not wait for a minute.
fn is_last_word(job: &ClaimedJob) -> bool {
    job.is_of_caller() || job.last_reason.as_deref() == Some(DISAGREES)
}

fn ending(
    job: &ClaimedJob,
    decision: &Decision,
    answer: &mastercard::CheckoutAnswer,
    now: i64,
) -> Ending {
    let flow_id = answer.flow_id.clone();
    match decision.rule {
        Rule::CHECKOUT_LATE => done(JobState::Discarded, Some("superseded"), flow_id),
        Rule::CHECKOUT_DISAGREES if job.is_of_caller() => {
            done(JobState::Dead, Some(DISAGREES), flow_id)
        }
        Rule::CHECKOUT_DISAGREES if is_last_word(job) => {
            done(JobState::Parked, Some(DISAGREES), flow_id)
        }
        Rule::CHECKOUT_DISAGREES => Ending {
            next_at: Some(now + ASK_AGAIN_AFTER),
            ..done(JobState::Waiting, Some(DISAGREES), flow_id)
        },
        _ => done(JobState::Done, Some(decision.rule.0), flow_id),
    }
}

/// A failed call. One that Checkout does not accept asks Get Card what is true of the card.
fn fail(
    tx: &mut Tx<'_>,
    calls: &Calls,
    job: &ClaimedJob,
    card_id: &CardId,
    failure: &CallFailure,
    now: i64,
) -> Result<Ended, StoreError> {
    let is_unknown = matches!(failure.status, Some(400 | 404));
    // Of a card that ended meanwhile nothing is to be settled.
    if failure.class == FailureClass::Refused
        && is_unknown
        && tx
            .card(card_id)?
            .is_some_and(|row| row.card.terminal.is_none())
    {
        let job = Job {
            kind: JobKind::GetCard,
            not_before: now,
        };
        tx.queue_job(card_id, &job, None, now)?;
    }
    let mut ending = after_failure(calls, job, failure, now);
    if job.is_of_caller() {
        // Nobody waits for it any more; whoever comes next makes a call of its own.
        ending.state = JobState::Dead;
        ending.next_at = None;
    }
    Ended::write(tx, job, ending, now)
}

/// Records that the stored cryptogram of a card is gone. The card's lock is held.
pub(super) fn spend(
    tx: &mut Tx<'_>,
    policy: &Policy,
    card: Card,
    state: CryptogramState,
    now: i64,
) -> Result<(), StoreError> {
    let id = card.id.clone();
    let input = CryptogramSpent {
        card_id: id.clone(),
        state,
        received_at: now,
    };
    let decision = decide(Some(card), Input::CryptogramSpent(input), policy);
    tx.write_decision(&id, &decision, policy, None, now)?;
    let answer = NewAnswer {
        kind: match state {
            CryptogramState::RanOut => AnswerKind::CryptogramRanOut,
            CryptogramState::Stored | CryptogramState::HandedOut => AnswerKind::CryptogramHandedOut,
        },
        job_id: None,
        as_of: now,
        received_at: now,
        content: None,
        payment: None,
    };
    tx.record_answer(&id, answer, &decision)
}
