//! Token commands: whether one may be given, and what it makes of those that wait.

use serde_json::json;

use super::command_calls::SUPERSEDED;
use super::deletion::{Deletion, DeletionRequest, delete_in};
use super::token_records::register;
use crate::audit::Act;
use crate::domain::{
    Card, CardId, Policy, ProgramToken, Registration, Ruling, TokenCommand, TokenStatus,
    TokensOfCard, rule_on_command,
};
use crate::store::{Entry, JobState, JobView, KnownToken, Store, StoreError, Tx};

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
    match rule_on_command(card, token_id, command, &open) {
        Ruling::Illegal { from } => Ok(Commanded::Illegal(from)),
        Ruling::NoChange { supersedes, job } => {
            tx.end_commands(&supersedes, JobState::Discarded, SUPERSEDED, now)?;
            let job = match job {
                Some(job) => tx.job(&job)?,
                None => None,
            };
            Ok(Commanded::NoChange(job.map(Box::new)))
        }
        Ruling::Queue { supersedes } => {
            tx.end_commands(&supersedes, JobState::Discarded, SUPERSEDED, now)?;
            let job = tx.queue_command(&card.id, token_id, command, now)?;
            Ok(Commanded::Queued(Box::new(job)))
        }
    }
}
