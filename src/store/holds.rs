//! Holds: cards that purge and erasure leave alone.

use diesel::prelude::*;
use diesel::sql_query;

use super::connection::{AnyConnection, on_backend};
use super::schema::{card_holds, cards};
use super::{StoreError, Tx};
use crate::domain::CardId;

impl Tx<'_> {
    /// Puts a card on hold, or says anew why it is: purge and erasure leave it alone from now on. Returns
    /// whether the card is known.
    pub fn hold_card(&mut self, id: &CardId, reason: &str, now: i64) -> Result<bool, StoreError> {
        self.lock_holds()?;
        self.lock_cards(&[id.clone()].into())?;
        if !self.card_is_known(id)? {
            return Ok(false);
        }
        let row = (
            card_holds::card_id.eq(id.as_str()),
            card_holds::reason.eq(reason),
            card_holds::at.eq(now),
        );
        on_backend!(self.connection, c => {
            diesel::insert_into(card_holds::table)
                .values(row)
                .on_conflict(card_holds::card_id)
                .do_update()
                .set(card_holds::reason.eq(reason))
                .execute(c)
        })?;
        Ok(true)
    }

    /// Ends a hold; returns whether there was one.
    pub fn release_card(&mut self, id: &CardId) -> Result<bool, StoreError> {
        self.lock_cards(&[id.clone()].into())?;
        let held = card_holds::table.find(id.as_str());
        Ok(diesel::delete(held).execute(self.connection)? > 0)
    }

    /// Keeps every other process from putting cards on hold, and from purging, until the transaction ends:
    /// which rows are on no hold stays true while they are removed. Comes before any lock of a card.
    pub(super) fn lock_holds(&mut self) -> Result<(), StoreError> {
        if let AnyConnection::Postgres(c) = self.connection {
            let lock = sql_query("SELECT pg_advisory_xact_lock(hashtextextended('card_holds', 0))");
            lock.execute(c)?;
        }
        Ok(())
    }

    /// Why a card is on hold, if it is.
    pub fn card_hold(&mut self, id: &CardId) -> Result<Option<String>, StoreError> {
        Ok(card_holds::table
            .find(id.as_str())
            .select(card_holds::reason)
            .first(self.connection)
            .optional()?)
    }

    fn card_is_known(&mut self, id: &CardId) -> Result<bool, StoreError> {
        let known = cards::table.find(id.as_str());
        Ok(diesel::select(diesel::dsl::exists(known)).get_result(self.connection)?)
    }
}
