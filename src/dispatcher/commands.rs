//! Token commands: whether one may be given, and the call that carries it out where the card's tokens
//! live.

use serde_json::json;

use super::attempt::{Ended, after_failure, done, not_offered};
use super::calls::Calls;
use super::deletion::{Deletion, DeletionRequest, delete_in};
use super::lane::Lane;
use super::program_client::ProgramClient;
use super::token_records::{record_done, register, settle_parked};
use crate::audit::Act;
use crate::domain::{
    Card, CardId, Job, JobKind, Policy, ProgramToken, Registration, Ruling, TokenCommand,
    TokenStatus, TokensOfCard, rule_on_command,
};
use crate::store::{ClaimedJob, Entry, JobState, JobView, KnownToken, Store, StoreError, Tx};
use crate::upstream::{CallFailure, FailureClass};

/// A token command as it is given.
pub struct CommandRequest {
    pub card_id: CardId,
    /// The token it is for; none for all of the card.
    pub token: Option<ProgramToken>,
    pub command: TokenCommand,
}

/// What became of a token command.
pub enum Commanded {
    /// The call waits.
    Queued(Box<JobView>),
    /// It would change nothing; the call that carries it already, if one does.
    NoChange(Option<Box<JobView>>),
    UnknownCard,
    Ended,
    /// Nobody knows where the call would go.
    ProgramUnknown,
    /// The card's program has no such commands.
    NotOffered,
    /// The card has other tokens than the one named, or none is known yet.
    UnknownToken,
    /// Nothing leads from this status to the one that is wanted.
    Illegal(TokenStatus),
}

impl Commanded {
    /// What became of it, for the audit.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Queued(_) => "done",
            Self::NoChange(_) => "no_change",
            Self::UnknownCard => "unknown-card",
            Self::Ended => "terminal",
            Self::ProgramUnknown => "program-unknown",
            Self::NotOffered => "not-offered",
            Self::UnknownToken => "unknown-token",
            Self::Illegal(_) => "illegal-transition",
        }
    }
}

/// Gives a token command: rules on it after those that wait, and queues the call.
pub fn request_command(
    store: &Store,
    policy: &Policy,
    request: &CommandRequest,
    now: i64,
) -> Result<Commanded, StoreError> {
    store.write(|tx| {
        let commanded = command_in(tx, policy, request, now)?;
        tx.audit(Entry {
            act: Act::TokenCommanded,
            object: request.card_id.as_str(),
            outcome: commanded.word(),
            details: json!({
                "tokenStatus": request.command.word(),
                "ofOneToken": request.token.is_some(),
            }),
            at: now,
        })?;
        Ok(commanded)
    })
}

pub(super) fn command_in(
    tx: &mut Tx<'_>,
    policy: &Policy,
    request: &CommandRequest,
    now: i64,
) -> Result<Commanded, StoreError> {
    let id = &request.card_id;
    tx.lock_cards(&[id.clone()].into())?;
    let Some(row) = tx.card(id)? else {
        return Ok(Commanded::UnknownCard);
    };
    let mut card = row.card;
    if card.terminal.is_some() {
        return Ok(match request.command {
            TokenCommand::Deactivate => Commanded::NoChange(tx.open_deletion(id)?.map(Box::new)),
            TokenCommand::Suspend | TokenCommand::Resume => Commanded::Ended,
        });
    }
    let Some(tokens_of) = policy.tokens_of(&card) else {
        return at_checkout(tx, policy, &card, request, now);
    };
    let known = match &request.token {
        Some(token) => Some((tx.known_token(token)?, token)),
        None => None,
    };
    if let Some((known, token)) = &known
        && card.token_of_id(&known.id).is_none()
    {
        let takes_more = tokens_of == TokensOfCard::Many || card.tokens.is_empty();
        if known.card_id.is_some() || !takes_more {
            return Ok(Commanded::UnknownToken);
        }
        card = take_token(tx, policy, card, (known, token), now)?;
    }
    if tokens_of == TokensOfCard::One && card.tokens.is_empty() {
        return Ok(Commanded::UnknownToken);
    }
    // Of a card that is its token, everything is meant.
    let token_id = match tokens_of {
        TokensOfCard::One => None,
        TokensOfCard::Many => known.map(|(known, _)| known.id),
    };
    give(tx, &card, token_id.as_deref(), request.command, now)
}

