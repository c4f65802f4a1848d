//! Erasure of a card: a living one is deleted first, and erased once the other side has confirmed it.

use serde_json::json;

use super::calls::Calls;
use super::commands::{CommandRequest, Commanded, command_in};
use super::deletion::{Deletion, DeletionRequest, delete_in};
use crate::audit::Act;
use crate::domain::{CardId, Policy, TerminalState, TokenCommand};
use crate::store::{Entry, Store, StoreError, Tx};

/// What became of a request to erase a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erasure {
    /// Nothing is left of it but id, state and time.
    Erased,
    ErasedBefore,
    /// It is unusable; it is erased once its end is confirmed.
    Waiting,
    /// It is on hold.
    Held,
    UnknownCard,
    /// Nobody knows where to delete it first.
    ProgramUnknown,
    /// Its tokens cannot be deactivated as they are.
    Refused,
}

impl Erasure {
    /// What became of it, for the audit.
    pub fn word(self) -> &'static str {
        match self {
            Self::Erased => "done",
            Self::ErasedBefore => "no_change",
            Self::Waiting => "waiting",
            Self::Held => "held",
            Self::UnknownCard => "unknown-card",
            Self::ProgramUnknown => "program-unknown",
            Self::Refused => "refused",
        }
    }
}

/// Erases a card that has ended; one that lives is deleted first, at `program` where none is known.
pub fn request_erasure(
    store: &Store,
    policy: &Policy,
    card_id: &CardId,
    program: Option<&str>,
    now: i64,
) -> Result<Erasure, StoreError> {
    store.write(|tx| {
        let erasure = erase_in(tx, policy, card_id, program, now)?;
        record(tx, card_id, erasure, program, now)?;
        Ok(erasure)
    })
}

fn record(
    tx: &mut Tx<'_>,
    card_id: &CardId,
    erasure: Erasure,
    program: Option<&str>,
    at: i64,
) -> Result<(), StoreError> {
    tx.audit(Entry {
        act: Act::CardErased,
        object: card_id.as_str(),
        outcome: erasure.word(),
        details: json!({ "program": program }),
        at,
    })
}

fn erase_in(
    tx: &mut Tx<'_>,
    policy: &Policy,
    id: &CardId,
    program: Option<&str>,
    now: i64,
) -> Result<Erasure, StoreError> {
    tx.lock_cards(&[id.clone()].into())?;
    let Some(row) = tx.card(id)? else {
        return Ok(Erasure::UnknownCard);
    };
    if tx.card_hold(id)?.is_some() {
        return Ok(Erasure::Held);
    }
    if row.card.erased_at.is_some() {
        return Ok(Erasure::ErasedBefore);
    }
    let erasure = match row.card.terminal.map(|terminal| terminal.state) {
        Some(TerminalState::Cancelled | TerminalState::Deleted) => {
            tx.erase_card(id, now)?;
            return Ok(Erasure::Erased);
        }
        Some(TerminalState::DeletePending) => Erasure::Waiting,
        None if policy.tokens_of(&row.card).is_some() => {
            let request = CommandRequest {
                card_id: id.clone(),
                token: None,
                command: TokenCommand::Deactivate,
            };
            match command_in(tx, policy, &request, now)? {
                Commanded::Queued(_) | Commanded::NoChange(_) => Erasure::Waiting,
                _ => Erasure::Refused,
            }
        }
        None => {
            let request = DeletionRequest {
                card_id: id.clone(),
                program: program.map(str::to_owned),
                reason: None,
                requestor: None,
            };
            match delete_in(tx, policy, &request, now)? {
                Deletion::Asked(_) | Deletion::Repeated { .. } => Erasure::Waiting,
                Deletion::ProgramUnknown => Erasure::ProgramUnknown,
                Deletion::UnknownCard | Deletion::NotOffered => Erasure::Refused,
            }
        }
    };
    if erasure == Erasure::Waiting {
        tx.note_erasure(id, now, None)?;
    }
    Ok(erasure)
}

/// Erases the cards that waited for their end to be confirmed: a step at a time.
pub(super) fn erase_confirmed(calls: &Calls, limit: i64, now: i64) -> Result<(), StoreError> {
    for id in calls.store().read(|tx| tx.due_erasures(limit))? {
        calls.store().write(|tx| {
            let erasure = erase_in(tx, calls.policy(), &id, None, now)?;
            match erasure {
                // It waits on: to say so each time would tell nobody anything.
                Erasure::Held => Ok(()),
                _ => record(tx, &id, erasure, None, now),
            }
        })?;
    }
    Ok(())
}
