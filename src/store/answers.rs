//! Recorded inputs that are neither notification nor registration: what the other side answered,
//! deletions, and what became of cryptograms.

use diesel::prelude::*;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::notifications::to_json;
use super::schema::answers;
use super::{StoreError, Tx};
use crate::domain::{CardId, Decision};

/// What an answer is an answer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerKind {
    GetCard,
    /// Get Card found nothing.
    NotThere,
    Checkout,
    /// The stored cryptogram was handed out.
    CryptogramHandedOut,
    /// The stored cryptogram ran out.
    CryptogramRanOut,
    /// The merchant asked for the deletion.
    DeleteAsked,
    DeleteConfirmed,
    /// A token command was carried out.
    TokenStatusSet,
    /// What a program's reads said of the card's tokens.
    TokensRead,
    /// The issuer told the status of the card contract.
    ContractStatus,
}

impl AnswerKind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::GetCard,
        Self::NotThere,
        Self::Checkout,
        Self::CryptogramHandedOut,
        Self::CryptogramRanOut,
        Self::DeleteAsked,
        Self::DeleteConfirmed,
        Self::TokenStatusSet,
        Self::TokensRead,
        Self::ContractStatus,
    ];

    /// The kind's name, as stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::GetCard => "get_card",
            Self::NotThere => "not_there",
            Self::Checkout => "checkout",
            Self::CryptogramHandedOut => "cryptogram_handed_out",
            Self::CryptogramRanOut => "cryptogram_ran_out",
            Self::DeleteAsked => "delete_asked",
            Self::DeleteConfirmed => "delete_confirmed",
            Self::TokenStatusSet => "token_status_set",
            Self::TokensRead => "tokens_read",
            Self::ContractStatus => "contract_status",
        }
    }
}

/// An answer to be recorded.
pub struct NewAnswer<'a> {
    pub kind: AnswerKind,
    pub job_id: Option<&'a str>,
    /// The time that counts for its rank, milliseconds since 1970, UTC.
    pub as_of: i64,
    pub received_at: i64,
    /// What it said without a full number, as JSON.
    pub content: Option<Zeroizing<Vec<u8>>>,
    /// Token number and expiry, as JSON.
    pub payment: Option<Zeroizing<Vec<u8>>>,
}

#[derive(Insertable)]
#[diesel(table_name = answers)]
struct Stored<'a> {
    id: String,
    kind: &'a str,
    card_id: &'a str,
    card_order: i64,
    job_id: Option<&'a str>,
    as_of: i64,
    received_at: i64,
    verdict: &'a str,
    rule: &'a str,
    flags: String,
    changes: String,
    trace: String,
    content: Option<Vec<u8>>,
    payment: Option<Vec<u8>>,
}

impl Tx<'_> {
    /// Records an answer with the decision on it.
    pub fn record_answer(
        &mut self,
        card_id: &CardId,
        answer: NewAnswer<'_>,
        decision: &Decision,
    ) -> Result<(), StoreError> {
        let id = Uuid::now_v7().to_string();
        let seal = |part: Option<Zeroizing<Vec<u8>>>, column| match part {
            Some(plaintext) => self.seal(&plaintext, "answers", column, &id).map(Some),
            None => Ok(None),
        };
        let card = decision.card.as_ref();
        let has_ended = card.is_none_or(|card| card.terminal.is_some());
        let stored = Stored {
            content: seal(answer.content, "content")?,
            // An ended card keeps no number, not even in the record.
            payment: seal(answer.payment.filter(|_| !has_ended), "payment")?,
            id,
            kind: answer.kind.name(),
            card_id: card_id.as_str(),
            card_order: card.map_or(0, |card| card.inputs_decided),
            job_id: answer.job_id,
            as_of: answer.as_of,
            received_at: answer.received_at,
            verdict: decision.verdict.name(),
            rule: decision.rule.0,
            flags: to_json(&decision.flags)?,
            changes: to_json(&decision.changes)?,
            trace: to_json(&decision.trace)?,
        };
        diesel::insert_into(answers::table)
            .values(&stored)
            .execute(self.connection)?;
        Ok(())
    }
}
