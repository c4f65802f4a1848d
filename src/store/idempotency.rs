//! Idempotency keys: a repeated request gets the answer of the first one.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Text;

use super::connection::on_backend;
use super::notifications::to_json;
use super::schema::idempotency_keys;
use super::{StoreError, Tx};
use crate::domain::CardId;
use crate::jose::KeyedDigest;

/// An answered request.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = idempotency_keys)]
pub struct AnsweredRequest {
    /// Digest of API key and idempotency key.
    pub id: String,
    /// Digest of the request: the same key with another request is a mistake.
    pub request: String,
    pub status: i32,
    /// The body that was answered. Never a secret.
    pub answer: String,
    pub created_at: i64,
}

impl Tx<'_> {
    /// What was answered under an idempotency key.
    pub fn answered_request(&mut self, id: &str) -> Result<Option<AnsweredRequest>, StoreError> {
        Ok(idempotency_keys::table
            .filter(idempotency_keys::id.eq(id))
            .select(AnsweredRequest::as_select())
            .first(self.connection)
            .optional()?)
    }

    /// Keeps an answer under its key; returns whether the key was still free.
    pub fn keep_answer(
        &mut self,
        answered: &AnsweredRequest,
        request: &KeyedDigest,
    ) -> Result<bool, StoreError> {
        let source =
            self.seal_source(request, "idempotency_keys", "request_source", &answered.id)?;
        let inserted = on_backend!(self.connection, c => {
            diesel::insert_into(idempotency_keys::table)
                .values((answered, idempotency_keys::request_source.eq(&source)))
                .on_conflict(idempotency_keys::id)
                .do_nothing()
                .execute(c)
        })?;
        Ok(inserted == 1)
    }

    /// Forgets keys older than this. Returns how many.
    pub fn forget_answers(&mut self, before: i64) -> Result<usize, StoreError> {
        let old = idempotency_keys::table.filter(idempotency_keys::created_at.lt(before));
        Ok(diesel::delete(old).execute(self.connection)?)
    }

    /// Forgets the answers that show a card: another whose id differs in a letter's case is another card.
    pub fn forget_answers_that_show(&mut self, id: &CardId) -> Result<(), StoreError> {
        let shown = format!("\"cardId\":{}", to_json(&id.as_str())?);
        // LIKE ignores case on SQLite, and knows signs of its own.
        let query = "DELETE FROM idempotency_keys WHERE replace(answer, $1, '') <> answer";
        let query = sql_query(query).bind::<Text, _>(shown);
        on_backend!(self.connection, c => query.execute(c))?;
        Ok(())
    }
}
