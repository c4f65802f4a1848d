//! Holds: cards that purge and erasure leave alone.

use diesel::prelude::*;

use super::connection::on_backend;
use super::schema::{card_holds, cards};
use super::{StoreError, Tx};
use crate::domain::CardId;

impl Tx<'_> {
    /// Puts a card on hold, or says anew why it is: purge and erasure leave it alone.
    pub fn hold_card(&mut self, id: &CardId, reason: &str, now: i64) -> Result<(), StoreError> {
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
        Ok(())
    }

    /// Ends a hold; returns whether there was one.
    pub fn release_card(&mut self, id: &CardId) -> Result<bool, StoreError> {
        let held = card_holds::table.find(id.as_str());
        Ok(diesel::delete(held).execute(self.connection)? > 0)
    }

    /// Why a card is on hold, if it is.
    pub fn card_hold(&mut self, id: &CardId) -> Result<Option<String>, StoreError> {
        Ok(card_holds::table
            .find(id.as_str())
            .select(card_holds::reason)
            .first(self.connection)
            .optional()?)
    }

    /// Whether a card is known here.
    pub fn card_is_known(&mut self, id: &CardId) -> Result<bool, StoreError> {
        let known = cards::table.find(id.as_str());
        Ok(diesel::select(diesel::dsl::exists(known)).get_result(self.connection)?)
    }
}
