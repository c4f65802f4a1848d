//! One attempt at a claimed call, whatever its kind, and what follows when it fails.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::calls::Calls;
use super::lane::Lane;
use super::{backoff, command_calls, cryptogram, deletion, lookup, token_reads};
use crate::domain::{CardId, JobKind};
use crate::mastercard::Client;
use crate::store::{ClaimedJob, Ending, JobState, KINDS, StoreError, TOKEN_STATUS, Tx};
use crate::upstream::{CallFailure, FailureClass};

/// A cryptogram, Get Card or read of tokens that nobody could obtain for so long is of no use any more.
const OLDEST: i64 = 48 * 3_600_000;
/// A deletion or token command that is not confirmed after so long is told.
const OVERDUE: i64 = 3_600_000;
/// A call whose handling panics this often is given up.
const PANICS: i32 = 5;
/// The reason of a call that the database takes no result of, for a reason that does not pass by itself.
const NOT_WRITTEN: &str = "result-cannot-be-written";
/// The reason of a call that the card's program has no operation for.
const NOT_OFFERED: &str = "not-offered-by-program";
/// After a refused credential; an operator's retry comes earlier.
const DENIED_PAUSE: i64 = 300_000;

/// Makes one attempt. Whatever happens, the claim is ended or its lease runs out.
pub fn attempt(calls: &Calls, lane: &Lane, job: &ClaimedJob) {
    lane.wait_for_turn();
    let drift = calls.clock_drift();
    let work = || make(calls, lane, job);
    let outcome = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| panicked(calls, job));
    let outcome = match outcome {
        Err(error) if !error.is_passing() => not_written(calls, job, &error),
        other => other,
    };
    match outcome {
        Ok(ended) => {
            calls.metrics().called(kind_name(&job.kind), ended.name());
            tell(lane, job, &ended);
        }
        // The lease ends and the call is made again.
        Err(error) => log::error!("call {} is not ended: {error}", job.id),
    }
    // Until when it waits may have been reckoned before, and written after all that wait were set back.
    if let Some(back) = calls.was_set_back_from(drift) {
        let store = calls.store();
        let set_back = store.write(|tx| tx.set_calls_back(Some(&job.id), back, calls.now()));
        if let Err(error) = set_back {
            log::warn!("call {} may wait too long: {error}", job.id);
        }
    }
}

fn make(calls: &Calls, lane: &Lane, job: &ClaimedJob) -> Result<Ended, StoreError> {
    let card_id = card_id(job)?;
    match &*job.kind {
        TOKEN_STATUS => return command_calls::carry_out(calls, lane, job, &card_id),
        kind if kind == JobKind::ReadTokens.name() => {
            return token_reads::read(calls, lane, job, &card_id);
        }
        _ => {}
    }
    let Some(client) = lane.client.checkout() else {
        return not_offered(calls, job);
    };
    let to = To { lane, client };
    match &*job.kind {
        kind if kind == JobKind::GetCard.name() => lookup::get_card(calls, to, job, &card_id),
        kind if kind == JobKind::DeleteCard.name() => deletion::delete(calls, to, job, &card_id),
        _ => cryptogram::prefetch(calls, to, job, &card_id),
    }
}

/// Where a call of Checkout or the Card API goes: the lane, and the client that the lane has for it.
#[derive(Clone, Copy)]
pub(super) struct To<'a> {
    pub lane: &'a Lane,
    pub client: &'a Client,
}

/// Ends a call that the card's program has no operation for.
pub(super) fn not_offered(calls: &Calls, job: &ClaimedJob) -> Result<Ended, StoreError> {
    let now = calls.now();
    let ending = Ending {
        may_have_arrived: false,
        ..done(JobState::Discarded, Some(NOT_OFFERED), None)
    };
    let store = calls.store();
    store.write(|tx| Ended::write(tx, job, ending, now))
}

pub(super) fn card_id(job: &ClaimedJob) -> Result<CardId, StoreError> {
    CardId::parse(&job.card_id).map_err(|_| StoreError::Damaged("a call names no card"))
}

/// How an attempt ended here.
pub(super) enum Ended {
    As(Ending),
    /// Another process has the call now: what this one brought is dropped.
    FencedOff,
}

impl Ended {
    fn name(&self) -> &'static str {
        match self {
            Self::As(ending) => ending.state.name(),
            Self::FencedOff => "fenced_off",
        }
    }

    /// Ends the claim, or finds that it is not ours any more.
    pub(super) fn write(
        tx: &mut Tx<'_>,
        job: &ClaimedJob,
        ending: Ending,
        now: i64,
    ) -> Result<Self, StoreError> {
        Ok(match tx.finish_job(job, &ending, now)? {
            true => Self::As(ending),
            false => Self::FencedOff,
        })
    }
}

