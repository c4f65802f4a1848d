//! Whether a SQLite file is built as SQLite builds it: its pages, trees and indexes, its foreign keys.

use diesel::sql_types::Text;
use diesel::{QueryableByName, RunQueryDsl, SqliteConnection, sql_query};

use super::connection::AnyConnection;
use super::{Store, StoreError};

#[derive(QueryableByName)]
struct Word {
    #[diesel(sql_type = Text)]
    word: String,
}

/// Reads all of it; returns what is wrong.
pub(super) fn fault_in(c: &mut SqliteConnection) -> Result<Option<&'static str>, StoreError> {
    let integrity = "SELECT integrity_check AS word FROM pragma_integrity_check";
    let found: Vec<Word> = sql_query(integrity).load(c)?;
    if !matches!(&*found, [only] if only.word == "ok") {
        return Ok(Some("SQLite's integrity check fails"));
    }
    let orphans = "SELECT \"table\" AS word FROM pragma_foreign_key_check";
    let found: Vec<Word> = sql_query(orphans).load(c)?;
    Ok((!found.is_empty()).then_some("rows point to rows that are missing"))
}

impl Store {
    /// What is wrong with the structure of the file, which is read as a whole. A server looks after its own
    /// files: of it nothing is asked.
    pub fn structure_fault(&self) -> Result<Option<&'static str>, StoreError> {
        match &mut *self.pooled()? {
            AnyConnection::Sqlite(c) => fault_in(c),
            AnyConnection::Postgres(_) => Ok(None),
        }
    }
}
