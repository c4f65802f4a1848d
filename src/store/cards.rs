//! Reads cards and their tokens.

use std::collections::{BTreeSet, HashMap};

use diesel::prelude::*;

use super::notifications::from_json;
use super::schema::{cards, outbox, tokens};
use super::sealed_columns::number_place;
use super::{StoreError, Tx};
use crate::domain::{Card, CardId, Expiry, JobKind, Rank, TerminalState, Token, TokenNumber};

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

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = cards, treat_none_as_default_value = false)]
pub(super) struct StoredCard {
    pub(super) id: String,
    pub(super) program: Option<String>,
    pub(super) consumer_reference: Option<String>,
    pub(super) status: Option<String>,
    pub(super) state: String,
    pub(super) updated_at: i64,
    pub(super) heard_at: i64,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = tokens, treat_none_as_default_value = false)]
pub(super) struct StoredToken {
    pub(super) card_id: String,
    pub(super) number_version: i32,
    pub(super) number: Vec<u8>,
    pub(super) expiration_month: Option<String>,
    pub(super) expiration_year: Option<String>,
    pub(super) rank: String,
    pub(super) received_at: i64,
    pub(super) refreshed_at: i64,
    pub(super) checkout_wanted: Option<String>,
    pub(super) registered_number: Option<Vec<u8>>,
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
}