/// The constant behind a stored kind, as a label.
fn kind_name(kind: &str) -> &'static str {
    KINDS
        .into_iter()
        .find(|known| *known == kind)
        .unwrap_or("other")
}

/// An ending that leaves nothing to do.
pub(super) fn done(state: JobState, reason: Option<&str>, flow_id: Option<String>) -> Ending {
    Ending {
        state,
        next_at: None,
        status: None,
        reason: reason.map(str::to_owned),
        may_have_arrived: true,
        flow_id,
    }
}

/// How a failed attempt ends: made again later, parked for an operator, or given up for its age.
pub(super) fn after_failure(
    calls: &Calls,
    job: &ClaimedJob,
    failure: &CallFailure,
    now: i64,
) -> Ending {
    let wait = backoff::delay(job.attempts, failure.retry_after, calls.jitter());
    // The clock may have been set while the call ran: an age by one that is not believed is none.
    let is_old = calls.has_good_clock() && now - job.created_at >= OLDEST;
    let (state, next_at) = match failure.class {
        FailureClass::Refused | FailureClass::NotThere => (JobState::Parked, None),
        _ if is_old && !is_wish(job) => (JobState::Dead, None),
        FailureClass::Denied => (JobState::Waiting, Some(now + DENIED_PAUSE)),
        FailureClass::Retry => (JobState::Waiting, Some(now.saturating_add(wait))),
    };
    // Who refuses has not done it: a card not found later was not deleted by this attempt.
    let may_have_been_done = matches!(failure.class, FailureClass::Retry);
    Ending {
        state,
        next_at,
        status: failure.status,
        reason: Some(failure.reason.clone()),
        may_have_arrived: failure.may_have_arrived && may_have_been_done,
        flow_id: None,
    }
}

/// What somebody wants done at the other side is never given up for its age.
fn is_wish(job: &ClaimedJob) -> bool {
    job.kind == JobKind::DeleteCard.name() || job.kind == TOKEN_STATUS
}

/// A call that was not made.
pub(super) fn not_made(reason: &str) -> CallFailure {
    CallFailure {
        class: FailureClass::Retry,
        status: None,
        reason: reason.to_owned(),
        retry_after: None,
        may_have_arrived: false,
    }
}

fn panicked(calls: &Calls, job: &ClaimedJob) -> Result<Ended, StoreError> {
    log::error!("the handling of call {} panicked", job.id);
    spoiled(calls, job, "panicked", job.attempts >= PANICS)
}

/// What the call brought cannot be written, and will not be by itself: a row of the card is damaged. It is
/// given up when that is so again, but for what somebody wants done.
fn not_written(calls: &Calls, job: &ClaimedJob, error: &StoreError) -> Result<Ended, StoreError> {
    log::error!("what call {} brought cannot be written: {error}", job.id);
    let again = job.last_reason.as_deref() == Some(NOT_WRITTEN);
    let gives_up = again && job.attempts >= PANICS && !is_wish(job);
    spoiled(calls, job, NOT_WRITTEN, gives_up)
}

/// Ends an attempt that is spoiled here: the call is made again later, or given up.
fn spoiled(
    calls: &Calls,
    job: &ClaimedJob,
    reason: &str,
    gives_up: bool,
) -> Result<Ended, StoreError> {
    let now = calls.now();
    let state = if gives_up {
        JobState::Dead
    } else {
        JobState::Waiting
    };
    let wait = backoff::delay(job.attempts, None, calls.jitter());
    let ending = Ending {
        next_at: (!gives_up).then(|| now.saturating_add(wait)),
        ..done(state, Some(reason), None)
    };
    let store = calls.store();
    store.write(|tx| Ended::write(tx, job, ending, now))
}

/// Tells operators what an attempt came to: each end once, and a deletion that takes too long.
fn tell(lane: &Lane, job: &ClaimedJob, ended: &Ended) {
    let (id, kind, program) = (&job.id, &job.kind, &lane.program);
    let Ended::As(ending) = ended else {
        log::warn!(job:% = id, kind:% = kind; "another process has the call now: answer dropped");
        return;
    };
    let (state, attempts) = (ending.state.name(), job.attempts);
    let reason = ending.reason.as_deref().unwrap_or("none");
    match ending.state {
        JobState::Parked | JobState::Dead => {
            log::error!(job:% = id, kind:% = kind, program:% = program, state, attempts, reason;
                "a call waits for an operator");
        }
        _ => log::debug!(job:% = id, kind:% = kind, program:% = program, state, attempts, reason;
            "call attempted"),
    }
    let is_late = |now: i64| now - job.created_at >= OVERDUE;
    if is_wish(job) && ending.next_at.is_some_and(is_late) {
        log::error!(job:% = id, kind:% = kind, program:% = program, attempts, reason;
            "what was asked for is still not confirmed at the other side");
    }
}
