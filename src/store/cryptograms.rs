//! Cryptograms: sealed, one a card, bound to the number it was made for, read once.

use diesel::prelude::*;

use super::connection::on_backend;
use super::schema::cryptograms;
use super::sealed_columns::number_place;
use super::{StoreError, Tx};
use crate::domain::{CardId, Cryptogram};

/// Lets every kept cryptogram run out. Where a database could go on in two places, a cryptogram that one of
/// them has handed out must not be in the other.
pub const LET_ALL_RUN_OUT: &str = "UPDATE cryptograms SET expires_at = 0";

/// A cryptogram to be stored.
pub struct StoredCryptogram<'a> {
    pub number_version: u32,
    pub value: &'a Cryptogram,
    /// Mastercard's `dynamicDataType`.
    pub data_type: &'a str,
    /// When it runs out, milliseconds since 1970, UTC.
    pub expires_at: i64,
}

/// A cryptogram taken out: nobody else gets it.
pub struct TakenCryptogram {
    pub number_version: u32,
    pub value: Cryptogram,
    pub data_type: String,
    pub expires_at: i64,
}

#[derive(Insertable, AsChangeset)]
#[diesel(table_name = cryptograms)]
struct NewRow<'a> {
    card_id: &'a str,
    number_version: i32,
    value: Vec<u8>,
    stored_at: i64,
    data_type: Option<&'a str>,
    expires_at: Option<i64>,
}

impl Tx<'_> {
    /// Stores a card's cryptogram in the place of the one there was. The card's lock is held, and the
    /// card is saved with this number version first: the foreign key refuses any other.
    pub fn put_cryptogram(
        &mut self,
        id: &CardId,
        new: &StoredCryptogram<'_>,
        now: i64,
    ) -> Result<(), StoreError> {
        let number_version = i32::try_from(new.number_version)
            .map_err(|_| StoreError::Damaged("a version is out of range"))?;
        let value = new.value.expose().as_bytes();
        let place = number_place(id.as_str(), new.number_version);
        let row = NewRow {
            card_id: id.as_str(),
            number_version,
            value: self.seal(value, "cryptograms", "value", &place)?,
            stored_at: now,
            data_type: Some(new.data_type),
            expires_at: Some(new.expires_at),
        };
        on_backend!(self.connection, c => {
            diesel::insert_into(cryptograms::table)
                .values(&row)
                .on_conflict(cryptograms::card_id)
                .do_update()
                .set(&row)
                .execute(c)
        })?;
        Ok(())
    }

    /// Takes a card's cryptogram out. The card's lock is held; the card is saved as handed out in the
    /// same transaction.
    pub fn take_cryptogram(&mut self, id: &CardId) -> Result<Option<TakenCryptogram>, StoreError> {
        type Row = (i32, Vec<u8>, Option<String>, Option<i64>);
        let of_card = || cryptograms::table.filter(cryptograms::card_id.eq(id.as_str()));
        let row: Option<Row> = of_card()
            .select((
                cryptograms::number_version,
                cryptograms::value,
                cryptograms::data_type,
                cryptograms::expires_at,
            ))
            .first(self.connection)
            .optional()?;
        let Some((number_version, sealed, data_type, expires_at)) = row else {
            return Ok(None);
        };
        diesel::delete(of_card()).execute(self.connection)?;
        let damaged = || StoreError::Damaged("a cryptogram cannot be read");
        let number_version = u32::try_from(number_version).map_err(|_| damaged())?;
        let place = number_place(id.as_str(), number_version);
        let value = self.open(&sealed, "cryptograms", "value", &place)?;
        let value = std::str::from_utf8(&value)
            .map_err(|_| damaged())?
            .to_owned();
        Ok(Some(TakenCryptogram {
            number_version,
            value: Cryptogram::new(value),
            data_type: data_type.unwrap_or_default(),
            expires_at: expires_at.unwrap_or_default(),
        }))
    }

    /// When a card's cryptogram runs out, if it has one.
    pub fn cryptogram_expiry(&mut self, id: &CardId) -> Result<Option<i64>, StoreError> {
        let found: Option<Option<i64>> = cryptograms::table
            .filter(cryptograms::card_id.eq(id.as_str()))
            .select(cryptograms::expires_at)
            .first(self.connection)
            .optional()?;
        Ok(found.map(Option::unwrap_or_default))
    }

    /// Cards whose cryptogram has run out.
    pub fn cards_with_expired_cryptogram(
        &mut self,
        now: i64,
        limit: i64,
    ) -> Result<Vec<String>, StoreError> {
        Ok(cryptograms::table
            .filter(cryptograms::expires_at.le(now))
            .order(cryptograms::expires_at)
            .limit(limit)
            .select(cryptograms::card_id)
            .load(self.connection)?)
    }
}
