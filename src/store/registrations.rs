//! Registrations: what the merchant's app said of its cards, recorded as an input.

use diesel::prelude::*;
use serde_json::json;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::notifications::to_json;
use super::schema::registrations;
use super::{StoreError, Tx};
use crate::domain::{Change, Registration};
use crate::jose::json::canonical;

/// A registration with what it changed, to be recorded.
pub struct RegistrationRow {
    pub card_id: String,
    /// Place among the inputs decided for the card.
    pub card_order: i64,
    /// Milliseconds since 1970, UTC.
    pub received_at: i64,
    pub program: Option<String>,
    pub consumer_reference: Option<String>,
    /// The masked fields, as JSON.
    pub content: Zeroizing<Vec<u8>>,
    /// Token number and expiry, as JSON; only if the card keeps a token.
    pub payment: Option<Zeroizing<Vec<u8>>>,
    pub changes: Vec<Change>,
    /// Our ids of the tokens it named.
    pub tokens: Vec<String>,
}

impl RegistrationRow {
    /// The row of a registration that is not decided yet. `payment` is its token, to be sealed.
    pub fn of(registration: &Registration, payment: Option<Zeroizing<Vec<u8>>>) -> Self {
        Self {
            card_id: registration.card_id.as_str().to_owned(),
            card_order: 0,
            received_at: registration.received_at,
            program: registration.program.clone(),
            consumer_reference: registration.consumer_reference.clone(),
            content: canonical(&json!(registration.masked)),
            payment,
            changes: Vec::new(),
            tokens: registration
                .tokens
                .iter()
                .map(|seen| seen.id.clone())
                .collect(),
        }
    }
}

#[derive(Insertable)]
#[diesel(table_name = registrations)]
struct Stored<'a> {
    id: String,
    card_id: &'a str,
    card_order: i64,
    received_at: i64,
    program: Option<&'a str>,
    consumer_reference: Option<&'a str>,
    content: Vec<u8>,
    payment: Option<Vec<u8>>,
    changes: String,
    tokens: Option<String>,
}

impl Tx<'_> {
    /// Records a registration.
    pub fn record_registration(&mut self, row: &RegistrationRow) -> Result<(), StoreError> {
        let id = Uuid::now_v7().to_string();
        let payment = match &row.payment {
            Some(payment) => Some(self.seal(payment, "registrations", "payment", &id)?),
            None => None,
        };
        let stored = Stored {
            content: self.seal(&row.content, "registrations", "content", &id)?,
            payment,
            id,
            card_id: &row.card_id,
            card_order: row.card_order,
            received_at: row.received_at,
            program: row.program.as_deref(),
            consumer_reference: row.consumer_reference.as_deref(),
            changes: to_json(&row.changes)?,
            tokens: match row.tokens.is_empty() {
                true => None,
                false => Some(to_json(&row.tokens)?),
            },
        };
        diesel::insert_into(registrations::table)
            .values(&stored)
            .execute(self.connection)?;
        Ok(())
    }
}
