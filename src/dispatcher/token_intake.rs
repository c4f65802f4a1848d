//! What the reads of tokens say, taken in: statuses, tokens that moved to another card, tokens that the
//! program does not know.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::calls::Calls;
use super::token_reads::Found;
use super::token_records::{register, settle_parked};
use crate::domain::{
    Card, CardId, Input, Rank, ReadToken, Registration, TokenReading, TokenStatus, TokensRead,
    decide,
};
use crate::jose::json::canonical;
use crate::store::{AnswerKind, ClaimedJob, KnownToken, NewAnswer, StoreError, Tx};

/// The card that a reading names, where the program names one; this one, if it is the same number.
fn named(reading: &TokenReading, known: &CardId) -> Option<CardId> {
    let named = CardId::parse(reading.contract.as_ref()?).ok()?;
    // The program writes numbers, which have no leading zeros.
    let number = |id: &CardId| id.as_str().trim_start_matches('0').to_owned();
    match number(&named) == number(known) {
        true => Some(known.clone()),
        false => Some(named),
    }
}

fn holder(known: &KnownToken) -> Option<CardId> {
    CardId::parse(known.card_id.as_ref()?).ok()
}

/// The cards whose tokens were read, as they stand now.
pub(super) fn concerned(
    tx: &mut Tx<'_>,
    asked: &CardId,
    found: &Found,
) -> Result<BTreeSet<CardId>, StoreError> {
    let mut cards = BTreeSet::from([asked.clone()]);
    for reading in &found.readings {
        if let Some(holder) = holder(&tx.known_token(&reading.token)?) {
            cards.extend(named(reading, &holder));
            cards.insert(holder);
        }
    }
    Ok(cards)
}

/// Takes in what was read, in the transaction that ends the call.
pub(super) struct Taking<'a> {
    pub(super) calls: &'a Calls,
    pub(super) job: &'a ClaimedJob,
    /// When the first read began: the time that counts for the rank of what was read.
    pub(super) as_of: i64,
    pub(super) now: i64,
    pub(super) locked: &'a BTreeSet<CardId>,
}

/// What the reads say of one card.
#[derive(Default)]
struct Said<'a> {
    /// The card whose token this one has now.
    replaces: Option<CardId>,
    /// The program knows neither the card nor any token of it.
    is_not_there: bool,
    tokens: Vec<(KnownToken, &'a TokenReading)>,
    moved: Vec<String>,
    missing: Vec<String>,
}

