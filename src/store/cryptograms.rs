//! Cryptograms: sealed, one a card, bound to the number it was made for.

use diesel::prelude::*;

use super::connection::on_backend;
use super::schema::cryptograms;
use super::{StoreError, Tx};
use crate::domain::{CardId, Cryptogram, CryptogramState, Status};

#[derive(Insertable, AsChangeset)]
#[diesel(table_name = cryptograms)]
struct StoredCryptogram<'a> {
    card_id: &'a str,
    number_version: i32,
    value: Vec<u8>,
    stored_at: i64,
}

impl Tx<'_> {
    /// Stores a cryptogram if the card is still ACTIVE and its number is still the one the
    /// cryptogram was made for; returns whether it did. The caller destroys it otherwise.
    pub fn put_cryptogram(
        &mut self,
        id: &CardId,
        number_version: u32,
        cryptogram: &Cryptogram,
        now: i64,
    ) -> Result<bool, StoreError> {
        self.lock_cards(&[id.clone()].into())?;
        let Some(mut row) = self.card(id)? else {
            return Ok(false);
        };
        let usable = row.card.terminal.is_none() && row.card.known_status() == Some(Status::Active);
        if !usable || row.card.number_version != number_version || row.card.token.is_none() {
            return Ok(false);
        }
        let stored = StoredCryptogram {
            card_id: id.as_str(),
            number_version: i32::try_from(number_version)
                .map_err(|_| StoreError::Damaged("a version is out of range"))?,
            value: self.seal(
                cryptogram.expose().as_bytes(),
                "cryptograms",
                "value",
                id.as_str(),
            )?,
            stored_at: now,
        };
        on_backend!(self.connection, c => {
            diesel::insert_into(cryptograms::table)
                .values(&stored)
                .on_conflict(cryptograms::card_id)
                .do_update()
                .set(&stored)
                .execute(c)
        })?;
        row.card.cryptogram = Some(CryptogramState::Stored);
        row.card.updated_at = now;
        self.save_card(&row.card, row.program)?;
        Ok(true)
    }

    /// How many sealed cryptograms are kept for a card: one or none.
    pub fn count_cryptograms(&mut self, id: &CardId) -> Result<i64, StoreError> {
        Ok(cryptograms::table
            .filter(cryptograms::card_id.eq(id.as_str()))
            .count()
            .get_result(self.connection)?)
    }
}
