//! Cards and their tokens.

use std::collections::{BTreeSet, HashMap};

use diesel::prelude::*;

use super::connection::on_backend;
use super::missed::{since_kept, stored_signs};
use super::notifications::{from_json, to_json};
use super::schema::{answers, cards, cryptograms, notifications, outbox, registrations, tokens};
use super::sealed_columns::number_place;
use super::{StoreError, Tx};
use crate::domain::{
    Card, CardId, CryptogramState, Expiry, JobKind, Rank, TerminalState, Token, TokenNumber,
};

/// A card as it is stored, with what the domain does not know of it.
pub struct CardRow {
    pub card: Card,
    pub program: Option<String>,
}

/// Which cards to list.
#[derive(Debug, Default, Clone)]
pub struct CardFilter {
    pub consumer_reference: Option<String>,
    pub program: Option<String>,
    /// Only cards of this status, by its word; `Some(None)` for those of which none is known.
    pub status: Option<Option<String>>,
    /// Only cards whose deletion Mastercard has not confirmed.
    pub not_confirmed: bool,
    /// Also cards that have ended.
    pub with_ended: bool,
    /// Only ids above this one.
    pub after: Option<String>,
    pub limit: i64,
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = cards, treat_none_as_null = true)]
struct StoredCard {
    id: String,
    program: Option<String>,
    consumer_reference: Option<String>,
    status: Option<String>,
    state: String,
    updated_at: i64,
    heard_at: i64,
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = tokens, treat_none_as_null = true)]
struct StoredToken {
    card_id: String,
    number_version: i32,
    number: Vec<u8>,
    expiration_month: Option<String>,
    expiration_year: Option<String>,
    rank: String,
    received_at: i64,
    refreshed_at: i64,
    checkout_wanted: Option<String>,
    registered_number: Option<Vec<u8>>,
}

const DAMAGED: StoreError = StoreError::Damaged("a card's state cannot be read");