impl Taking<'_> {
    pub(super) fn take(
        &self,
        tx: &mut Tx<'_>,
        asked: &CardId,
        found: &Found,
    ) -> Result<(), StoreError> {
        let mut said: BTreeMap<CardId, Said<'_>> = BTreeMap::new();
        let of_asked = said.entry(asked.clone()).or_default();
        of_asked.missing.clone_from(&found.missing);
        of_asked.is_not_there = found.is_not_there;
        let mut strays = Vec::new();
        for reading in &found.readings {
            let known = tx.known_token(&reading.token)?;
            let holder = holder(&known);
            let named = named(reading, holder.as_ref().unwrap_or(asked));
            match (holder, named) {
                (None, named) => {
                    let may_be_its = named.is_none_or(|named| named == *asked);
                    if may_be_its && reading.status != TokenStatus::Deleted {
                        strays.push((known, reading));
                    }
                }
                // It moved since the cards were locked: the next read sees it.
                (Some(holder), _) if !self.locked.contains(&holder) => {}
                (Some(holder), Some(named)) if named != holder => {
                    if is_living(tx, &holder, &known.id)? && !has_ended(tx, &named)? {
                        let id = known.id.clone();
                        let of_named = said.entry(named).or_default();
                        of_named.replaces = Some(holder.clone());
                        of_named.tokens.push((known, reading));
                        said.entry(holder).or_default().moved.push(id);
                    }
                }
                (Some(holder), _) => {
                    said.entry(holder)
                        .or_default()
                        .tokens
                        .push((known, reading));
                }
            }
        }
        // Of a consumer's several tokens nobody can tell which is this card's.
        let is_clear = strays.iter().all(|(_, reading)| reading.contract.is_some())
            || (strays.len() == 1 && found.may_adopt);
        if is_clear {
            said.entry(asked.clone()).or_default().tokens.extend(strays);
        }
        for (card, said) in said {
            self.decide(tx, &card, said)?;
        }
        Ok(())
    }

    fn decide(&self, tx: &mut Tx<'_>, card_id: &CardId, said: Said<'_>) -> Result<(), StoreError> {
        let policy = self.calls.policy();
        let card = match tx.card(card_id)? {
            Some(row) => Some(row.card),
            None => self.adopt(tx, said.replaces.as_ref(), card_id)?,
        };
        let tokens = said
            .tokens
            .iter()
            .map(|(known, reading)| read_token(known, reading));
        let tokens: Vec<ReadToken> = tokens.collect();
        let content = json!({
            "tokens": tokens.iter().map(content).collect::<Vec<_>>(),
            "moved": &said.moved,
            "missing": &said.missing,
            "notThere": said.is_not_there,
        });
        let input = Input::TokensRead(TokensRead {
            card_id: card_id.clone(),
            rank: Rank::timed(self.as_of),
            received_at: self.now,
            tokens,
            moved: said.moved,
            missing: said.missing,
            is_not_there: said.is_not_there,
        });
        let decision = decide(card, input, policy);
        let answer = NewAnswer {
            kind: AnswerKind::TokensRead,
            job_id: Some(&self.job.id),
            as_of: self.as_of,
            received_at: self.now,
            content: Some(canonical(&content)),
            payment: None,
        };
        tx.write_decision(card_id, &decision, policy, Some(&self.job.id), self.now)?;
        tx.record_answer(card_id, answer, &decision)?;
        if let Some(card) = decision.card.filter(|card| card.terminal.is_none()) {
            let is_its = |known: &KnownToken| {
                let token = card.token_of_id(&known.id);
                token.is_some_and(|token| !token.has_ended())
            };
            for (known, reading) in said.tokens.iter().filter(|(known, _)| is_its(known)) {
                tx.keep_token(card_id, known, &reading.token)?;
                if known.is_of_another(card_id) {
                    // What was wanted of it is wanted of it still.
                    tx.move_commands(&known.id, card_id)?;
                }
            }
        }
        settle_parked(tx, policy, card_id, self.now)
    }

    /// A card's replacement is the same consumer's, in the same program.
    fn adopt(
        &self,
        tx: &mut Tx<'_>,
        replaced: Option<&CardId>,
        card_id: &CardId,
    ) -> Result<Option<Card>, StoreError> {
        let policy = self.calls.policy();
        let old = match replaced {
            Some(replaced) => tx.card(replaced)?.map(|row| row.card),
            None => None,
        };
        let registration = Registration {
            card_id: card_id.clone(),
            program: old.as_ref().and_then(|card| policy.program_of(card)),
            consumer_reference: old.and_then(|card| card.consumer_reference),
            masked: Default::default(),
            token: None,
            tokens: Vec::new(),
            received_at: self.now,
        };
        register(tx, policy, None, registration).map(Some)
    }
}

fn has_ended(tx: &mut Tx<'_>, card_id: &CardId) -> Result<bool, StoreError> {
    let card = tx.card(card_id)?.map(|row| row.card);
    Ok(card.is_some_and(|card| card.terminal.is_some()))
}

fn is_living(tx: &mut Tx<'_>, holder: &CardId, id: &str) -> Result<bool, StoreError> {
    let card = tx.card(holder)?.map(|row| row.card);
    let card = card.filter(|card| card.terminal.is_none());
    let token = card.as_ref().and_then(|card| card.token_of_id(id));
    Ok(token.is_some_and(|token| !token.has_ended()))
}

fn read_token(known: &KnownToken, reading: &TokenReading) -> ReadToken {
    ReadToken {
        id: known.id.clone(),
        last_four: known.last_four.clone(),
        status: reading.status.clone(),
        customer: reading.customer.clone(),
        expiry: reading.expiry,
        details: reading.details.clone(),
    }
}

/// What is kept of a reading: all but the token's text.
fn content(token: &ReadToken) -> serde_json::Value {
    json!({
        "tokenId": token.id,
        "status": token.status.word(),
        "customer": token.customer,
        "expiry": token.expiry.map(|expiry| expiry.to_string()),
        "details": token.details,
    })
}
