//! Writes cards and their tokens as decisions leave them.

use diesel::prelude::*;
use diesel::upsert::excluded;

use super::cards::{StoredCard, StoredToken};
use super::connection::{ROWS_A_STATEMENT, on_backend};
use super::missed::{since_kept, stored_signs};
use super::notifications::to_json;
use super::schema::{answers, cards, cryptograms, notifications, registrations, tokens};
use super::sealed_columns::number_place;
use super::{StoreError, Tx};
use crate::domain::{Card, CardId, CryptogramState, Expiry, Token, TokenNumber};

/// What is written in place of what a row has. By name: with bound values diesel prepares a statement for each row.
macro_rules! replaced {
    ($table:ident: $($column:ident),+) => { ($($table::$column.eq(excluded($table::$column))),+) };
}

impl Tx<'_> {
    /// Writes a card as it is after a decision. `program` is the one it is known to belong to.
    pub fn save_card(
        &mut self,
        card: &Card,
        program: Option<String>,
        now: i64,
    ) -> Result<(), StoreError> {
        self.save_cards(&[(card, program)], now)
    }

    /// Writes different cards, each with the program it is known to belong to.
    pub fn save_cards(
        &mut self,
        decided: &[(&Card, Option<String>)],
        now: i64,
    ) -> Result<(), StoreError> {
        for decided in decided.chunks(ROWS_A_STATEMENT) {
            self.write_cards(decided, now)?;
            let cards = || decided.iter().map(|(card, _)| *card);
            // Before the tokens: a cryptogram may only stand beside the number it belongs to.
            let is_without = |card: &&Card| card.cryptogram != Some(CryptogramState::Stored);
            self.delete_cryptograms(cards().filter(is_without))?;
            for card in cards() {
                self.settle_tokens(card)?;
            }
            self.write_tokens(cards())?;
        }
        Ok(())
    }

    fn write_cards(
        &mut self,
        decided: &[(&Card, Option<String>)],
        now: i64,
    ) -> Result<(), StoreError> {
        let damaged = |_| StoreError::Damaged("a card's state cannot be written");
        let mut rows = Vec::with_capacity(decided.len());
        for (card, program) in decided {
            let stored = StoredCard {
                id: card.id.as_str().to_owned(),
                program: program.clone(),
                consumer_reference: card.consumer_reference.clone(),
                status: card.status_word().map(str::to_owned),
                state: serde_json::to_string(card).map_err(damaged)?,
                updated_at: card.updated_at,
                heard_at: now,
            };
            let (signs, since) = stored_signs(card, now);
            rows.push((stored, signs, since, cards::created_at.eq(card.updated_at)));
        }
        let card =
            replaced!(cards: program, consumer_reference, status, state, updated_at, heard_at);
        let signs = replaced!(cards: token_ends_at, token_told_at, signs_noted);
        let since = since_kept!(suspended_since, cryptogram_due_since, digits_disagree_since);
        on_backend!(self.connection, c => {
            diesel::insert_into(cards::table)
                .values(&rows)
                .on_conflict(cards::id)
                .do_update()
                .set((card, signs, since))
                .execute(c)
        })?;
        Ok(())
    }

    fn delete_cryptograms<'c>(
        &mut self,
        of: impl Iterator<Item = &'c Card>,
    ) -> Result<(), StoreError> {
        let ids: Vec<&str> = of.map(|card| card.id.as_str()).collect();
        if !ids.is_empty() {
            diesel::delete(cryptograms::table.filter(cryptograms::card_id.eq_any(ids)))
                .execute(self.connection)?;
        }
        Ok(())
    }

    fn write_tokens<'c>(&mut self, of: impl Iterator<Item = &'c Card>) -> Result<(), StoreError> {
        let (mut rows, mut without) = (Vec::new(), Vec::new());
        for card in of {
            match &card.token {
                Some(token) => rows.push(self.stored_token(card, token)?),
                None => without.push(card.id.as_str()),
            }
        }
        if !rows.is_empty() {
            on_backend!(self.connection, c => {
                diesel::insert_into(tokens::table)
                    .values(&rows)
                    .on_conflict(tokens::card_id)
                    .do_update()
                    .set(replaced!(tokens:
                        number_version, number, expiration_month, expiration_year, rank,
                        received_at, refreshed_at, checkout_wanted, registered_number
                    ))
                    .execute(c)
            })?;
        }
        if !without.is_empty() {
            diesel::delete(tokens::table.filter(tokens::card_id.eq_any(without)))
                .execute(self.connection)?;
        }
        Ok(())
    }

    fn stored_token(&self, card: &Card, token: &Token) -> Result<StoredToken, StoreError> {
        let card_id = card.id.as_str();
        let place = number_place(card_id, card.number_version);
        let seal = |number: &TokenNumber, column| {
            self.seal(number.expose().as_bytes(), "tokens", column, &place)
        };
        let registered = token.registered.as_ref();
        Ok(StoredToken {
            card_id: card_id.to_owned(),
            number_version: i32::try_from(card.number_version)
                .map_err(|_| StoreError::Damaged("a version is out of range"))?,
            number: seal(&token.number, "number")?,
            registered_number: registered
                .map(|n| seal(n, "registered_number"))
                .transpose()?,
            expiration_month: token.expiry.map(Expiry::month),
            expiration_year: token.expiry.map(Expiry::year),
            rank: to_json(&token.rank)?,
            received_at: token.received_at,
            refreshed_at: token.refreshed_at,
            checkout_wanted: token.checkout_wanted.as_ref().map(to_json).transpose()?,
        })
    }

    /// Wipes every kept number of a card that has ended: in its items, its registrations, what was
    /// answered of it, and the bodies of its deliveries; and what a number could be found by, but for the
    /// digest by which a repetition is known. The items keep what is worth keeping.
    pub fn wipe_numbers(&mut self, id: &CardId) -> Result<(), StoreError> {
        let no_bytes = None::<Vec<u8>>;
        let traces = notifications::payment
            .is_not_null()
            .or(notifications::identity.is_not_null())
            .or(notifications::identity_source.is_not_null());
        let items = notifications::table
            .filter(notifications::card_id.eq(id.as_str()))
            .filter(traces);
        diesel::update(items)
            .set((
                notifications::payment.eq(&no_bytes),
                notifications::identity.eq(None::<String>),
                notifications::identity_source.eq(&no_bytes),
            ))
            .execute(self.connection)?;
        let registered = registrations::table
            .filter(registrations::card_id.eq(id.as_str()))
            .filter(registrations::payment.is_not_null());
        diesel::update(registered)
            .set(registrations::payment.eq(&no_bytes))
            .execute(self.connection)?;
        let answered = answers::table
            .filter(answers::card_id.eq(id.as_str()))
            .filter(answers::payment.is_not_null());
        diesel::update(answered)
            .set(answers::payment.eq(&no_bytes))
            .execute(self.connection)?;
        self.wipe_bodies_of(id)
    }
}