impl Tx<'_> {
    /// The cards of these ids that are known here; none for one whose row is damaged, so that it
    /// does not stop the others.
    pub fn load_cards(
        &mut self,
        ids: &BTreeSet<CardId>,
    ) -> Result<HashMap<CardId, Option<Card>>, StoreError> {
        let ids: Vec<&str> = ids.iter().map(CardId::as_str).collect();
        let rows: Vec<(StoredCard, Option<StoredToken>)> = cards::table
            .left_join(tokens::table)
            .filter(cards::id.eq_any(ids))
            .select((StoredCard::as_select(), Option::<StoredToken>::as_select()))
            .load(self.connection)?;
        let mut known = HashMap::new();
        for row in rows {
            let id = CardId::parse(&row.0.id).map_err(|_| DAMAGED)?;
            let card = self
                .read_card(row)
                .inspect_err(|error| log::error!("card {id}: {error}"));
            known.insert(id, card.ok().map(|row| row.card));
        }
        Ok(known)
    }

    /// One card, if it is known here.
    pub fn card(&mut self, id: &CardId) -> Result<Option<CardRow>, StoreError> {
        let row = cards::table
            .left_join(tokens::table)
            .filter(cards::id.eq(id.as_str()))
            .select((StoredCard::as_select(), Option::<StoredToken>::as_select()))
            .first(self.connection)
            .optional()?;
        row.map(|row| self.read_card(row)).transpose()
    }

    /// Cards in ascending order of their ids. One whose row is damaged is left out and logged; the
    /// page is filled up with those behind it.
    pub fn list_cards(&mut self, filter: &CardFilter) -> Result<Vec<CardRow>, StoreError> {
        let mut found = Vec::new();
        let mut after = filter.after.clone();
        loop {
            let wanted = filter.limit - found.len() as i64;
            let rows = self.card_rows(filter, after.as_deref(), wanted)?;
            let is_last = (rows.len() as i64) < wanted;
            after = rows.last().map(|(stored, _)| stored.id.clone());
            for row in rows {
                let id = row.0.id.clone();
                match self.read_card(row) {
                    Ok(card) => found.push(card),
                    Err(error) => log::error!("card {id} is left out of a list: {error}"),
                }
            }
            if is_last || found.len() as i64 >= filter.limit {
                return Ok(found);
            }
        }
    }

    fn card_rows(
        &mut self,
        filter: &CardFilter,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<(StoredCard, Option<StoredToken>)>, StoreError> {
        let mut query = cards::table.left_join(tokens::table).into_boxed();
        if let Some(reference) = &filter.consumer_reference {
            query = query.filter(cards::consumer_reference.eq(reference));
        }
        if let Some(program) = &filter.program {
            query = query.filter(cards::program.eq(program));
        }
        match &filter.status {
            Some(Some(word)) => query = query.filter(cards::status.eq(word)),
            Some(None) => query = query.filter(cards::status.is_null()),
            None => {}
        }
        if filter.not_confirmed {
            query = query.filter(cards::status.eq(TerminalState::DeletePending.word()));
        }
        if !filter.with_ended {
            let ended = cards::status.eq_any(TerminalState::ALL.map(TerminalState::word));
            query = query.filter(cards::status.is_null().or(diesel::dsl::not(ended)));
        }
        if let Some(after) = after {
            query = query.filter(cards::id.gt(after));
        }
        Ok(query
            .order(cards::id)
            .limit(limit)
            .select((StoredCard::as_select(), Option::<StoredToken>::as_select()))
            .load(self.connection)?)
    }

    fn read_card(&self, row: (StoredCard, Option<StoredToken>)) -> Result<CardRow, StoreError> {
        let (stored, token) = row;
        let mut card: Card = serde_json::from_str(&stored.state).map_err(|_| DAMAGED)?;
        // By the card's own version: a token's row of an earlier one, put back whole, does not open.
        let place = number_place(&stored.id, card.number_version);
        card.token = token
            .map(|token| self.read_token(&token, &place))
            .transpose()?;
        Ok(CardRow {
            card,
            program: stored.program,
        })
    }

    fn read_token(&self, stored: &StoredToken, place: &str) -> Result<Token, StoreError> {
        let damaged = || StoreError::Damaged("a token cannot be read");
        let number = |sealed: &[u8], column| {
            let digits = self.open(sealed, "tokens", column, place)?;
            let digits = std::str::from_utf8(&digits).map_err(|_| damaged())?;
            TokenNumber::parse(digits).map_err(|_| damaged())
        };
        let registered = stored.registered_number.as_ref();
        let expiry = match (&stored.expiration_month, &stored.expiration_year) {
            (Some(month), Some(year)) => Some(Expiry::parse(month, year).ok_or_else(damaged)?),
            _ => None,
        };
        Ok(Token {
            number: number(&stored.number, "number")?,
            registered: registered
                .map(|sealed| number(sealed, "registered_number"))
                .transpose()?,
            expiry,
            rank: from_json::<Rank>(&stored.rank)?,
            received_at: stored.received_at,
            refreshed_at: stored.refreshed_at,
            checkout_wanted: stored
                .checkout_wanted
                .as_deref()
                .map(from_json)
                .transpose()?,
        })
    }

    /// Living cards of a program of which nothing was heard since, by ascending id. With `only_unasked`
    /// without those that are being asked for, or whose Get Card waits for an operator.
    pub fn cards_not_heard_of(
        &mut self,
        program: &str,
        since: i64,
        after: &str,
        only_unasked: bool,
        limit: i64,
    ) -> Result<Vec<String>, StoreError> {
        let ended = cards::status.eq_any(TerminalState::ALL.map(TerminalState::word));
        // One that is open has its key.
        let asked_for = outbox::table
            .filter(outbox::card_id.eq(cards::id))
            .filter(outbox::kind.eq_any([JobKind::GetCard, JobKind::ReadTokens].map(JobKind::name)))
            .filter(outbox::open_key.is_not_null());
        let mut silent = cards::table
            .filter(cards::program.eq(program))
            .filter(cards::heard_at.lt(since))
            .filter(cards::status.is_null().or(diesel::dsl::not(ended)))
            .filter(cards::id.gt(after))
            .into_boxed();
        if only_unasked {
            silent = silent.filter(diesel::dsl::not(diesel::dsl::exists(asked_for)));
        }
        Ok(silent
            .order(cards::id)
            .limit(limit)
            .select(cards::id)
            .load(self.connection)?)
    }

    /// Writes a card as it is after a decision. `program` is the one it is known to belong to.
    pub fn save_card(
        &mut self,
        card: &Card,
        program: Option<String>,
        now: i64,
    ) -> Result<(), StoreError> {
        let damaged = |_| StoreError::Damaged("a card's state cannot be written");
        let stored = StoredCard {
            id: card.id.as_str().to_owned(),
            program,
            consumer_reference: card.consumer_reference.clone(),
            status: card.status_word().map(str::to_owned),
            state: serde_json::to_string(card).map_err(damaged)?,
            updated_at: card.updated_at,
            heard_at: now,
        };
        let (signs, since) = stored_signs(card, now);
        let kept = since_kept!(suspended_since, cryptogram_due_since, digits_disagree_since);
        on_backend!(self.connection, c => {
            diesel::insert_into(cards::table)
                .values((
                    &stored,
                    &signs,
                    &since,
                    cards::created_at.eq(card.updated_at),
                ))
                .on_conflict(cards::id)
                .do_update()
                .set((&stored, &signs, kept))
                .execute(c)
        })?;
        if card.cryptogram != Some(CryptogramState::Stored) {
            // Before the token: it may only stand beside the number it belongs to.
            let of_card = cryptograms::table.filter(cryptograms::card_id.eq(card.id.as_str()));
            diesel::delete(of_card).execute(self.connection)?;
        }
        self.settle_tokens(card)?;
        match &card.token {
            Some(token) => self.save_token(card, token),
            None => {
                let of_card = tokens::table.filter(tokens::card_id.eq(card.id.as_str()));
                diesel::delete(of_card).execute(self.connection)?;
                Ok(())
            }
        }
    }

    fn save_token(&mut self, card: &Card, token: &Token) -> Result<(), StoreError> {
        let card_id = card.id.as_str();
        let place = number_place(card_id, card.number_version);
        let seal = |number: &TokenNumber, column| {
            self.seal(number.expose().as_bytes(), "tokens", column, &place)
        };
        let registered = token.registered.as_ref();
        let stored = StoredToken {
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
        };
        on_backend!(self.connection, c => {
            diesel::insert_into(tokens::table)
                .values(&stored)
                .on_conflict(tokens::card_id)
                .do_update()
                .set(&stored)
                .execute(c)
        })?;
        Ok(())
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
