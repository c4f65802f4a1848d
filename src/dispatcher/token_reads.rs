//! Reading tokens where they live: by card, by whose they are, one by one; and what follows from it.

use super::attempt::{Ended, after_failure, done, not_offered};
use super::calls::Calls;
use super::lane::Lane;
use super::program_client::ProgramClient;
use super::token_intake::{Taking, concerned};
use crate::alliance;
use crate::domain::{CardId, ProgramToken, TokenReading};
use crate::jose::Keyring;
use crate::mastercard::processing;
use crate::store::{ClaimedJob, JobState, StoreError, Tx};
use crate::upstream::{CallFailure, FailureClass};

/// What is known of a card's tokens before they are read.
struct Known {
    /// The living ones, by our ids.
    tokens: Vec<(String, ProgramToken)>,
    /// Whose the tokens are there, if an earlier read said so.
    customer: Option<String>,
    consumer_reference: Option<String>,
}

/// What the reads said.
#[derive(Default)]
pub(super) struct Found {
    pub(super) readings: Vec<TokenReading>,
    /// Ids of tokens of ours that the program does not know.
    pub(super) missing: Vec<String>,
    /// No token of the card is known yet: it may take one that nobody has.
    pub(super) may_adopt: bool,
    /// The program knows neither the card nor any token of it.
    pub(super) is_not_there: bool,
}

impl Found {
    fn has(&self, token: &ProgramToken) -> bool {
        self.readings.iter().any(|reading| reading.token == *token)
    }

    fn take(&mut self, readings: Vec<TokenReading>) {
        for reading in readings {
            if !self.has(&reading.token) {
                self.readings.push(reading);
            }
        }
    }
}

/// Reads what the program knows of a card's tokens.
pub(super) fn read(
    calls: &Calls,
    lane: &Lane,
    job: &ClaimedJob,
    card_id: &CardId,
) -> Result<Ended, StoreError> {
    // Commands and reads go by one clock, ours: there is no other time in what the programs say.
    let as_of = calls.now();
    let Some(known) = calls.store().read(|tx| known(tx, card_id))? else {
        let ending = done(JobState::Discarded, Some("the card has ended"), None);
        return calls
            .store()
            .write(|tx| Ended::write(tx, job, ending, calls.now()));
    };
    let answer = match &lane.client {
        ProgramClient::Processing(client) => {
            of_contract(client, lane, &calls.keyring(), card_id, &known)
        }
        ProgramClient::Alliance(client) => of_bank(client, lane, &known),
        ProgramClient::Checkout(_) => return not_offered(calls, job),
    };
    lane.report(&answer);
    // Which cards are concerned is found out first: they are locked together, in one order.
    let cards = match &answer {
        Ok(found) => calls.store().read(|tx| concerned(tx, card_id, found))?,
        Err(_) => [card_id.clone()].into(),
    };
    calls.store().write(|tx| {
        let now = calls.now();
        tx.lock_cards(&cards)?;
        if !tx.holds_claim(job)? {
            return Ok(Ended::FencedOff);
        }
        match &answer {
            Ok(found) => {
                let ended = Ended::write(tx, job, done(JobState::Done, None, None), now)?;
                let taking = Taking {
                    calls,
                    job,
                    as_of,
                    now,
                    locked: &cards,
                };
                taking.take(tx, card_id, found)?;
                Ok(ended)
            }
            Err(failure) => Ended::write(tx, job, after_failure(calls, job, failure, now), now),
        }
    })
}

fn known(tx: &mut Tx<'_>, card_id: &CardId) -> Result<Option<Known>, StoreError> {
    let card = tx.card(card_id)?.map(|row| row.card);
    let Some(card) = card.filter(|card| card.terminal.is_none()) else {
        return Ok(None);
    };
    let mut tokens = Vec::new();
    for token in card.tokens.iter().filter(|token| !token.has_ended()) {
        if let Some(text) = tx.token_text(&token.id)? {
            tokens.push((token.id.clone(), text));
        }
    }
    let customer = card.tokens.iter().find_map(|token| token.customer.clone());
    Ok(Some(Known {
        tokens,
        customer,
        consumer_reference: card.consumer_reference,
    }))
}

/// The tokens of a card contract. What it does not list any more is looked for among all tokens of
/// the client, and then by itself: a replaced card has another contract.
fn of_contract(
    client: &processing::Client,
    lane: &Lane,
    keyring: &Keyring,
    card_id: &CardId,
    known: &Known,
) -> Result<Found, CallFailure> {
    let mut found = Found::default();
    match unless_not_there(client.tokens_of_card(card_id, keyring))? {
        Some(readings) => found.take(readings),
        None => found.is_not_there = known.tokens.is_empty(),
    }
    let of_readings = || found.readings.iter().find_map(|r| r.customer.clone());
    let customer = known.customer.clone().or_else(of_readings);
    let is_complete = |found: &Found| known.tokens.iter().all(|(_, token)| found.has(token));
    if let (false, Some(customer)) = (is_complete(&found), customer) {
        lane.wait_for_turn();
        if let Some(readings) = unless_not_there(client.tokens_of_client(&customer, keyring))? {
            found.take(readings);
        }
    }
    for (id, token) in &known.tokens {
        if found.has(token) {
            continue;
        }
        lane.wait_for_turn();
        match unless_not_there(client.token(token, keyring))? {
            Some(reading) => found.readings.push(reading),
            None => found.missing.push(id.clone()),
        }
    }
    Ok(found)
}

/// The one token of a bank's card. Where none is known, the consumer's only living one is it.
fn of_bank(client: &alliance::Client, lane: &Lane, known: &Known) -> Result<Found, CallFailure> {
    let mut found = Found {
        may_adopt: known.tokens.is_empty(),
        ..Found::default()
    };
    for (id, token) in &known.tokens {
        match unless_not_there(client.get_token(token))? {
            Some(reading) => found.readings.push(reading),
            None => found.missing.push(id.clone()),
        }
    }
    let is_looked_for = known.tokens.is_empty() || !found.missing.is_empty();
    if let (true, Some(reference)) = (is_looked_for, &known.consumer_reference) {
        if !known.tokens.is_empty() {
            lane.wait_for_turn();
        }
        if let Some(readings) = unless_not_there(client.list_tokens(reference))? {
            found.take(readings);
        }
    }
    let is_listed = |id: &String| {
        let text = known.tokens.iter().find(|(known, _)| known == id);
        text.is_some_and(|(_, token)| found.readings.iter().any(|r| r.token == *token))
    };
    let missing = found.missing.iter().filter(|id| !is_listed(id));
    found.missing = missing.cloned().collect();
    Ok(found)
}

/// Not finding is an answer.
fn unless_not_there<T>(answer: Result<T, CallFailure>) -> Result<Option<T>, CallFailure> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(failure) if failure.class == FailureClass::NotThere => Ok(None),
        Err(failure) => Err(failure),
    }
}