/// Where a card has no tokens of its own, to deactivate it is to delete it; the rest is the issuer's.
fn at_checkout(
    tx: &mut Tx<'_>,
    policy: &Policy,
    card: &Card,
    request: &CommandRequest,
    now: i64,
) -> Result<Commanded, StoreError> {
    if policy.program_of(card).is_none() {
        return Ok(Commanded::ProgramUnknown);
    }
    if request.command != TokenCommand::Deactivate {
        return Ok(Commanded::NotOffered);
    }
    let is_other = |named: &ProgramToken| {
        let number = card.token.as_ref().map(|token| token.number.expose());
        number != Some(named.expose())
    };
    if request.token.as_ref().is_some_and(is_other) {
        return Ok(Commanded::UnknownToken);
    }
    let deletion = DeletionRequest {
        card_id: card.id.clone(),
        program: None,
        reason: None,
        requestor: None,
    };
    Ok(match delete_in(tx, policy, &deletion, now)? {
        Deletion::Asked(job) => Commanded::Queued(Box::new(job)),
        Deletion::Repeated { job, .. } => Commanded::NoChange(job.map(Box::new)),
        Deletion::UnknownCard => Commanded::UnknownCard,
        Deletion::ProgramUnknown => Commanded::ProgramUnknown,
        Deletion::NotOffered => Commanded::NotOffered,
    })
}

/// Adds a token that the caller names and nobody has named before: the other side says what it is.
fn take_token(
    tx: &mut Tx<'_>,
    policy: &Policy,
    card: Card,
    (known, token): (&KnownToken, &ProgramToken),
    now: i64,
) -> Result<Card, StoreError> {
    let id = card.id.clone();
    let registration = Registration {
        card_id: id.clone(),
        program: None,
        consumer_reference: None,
        masked: Default::default(),
        token: None,
        tokens: vec![known.seen()],
        received_at: now,
    };
    let card = register(tx, policy, Some(card), registration)?;
    tx.keep_token(&id, known, token)?;
    Ok(card)
}

fn give(
    tx: &mut Tx<'_>,
    card: &Card,
    token_id: Option<&str>,
    command: TokenCommand,
    now: i64,
) -> Result<Commanded, StoreError> {
    let open = tx.open_commands(&card.id)?;
    let superseded = "superseded by a newer command";
    match rule_on_command(card, token_id, command, &open) {
        Ruling::Illegal { from } => Ok(Commanded::Illegal(from)),
        Ruling::NoChange { supersedes, job } => {
            tx.end_commands(&supersedes, JobState::Discarded, superseded, now)?;
            let job = match job {
                Some(job) => tx.job(&job)?,
                None => None,
            };
            Ok(Commanded::NoChange(job.map(Box::new)))
        }
        Ruling::Queue { supersedes } => {
            tx.end_commands(&supersedes, JobState::Discarded, superseded, now)?;
            let job = tx.queue_command(&card.id, token_id, command, now)?;
            Ok(Commanded::Queued(Box::new(job)))
        }
    }
}

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
        Err(Unmade::Ended) => {
            let ending = done(JobState::Discarded, Some("what it is for has ended"), None);
            return calls
                .store()
                .write(|tx| Ended::write(tx, job, ending, calls.now()));
        }
    };
    let answer = match (&lane.client, &plan.token) {
        (ProgramClient::Processing(client), token) => client
            .set_token_status(card_id, token.as_ref(), plan.command)
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
        && matches!(lane.client, ProgramClient::Processing(_));
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
    let mut ending = after_failure(job, failure, now);
    if failure.class == FailureClass::NotThere {
        ending.reason = Some("not-found".to_owned());
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
