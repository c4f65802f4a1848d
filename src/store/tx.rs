//! A connection in use, with the keys that open and seal its rows.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use diesel::sql_types::{Array, BigInt};
use diesel::{RunQueryDsl, sql_query};
use zeroize::Zeroizing;

use super::StoreError;
use super::connection::AnyConnection;
use crate::audit::Actor;
use crate::domain::CardId;
use crate::jose::{KeyedDigest, Place, StorageKeys};

/// What the other files of this room hang their methods on.
pub struct Tx<'a> {
    pub(super) connection: &'a mut AnyConnection,
    keys: &'a StorageKeys,
    /// Names this process's chain of audit records.
    pub(super) audit_writer: &'a str,
    pub(super) actor: &'a Actor,
}

impl<'a> Tx<'a> {
    pub(super) fn new(
        connection: &'a mut AnyConnection,
        keys: &'a StorageKeys,
        audit_writer: &'a str,
        actor: &'a Actor,
    ) -> Self {
        Self {
            connection,
            keys,
            audit_writer,
            actor,
        }
    }

    /// Keeps every other process from deciding about these cards until the transaction ends. Always
    /// in ascending order, so that two of them cannot wait for each other; a card without a row
    /// can be locked too. SQLite has one writer: nothing to do.
    pub fn lock_cards(&mut self, ids: &BTreeSet<CardId>) -> Result<(), StoreError> {
        if let AnyConnection::Postgres(c) = self.connection {
            let locks: BTreeSet<i64> = ids.iter().map(lock_number).collect();
            sql_query("SELECT pg_advisory_xact_lock(n) FROM (SELECT unnest($1) AS n ORDER BY 1) s")
                .bind::<Array<BigInt>, _>(Vec::from_iter(locks))
                .execute(c)?;
        }
        Ok(())
    }

    pub(super) fn keys(&self) -> &StorageKeys {
        self.keys
    }

    pub(super) fn seal(
        &self,
        plaintext: &[u8],
        table: &'static str,
        column: &'static str,
        row: &str,
    ) -> Result<Vec<u8>, StoreError> {
        Ok(self.keys.seal(plaintext, &Place { table, column, row })?)
    }

    /// The source of a digest, sealed for its row.
    pub(super) fn seal_source(
        &self,
        digest: &KeyedDigest,
        table: &'static str,
        column: &'static str,
        row: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let source = digest.source.as_ref();
        source
            .map(|source| self.seal(source.expose(), table, column, row))
            .transpose()
    }

    pub(super) fn open(
        &self,
        sealed: &[u8],
        table: &'static str,
        column: &'static str,
        row: &str,
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        Ok(self.keys.open(sealed, &Place { table, column, row })?)
    }
}

/// The same in every process: `DefaultHasher::new` has fixed keys. Two cards that share a number
/// only wait for each other.
pub(super) fn lock_number(id: &CardId) -> i64 {
    let mut hasher = DefaultHasher::new();
    ("card", id.as_str()).hash(&mut hasher);
    i64::from_ne_bytes(hasher.finish().to_ne_bytes())
}
