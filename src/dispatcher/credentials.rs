//! Credentials for one payment: the token, and a cryptogram that nobody else gets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::attempt::{Ended, To};
use super::calls::Calls;
use super::lane::Lane;
use super::{cryptogram, housekeeping};
use crate::audit::{Act, Actor};
use crate::domain::{
    Card, CardId, Cryptogram, CryptogramState, Expiry, Reason, TokenNumber, reasons,
};
use crate::jose::KeyedDigest;
use crate::mastercard::{Amount, CheckoutRequest, Client};
use crate::store::{AnsweredRequest, Claim, ClaimedJob, Entry, StoreError, Tx};

/// How often a caller looks whether another call of its card has ended.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Mastercard's security level indicators (SLI).
const STANDARD: u16 = 246;
const RECURRING: u16 = 247;

/// What the credentials are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// One payment.
    Single,
    /// The first payment of a series.
    RecurringFirst,
    /// A further payment of a series.
    Recurring,
}

/// A request for credentials.
pub struct CredentialsRequest {
    pub card_id: CardId,
    pub usage: Usage,
    pub amount: Option<Amount>,
    /// The `numberVersion` the caller's series was started with.
    pub series_number_version: Option<u32>,
    pub idempotency: Option<IdempotencyKey>,
    /// Who gets them.
    pub by: Actor,
}

/// An idempotency key: credentials are issued once under it.
pub struct IdempotencyKey {
    /// Digest of API key and idempotency key.
    pub id: String,
    /// Keyed digest of the request.
    pub request: KeyedDigest,
}

/// What a payment needs. Holds secrets: no `Debug`.
pub struct Credentials {
    pub number: TokenNumber,
    pub expiry: Option<Expiry>,
    pub cryptogram: Option<Cryptogram>,
    pub dynamic_data_type: Option<String>,
    pub sli: u16,
    pub number_version: u32,
    /// Whether the series must be started anew; none if the caller did not say what it began with.
    pub series_restart: Option<bool>,
}

/// Why there are no credentials.
#[derive(Debug)]
pub enum NoCredentials {
    UnknownCard,
    Ended,
    NotChargeable(Vec<Reason>),
    /// Its program is not known, or cannot be called.
    ProgramUnknown,
    /// Its program gives none.
    NotOffered,
    /// Under this idempotency key they were issued already.
    AlreadyIssued,
    /// The idempotency key was used for another request.
    OtherRequest,
    /// No cryptogram came in time.
    NoneInTime {
        retry_after: u32,
        reason: String,
    },
    Store(StoreError),
}

impl From<StoreError> for NoCredentials {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What a look at the card came to.
enum Step {
    Ready(Box<Credentials>),
    /// Another call of the card runs.
    Busy,
    Call(Box<ClaimedJob>),
}

impl Calls {
    /// Credentials for one payment. Blocks while a cryptogram is asked for.
    pub fn credentials(&self, request: &CredentialsRequest) -> Result<Credentials, NoCredentials> {
        let deadline = Instant::now() + self.settings().caller_patience();
        loop {
            match self.look(request)? {
                Step::Ready(credentials) => return Ok(*credentials),
                Step::Call(job) => return self.call_for(request, &job, deadline),
                Step::Busy => self.wait_for_others(&request.card_id, deadline)?,
            }
        }
    }

