//! The status of a card contract, as the issuer tells it: what it means for the card's tokens here.

use serde_json::json;

use crate::audit::Act;
use crate::domain::{Card, CardId, ContractStatus, Input, Policy, TokensOfCard, Verdict, decide};
use crate::jose::json::canonical;
use crate::store::{AnswerKind, Entry, NewAnswer, Store, StoreError, Tx};

/// What became of a contract status.
pub enum ContractTold {
    Told {
        card: Box<Card>,
        is_changed: bool,
    },
    UnknownCard,
    Ended,
    /// Nobody knows whose card it is.
    ProgramUnknown,
    /// The card's program has no card contracts.
    NotOffered,
}

impl ContractTold {
    /// What became of it, for the audit.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Told {
                is_changed: true, ..
            } => "done",
            Self::Told { .. } => "no_change",
            Self::UnknownCard => "unknown-card",
            Self::Ended => "terminal",
            Self::ProgramUnknown => "program-unknown",
            Self::NotOffered => "not-offered",
        }
    }
}

/// Takes in the status of a card contract; no call follows but the reads of tokens to be relinked.
pub fn tell_contract_status(
    store: &Store,
    policy: &Policy,
    card_id: &CardId,
    code: &str,
    now: i64,
) -> Result<ContractTold, StoreError> {
    store.write(|tx| {
        let told = tell(tx, policy, card_id, code, now)?;
        tx.audit(Entry {
            act: Act::ContractStatusTold,
            object: card_id.as_str(),
            outcome: told.word(),
            details: json!({ "contractStatus": code }),
            at: now,
        })?;
        Ok(told)
    })
}

fn tell(
    tx: &mut Tx<'_>,
    policy: &Policy,
    card_id: &CardId,
    code: &str,
    now: i64,
) -> Result<ContractTold, StoreError> {
    tx.lock_cards(&[card_id.clone()].into())?;
    let Some(row) = tx.card(card_id)? else {
        return Ok(ContractTold::UnknownCard);
    };
    if row.card.terminal.is_some() {
        return Ok(ContractTold::Ended);
    }
    match policy.tokens_of(&row.card) {
        Some(TokensOfCard::Many) => {}
        None if policy.program_of(&row.card).is_none() => return Ok(ContractTold::ProgramUnknown),
        Some(TokensOfCard::One) | None => return Ok(ContractTold::NotOffered),
    }
    let input = Input::ContractStatus(ContractStatus {
        card_id: card_id.clone(),
        code: code.to_owned(),
        received_at: now,
    });
    let decision = decide(Some(row.card), input, policy);
    tx.write_decision(card_id, &decision, policy, None, now)?;
    let answer = NewAnswer {
        kind: AnswerKind::ContractStatus,
        job_id: None,
        as_of: now,
        received_at: now,
        content: Some(canonical(&json!({ "contractStatus": code }))),
        payment: None,
    };
    tx.record_answer(card_id, answer, &decision)?;
    let is_changed = decision.verdict == Verdict::Applied;
    let card = decision
        .card
        .ok_or(StoreError::Damaged("a card was lost"))?;
    Ok(ContractTold::Told {
        card: Box::new(card),
        is_changed,
    })
}
