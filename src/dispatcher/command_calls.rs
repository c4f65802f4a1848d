//! The call that carries a token command out, where the card's tokens live.

use super::attempt::{Ended, after_failure, done, not_offered};
use super::calls::Calls;
use super::lane::Lane;
use super::program_client::ProgramClient;
use super::token_records::{record_done, settle_parked};
use crate::domain::{CardId, Job, JobKind, ProgramToken, TokenCommand};
use crate::store::{ClaimedJob, Ending, JobState, StoreError, Tx};
use crate::upstream::{CallFailure, FailureClass};

/// Why a command that a newer one replaces is over.
pub(super) const SUPERSEDED: &str = "superseded by a newer command";

/// What a call needs beside its row.
struct Plan {
    command: TokenCommand,
    /// The text of the token it is for, if it is for one.
    token: Option<ProgramToken>,
}

/// Why a call is not made.
enum Unmade {
    /// What it is for has ended: there is nothing left to change.
    Ended,
    /// Its token belonged to another card when it was claimed: an operator has to look.
    Moved,
}

impl Unmade {
    fn ending(&self) -> Ending {
        match self {
            Self::Ended => done(JobState::Discarded, Some("what it is for has ended"), None),
            Self::Moved => done(JobState::Parked, Some("token-moved"), None),
        }
    }
}

/// Makes the call of a token command.
pub(super) fn carry_out(
    calls: &Calls,
    lane: &Lane,
    job: &ClaimedJob,
    card_id: &CardId,
) -> Result<Ended, StoreError> {
    let plan = match calls.store().read(|tx| plan(tx, lane, job, card_id))? {
        Ok(plan) => plan,
        Err(unmade) => {
            return calls
                .store()
                .write(|tx| Ended::write(tx, job, unmade.ending(), calls.now()));
        }
    };
    let answer = match (&lane.client, &plan.token) {
        (ProgramClient::Processing(client), token) => client
            .set_token_status(card_id, token.as_ref(), plan.command, &calls.keyring())
            .map(|()| true),
        (ProgramClient::Alliance(client), Some(token)) => client.update_state(token, plan.command),
        (ProgramClient::Alliance(_), None) | (ProgramClient::Checkout(_), _) => {
            return not_offered(calls, job);
        }
    };
    lane.report(&answer);
    calls.store().write(|tx| {
        let now = calls.now();
        tx.lock_cards(&[card_id.clone()].into())?;
        if !tx.holds_claim(job)? {
            return Ok(Ended::FencedOff);
        }
        end(tx, (calls, lane), job, (card_id, &plan), &answer, now)
    })
}

fn plan(
    tx: &mut Tx<'_>,
    lane: &Lane,
    job: &ClaimedJob,
    card_id: &CardId,
) -> Result<Result<Plan, Unmade>, StoreError> {
    let command = job.command.as_deref().and_then(TokenCommand::from_word);
    let command = command.ok_or(StoreError::Damaged("a token command cannot be read"))?;
    let card = tx.card(card_id)?.map(|row| row.card);
    let Some(card) = card.filter(|card| card.terminal.is_none()) else {
        return Ok(Err(Unmade::Ended));
    };
    // A bank knows a token only by its text; the card is its one token.
    let of_bank = || card.tokens.first().map(|token| token.id.clone());
    let is_bank = matches!(lane.client, ProgramClient::Alliance(_));
    let id = match &job.token_id {
        Some(id) => Some(id.clone()),
        None if is_bank => of_bank(),
        None => None,
    };
    let is_elsewhere = |id: &String| card.token_of_id(id).is_none();
    if id.as_ref().is_some_and(is_elsewhere) {
        return Ok(Err(Unmade::Moved));
    }
    let token = match &id {
        Some(id) => tx.token_text(id)?,
        None => None,
    };
    let is_gone = id.is_some() && token.is_none();
    Ok(match is_gone {
        true => Err(Unmade::Ended),
        false => Ok(Plan { command, token }),
    })
}

/// Takes in how an attempt ended. What Processing Digital does not know is gone where it was to be
/// deactivated and an earlier attempt may have done that; what is refused is asked about.
fn end(
    tx: &mut Tx<'_>,
    (calls, lane): (&Calls, &Lane),
    job: &ClaimedJob,
    (card_id, plan): (&CardId, &Plan),
    answer: &Result<bool, CallFailure>,
    now: i64,
) -> Result<Ended, StoreError> {
    // A bank's error need not be signed: what it says is never taken for a success.
    let may_be_gone = plan.command == TokenCommand::Deactivate
        && job.may_have_arrived
        && matches!(lane.client, ProgramClient::Processing(_))
        && has_still(tx, job, card_id)?;
    let is_gone = |failure: &CallFailure| may_be_gone && failure.class == FailureClass::NotThere;
    let not_updated;
    let failure = match answer {
        Ok(true) => return carried_out(tx, calls, job, (card_id, plan.command), now),
        Err(failure) if is_gone(failure) => {
            return carried_out(tx, calls, job, (card_id, plan.command), now);
        }
        Ok(false) => {
            not_updated = CallFailure {
                class: FailureClass::Refused,
                status: Some(200),
                reason: "token-not-updated".to_owned(),
                retry_after: None,
                may_have_arrived: false,
            };
            &not_updated
        }
        Err(failure) => failure,
    };
    let mut ending = after_failure(calls, job, failure, now);
    if failure.class == FailureClass::NotThere {
        ending.reason = Some("not-found".to_owned());
    }
    if ending.state != JobState::Done && gives_way(tx, job, (card_id, plan.command))? {
        ending = done(JobState::Discarded, Some(SUPERSEDED), None);
    }
    let is_parked = ending.state == JobState::Parked;
    let ended = Ended::write(tx, job, ending, now)?;
    if is_parked {
        // What the tokens' status is there may be what was wanted.
        let read = Job {
            kind: JobKind::ReadTokens,
            not_before: now,
        };
        tx.queue_job(card_id, &read, None, now)?;
    }
    Ok(ended)
}

/// Whether a newer command of equal scope was given while this one ran: once it waits again it would
/// only be in the way.
fn gives_way(
    tx: &mut Tx<'_>,
    job: &ClaimedJob,
    (card_id, command): (&CardId, TokenCommand),
) -> Result<bool, StoreError> {
    let open = tx.open_commands(card_id)?.into_iter();
    let mut newer = open.skip_while(|open| open.job != job.id).skip(1);
    Ok(command != TokenCommand::Deactivate && newer.any(|open| open.token == job.token_id))
}

/// Whether the card still has what a command is for: what moved to another card is not gone.
fn has_still(tx: &mut Tx<'_>, job: &ClaimedJob, card_id: &CardId) -> Result<bool, StoreError> {
    let card = tx.card(card_id)?.map(|row| row.card);
    Ok(card.is_some_and(|card| match &job.token_id {
        Some(id) => card.token_of_id(id).is_some(),
        None => !card.tokens.is_empty(),
    }))
}

fn carried_out(
    tx: &mut Tx<'_>,
    calls: &Calls,
    job: &ClaimedJob,
    (card_id, command): (&CardId, TokenCommand),
    now: i64,
) -> Result<Ended, StoreError> {
    let ended = Ended::write(tx, job, done(JobState::Done, None, None), now)?;
    let token = job.token_id.as_deref();
    record_done(
        tx,
        calls.policy(),
        (card_id, &job.id),
        (token, command),
        now,
    )?;
    settle_parked(tx, calls.policy(), card_id, now)?;
    Ok(ended)
}