    /// Waits until the call of the card that runs has ended.
    fn wait_for_others(&self, id: &CardId, deadline: Instant) -> Result<(), NoCredentials> {
        while self.store().read(|tx| tx.any_running_job(id))? {
            if Instant::now() >= deadline {
                return Err(none_in_time("another-call-runs", None));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Looks at the card: hands out what is there, or claims a call.
    fn look(&self, request: &CredentialsRequest) -> Result<Step, NoCredentials> {
        let now = self.now();
        let mut refusal = None;
        let step = self.store().acting(request.by.clone()).write(|tx| {
            match self.look_in(tx, request, now)? {
                Ok(step) => Ok(Some(step)),
                Err(no) => {
                    refusal = Some(no);
                    Ok(None)
                }
            }
        })?;
        match (step, refusal) {
            (Some(step), _) => Ok(step),
            (None, Some(no)) => Err(no),
            (None, None) => Err(StoreError::Damaged("a look came to nothing").into()),
        }
    }

    fn look_in(
        &self,
        tx: &mut Tx<'_>,
        request: &CredentialsRequest,
        now: i64,
    ) -> Result<Result<Step, NoCredentials>, StoreError> {
        let id = &request.card_id;
        tx.lock_cards(&[id.clone()].into())?;
        if let Some(no) = issued_before(tx, request)? {
            return Ok(Err(no));
        }
        housekeeping::let_run_out(tx, self.policy(), id, now)?;
        let Some(row) = tx.card(id)? else {
            return Ok(Err(NoCredentials::UnknownCard));
        };
        let card = row.card;
        if let Some(no) = refuse(&card, now) {
            return Ok(Err(no));
        }
        let is_suspected = card.refresh_is_suspected();
        if let Some(token) = card.token.clone().filter(|_| !is_suspected) {
            let wants = wants_cryptogram(request, &card);
            let taken = match wants && card.cryptogram == Some(CryptogramState::Stored) {
                true => tx.take_cryptogram(id)?,
                false => None,
            };
            if taken.is_some() || !wants {
                let number_version = card.number_version;
                if taken.is_some() {
                    cryptogram::spend(tx, self.policy(), card, CryptogramState::HandedOut, now)?;
                }
                keep_key(tx, request, now)?;
                let (cryptogram, data_type) = match taken {
                    Some(taken) => (Some(taken.value), Some(taken.data_type)),
                    None => (None, None),
                };
                let credentials = Credentials {
                    cryptogram,
                    dynamic_data_type: data_type,
                    ..bare(request, token.number.clone(), token.expiry, number_version)
                };
                record_issue(tx, request, &credentials, now)?;
                return Ok(Ok(Step::Ready(Box::new(credentials))));
            }
        }
        if let Err(no) = self.checkout_of(&card) {
            return Ok(Err(no));
        }
        let until = self.new_lease(tx)?;
        let claim = tx.claim_for_caller(id, card.number_version, now, until)?;
        Ok(Ok(match claim {
            Claim::Claimed(job) => {
                self.begun(&job);
                Step::Call(job)
            }
            Claim::Busy => Step::Busy,
        }))
    }

    /// The lane of a card's program, with its client of Checkout.
    fn checkout_of(&self, card: &Card) -> Result<(&Arc<Lane>, &Client), NoCredentials> {
        let lane = self.lane_of(card).ok_or(NoCredentials::ProgramUnknown)?;
        let client = lane.client.checkout().ok_or(NoCredentials::NotOffered)?;
        Ok((lane, client))
    }

    /// Makes the claimed call and hands its cryptogram out; nothing of it is kept.
    fn call_for(
        &self,
        request: &CredentialsRequest,
        job: &ClaimedJob,
        deadline: Instant,
    ) -> Result<Credentials, NoCredentials> {
        let outcome = self.make_for(request, job, deadline);
        self.ended(job);
        self.hint();
        outcome
    }

    fn make_for(
        &self,
        request: &CredentialsRequest,
        job: &ClaimedJob,
        deadline: Instant,
    ) -> Result<Credentials, NoCredentials> {
        let id = &request.card_id;
        let card = self.store().read(|tx| tx.card(id))?.map(|row| row.card);
        let (lane, client) = match &card {
            Some(card) => self.checkout_of(card)?,
            None => return Err(NoCredentials::ProgramUnknown),
        };
        let _place = lane.enter();
        let answered = match lane.admit_caller(deadline) {
            Ok(()) => cryptogram::ask(
                self,
                To { lane, client },
                &CheckoutRequest {
                    card_id: id.clone(),
                    amount: request.amount.clone(),
                    flow_id: job.flow_id.clone(),
                },
            ),
            Err(failure) => cryptogram::Answered {
                as_of: self.now(),
                answer: Err(failure),
            },
        };
        let failed = answered.answer.as_ref().err().cloned();
        let store = self.store().acting(request.by.clone());
        let issued = store.write(|tx| {
            let now = self.now();
            let (ended, fresh) = cryptogram::write(tx, self, job, id, answered, true, now)?;
            // Fenced off, it is somebody else's call by now.
            let fresh = fresh.filter(|_| matches!(ended, Ended::As(_)));
            let Some(fresh) = fresh else {
                return Ok(None);
            };
            keep_key(tx, request, now)?;
            let credentials = Credentials {
                cryptogram: Some(fresh.cryptogram),
                dynamic_data_type: Some(fresh.data_type),
                ..bare(request, fresh.number, fresh.expiry, fresh.number_version)
            };
            record_issue(tx, request, &credentials, now)?;
            Ok(Some(credentials))
        })?;
        issued.ok_or_else(|| {
            let wait = failed.as_ref().and_then(|failure| failure.retry_after);
            let reason = failed.map_or("answer-not-usable".to_owned(), |failure| failure.reason);
            none_in_time(&reason, wait)
        })
    }
}

fn refuse(card: &Card, now: i64) -> Option<NoCredentials> {
    if card.terminal.is_some() {
        return Some(NoCredentials::Ended);
    }
    let reasons = reasons(card, now);
    (!reasons.is_empty()).then_some(NoCredentials::NotChargeable(reasons))
}

fn series_restart(request: &CredentialsRequest, number_version: u32) -> Option<bool> {
    let begun_with = request.series_number_version?;
    Some(begun_with != number_version)
}

/// A further payment of a series needs a cryptogram only if the series starts anew.
fn wants_cryptogram(request: &CredentialsRequest, card: &Card) -> bool {
    request.usage != Usage::Recurring || series_restart(request, card.number_version) == Some(true)
}

/// Credentials without a cryptogram.
fn bare(
    request: &CredentialsRequest,
    number: TokenNumber,
    expiry: Option<Expiry>,
    number_version: u32,
) -> Credentials {
    Credentials {
        number,
        expiry,
        cryptogram: None,
        dynamic_data_type: None,
        sli: match request.usage {
            Usage::Single => STANDARD,
            Usage::RecurringFirst | Usage::Recurring => RECURRING,
        },
        number_version,
        series_restart: series_restart(request, number_version),
    }
}

fn issued_before(
    tx: &mut Tx<'_>,
    request: &CredentialsRequest,
) -> Result<Option<NoCredentials>, StoreError> {
    let Some(key) = &request.idempotency else {
        return Ok(None);
    };
    let answered = tx.answered_request(&key.id)?;
    Ok(
        answered.map(|answered| match key.request.is(&answered.request) {
            true => NoCredentials::AlreadyIssued,
            false => NoCredentials::OtherRequest,
        }),
    )
}

/// Records that a number leaves.
fn record_issue(
    tx: &mut Tx<'_>,
    request: &CredentialsRequest,
    credentials: &Credentials,
    now: i64,
) -> Result<(), StoreError> {
    tx.audit(Entry {
        act: Act::CredentialsIssued,
        object: request.card_id.as_str(),
        outcome: "done",
        details: json!({
            "numberVersion": credentials.number_version,
            "withCryptogram": credentials.cryptogram.is_some(),
        }),
        at: now,
    })
}

/// Keeps the idempotency key with what was handed out under it: that it was, never what.
fn keep_key(tx: &mut Tx<'_>, request: &CredentialsRequest, now: i64) -> Result<(), StoreError> {
    let Some(key) = &request.idempotency else {
        return Ok(());
    };
    let answered = AnsweredRequest {
        id: key.id.clone(),
        request: key.request.text.clone(),
        status: 200,
        answer: String::new(),
        created_at: now,
    };
    match tx.keep_answer(&answered, &key.request)? {
        true => Ok(()),
        // Another request of the same key was faster: this one hands nothing out.
        false => Err(StoreError::Conflict),
    }
}

fn none_in_time(reason: &str, asked: Option<Duration>) -> NoCredentials {
    let seconds = asked.map_or(1, |wait| wait.as_secs().clamp(1, 3600));
    NoCredentials::NoneInTime {
        retry_after: u32::try_from(seconds).unwrap_or(1),
        reason: reason.to_owned(),
    }
}
