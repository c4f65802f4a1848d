//! API keys: only their digests are kept.

use diesel::prelude::*;

use super::schema::api_keys;
use super::{StoreError, Tx};

/// An API key as it is kept.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = api_keys)]
pub struct ApiKey {
    pub name: String,
    /// `app`, `payments` or `ops`.
    pub role: String,
    /// SHA-256 of the key, hexadecimal.
    pub digest: String,
    /// Milliseconds since 1970, UTC.
    pub created_at: i64,
    pub revoked_at: Option<i64>,
}

impl Tx<'_> {
    /// Keeps a new key. `Conflict` if the name is taken: a revoked name is not used again, the
    /// audit would not know who was meant.
    pub fn insert_api_key(&mut self, key: &ApiKey) -> Result<(), StoreError> {
        diesel::insert_into(api_keys::table)
            .values(key)
            .execute(self.connection)?;
        Ok(())
    }

    /// The key with this digest, unless it is revoked.
    pub fn api_key_by_digest(&mut self, digest: &str) -> Result<Option<ApiKey>, StoreError> {
        Ok(api_keys::table
            .filter(api_keys::digest.eq(digest))
            .filter(api_keys::revoked_at.is_null())
            .select(ApiKey::as_select())
            .first(self.connection)
            .optional()?)
    }

    /// All keys, by name.
    pub fn list_api_keys(&mut self) -> Result<Vec<ApiKey>, StoreError> {
        Ok(api_keys::table
            .order(api_keys::name)
            .select(ApiKey::as_select())
            .load(self.connection)?)
    }

    /// Revokes a key at once; returns whether there was one to revoke.
    pub fn revoke_api_key(&mut self, name: &str, now: i64) -> Result<bool, StoreError> {
        let valid = api_keys::name.eq(name).and(api_keys::revoked_at.is_null());
        let revoked = diesel::update(api_keys::table.filter(valid))
            .set(api_keys::revoked_at.eq(Some(now)))
            .execute(self.connection)?;
        Ok(revoked > 0)
    }
}
