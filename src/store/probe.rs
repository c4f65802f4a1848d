//! Whether anything can be written, tried where nobody comes to write.

use diesel::prelude::*;
use uuid::Uuid;

use super::schema::idempotency_keys::{answer, created_at, id, request, status, table};
use super::{Store, StoreError};

/// More than the room that an earlier row may have left in a page.
const LENGTH: usize = 8192;

impl Store {
    /// Writes a row and removes it, in one durable transaction: an error says why nothing is written now.
    pub fn try_to_write(&self) -> Result<(), StoreError> {
        // A table whose rows the service may remove everywhere.
        let key = Uuid::now_v7().to_string();
        let text = " ".repeat(LENGTH);
        self.write(|tx| {
            diesel::insert_into(table)
                .values((
                    id.eq(&key),
                    request.eq(""),
                    status.eq(0),
                    answer.eq(&text),
                    created_at.eq(0),
                ))
                .execute(tx.connection)?;
            diesel::delete(table.filter(id.eq(&key))).execute(tx.connection)?;
            Ok(())
        })
    }
}
