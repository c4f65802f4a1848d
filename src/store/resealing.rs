//! Sealing what is stored under another key: found in small looks, renewed in small transactions beside whoever
//! else works.
//!
//! Rows are locked one by one, and one that is in use is left for the next look, so this never waits for a row
//! that somebody else holds.

use diesel::prelude::*;
use diesel::sql_types::{Binary, Bool, Nullable, Text};
use diesel::{QueryableByName, RunQueryDsl, sql_query};

use super::connection::{AnyConnection, on_backend};
use super::schema::{cards, notifications};
use super::{SealedColumn, StoreError, Tx};
use crate::domain::Card;
use crate::jose::DigestSource;

/// A look at some rows of a column.
#[derive(Debug, Default)]
pub struct Scanned {
    /// The rows that are under another key than the active one, and can be renewed.
    pub renewable: Vec<String>,
    /// How many are under another key.
    pub stale: usize,
    /// The last row looked at; none if there was none.
    pub last: Option<String>,
}

/// What came of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewed {
    Yes,
    /// It is in use, was renewed meanwhile, or is gone.
    NotNow,
    /// It cannot be opened with the keys that are loaded.
    Unreadable,
}

#[derive(QueryableByName)]
struct Looked {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Bool)]
    renewable: bool,
    #[diesel(sql_type = Bool)]
    stale: bool,
}

#[derive(QueryableByName)]
struct Sealed {
    #[diesel(sql_type = Nullable<Binary>)]
    sealed: Option<Vec<u8>>,
    #[diesel(sql_type = Text)]
    bound_to: String,
}

/// How the digest of a card's latest item begins in the card's state.
const DIGEST_IN_STATE: &str = "\"digest\":\"";
/// Items among which the latest of a card is looked for.
const LATEST_ITEMS: i64 = 1000;

impl Tx<'_> {
    /// Looks at the next rows of a sealed column and its digests, in the order of their ids.
    pub fn scan_sealed(
        &mut self,
        of: &SealedColumn,
        after: &str,
        limit: usize,
    ) -> Result<Scanned, StoreError> {
        let SealedColumn {
            table,
            column,
            row,
            digests,
            ..
        } = of;
        let head = self.keys().active_head();
        let under_key = format!("{}:", self.keys().active_id());
        let mut stale = format!("coalesce(substr({column}, 1, {}) <> $1, false)", head.len());
        for (digest, _) in *digests {
            // A key's id has one-byte characters only.
            let other = format!("substr({digest}, 1, {}) <> $2", under_key.len());
            stale = format!("{stale} OR coalesce({other}, false)");
        }
        // SQLite numbers the values by where each is named first, so each is named, and in order.
        let query = format!(
            "SELECT {row} AS id, ({stale}) AS stale, ({column} IS NOT NULL AND ({stale})) AS renewable \
             FROM {table} WHERE $2 = $2 AND {row} > $3 ORDER BY {row} LIMIT {limit}"
        );
        let query = sql_query(query)
            .bind::<Binary, _>(head)
            .bind::<Text, _>(under_key)
            .bind::<Text, _>(after);
        let rows: Vec<Looked> = on_backend!(self.connection, c => query.load(c))?;
        Ok(scanned(rows))
    }

    /// Seals one value anew under the active key, and makes the digests of its row anew.
    pub fn reseal(&mut self, of: &SealedColumn, id: &str) -> Result<Renewed, StoreError> {
        let SealedColumn {
            table,
            column,
            row,
            bound_to,
            digests,
        } = of;
        let lock = self.row_lock();
        let query = format!(
            "SELECT {column} AS sealed, {bound_to} AS bound_to FROM {table} WHERE {row} = $1{lock}"
        );
        let query = sql_query(query).bind::<Text, _>(id);
        let found: Vec<Sealed> = on_backend!(self.connection, c => query.load(c))?;
        let found = found.into_iter().next();
        let Some((sealed, place)) = found.and_then(|row| Some((row.sealed?, row.bound_to))) else {
            return Ok(Renewed::NotNow);
        };
        let Ok(opened) = self.open(&sealed, table, column, &place) else {
            return Ok(Renewed::Unreadable);
        };
        let resealed = self.seal(&opened, table, column, &place)?;
        let mut sets = format!("{column} = $1");
        for (digest, value) in *digests {
            sets += &format!(", {digest} = CASE WHEN {digest} IS NULL THEN NULL ELSE {value} END");
        }
        let digest = match (digests, DigestSource::parse(&opened)) {
            ([], _) => String::new(),
            (_, Some(source)) => self.keys().digest_of(source).text,
            (_, None) => return Ok(Renewed::Unreadable),
        };
        let update = format!("UPDATE {table} SET {sets} WHERE $2 = $2 AND {row} = $3");
        let update = sql_query(update)
            .bind::<Binary, _>(resealed)
            .bind::<Text, _>(digest)
            .bind::<Text, _>(id);
        on_backend!(self.connection, c => update.execute(c))?;
        Ok(Renewed::Yes)
    }

    /// Looks at the next cards for a latest item whose digest is under another key.
    pub fn scan_cards(&mut self, after: &str, limit: usize) -> Result<Scanned, StoreError> {
        let contains = match self.connection {
            AnyConnection::Sqlite(_) => "instr",
            AnyConnection::Postgres(_) => "strpos",
        };
        let stale = format!("({contains}(state, $1) > 0 AND {contains}(state, $2) = 0)");
        let query = format!(
            "SELECT id, {stale} AS stale, {stale} AS renewable FROM cards WHERE id > $3 \
             ORDER BY id LIMIT {limit}"
        );
        let active = format!("{DIGEST_IN_STATE}{}:", self.keys().active_id());
        let query = sql_query(query)
            .bind::<Text, _>(DIGEST_IN_STATE)
            .bind::<Text, _>(active)
            .bind::<Text, _>(after);
        let rows: Vec<Looked> = on_backend!(self.connection, c => query.load(c))?;
        Ok(scanned(rows))
    }

    /// Makes the digest of a card's latest item anew. Where the item is not found the digest goes: nothing
    /// could be compared with it once its key is gone.
    pub fn renew_latest_digest(&mut self, id: &str) -> Result<Renewed, StoreError> {
        let state: Option<String> = match self.connection {
            AnyConnection::Sqlite(c) => card_state(id).first(c).optional()?,
            AnyConnection::Postgres(c) => {
                let locked = card_state(id).for_no_key_update().skip_locked();
                locked.first(c).optional()?
            }
        };
        let Some(state) = state else {
            return Ok(Renewed::NotNow);
        };
        let Ok(mut card) = serde_json::from_str::<Card>(&state) else {
            return Ok(Renewed::Unreadable);
        };
        let Some(latest) = &mut card.latest_item else {
            return Ok(Renewed::NotNow);
        };
        latest.digest = match &latest.digest {
            Some(digest) => self.digest_anew(id, digest)?,
            None => None,
        };
        let damaged = |_| StoreError::Damaged("a card's state cannot be written");
        let state = serde_json::to_string(&card).map_err(damaged)?;
        diesel::update(cards::table.filter(cards::id.eq(id)))
            .set(cards::state.eq(state))
            .execute(self.connection)?;
        Ok(Renewed::Yes)
    }

    /// The digest under the active key of that item of a card which has this one.
    fn digest_anew(&mut self, card_id: &str, digest: &str) -> Result<Option<String>, StoreError> {
        let items: Vec<(String, Option<Vec<u8>>)> = notifications::table
            .filter(notifications::card_id.eq(card_id))
            .filter(notifications::identity_source.is_not_null())
            .order(notifications::card_order.desc())
            .limit(LATEST_ITEMS)
            .select((notifications::id, notifications::identity_source))
            .load(self.connection)?;
        let items = items.into_iter();
        let mut identities = items.filter_map(|(id, sealed)| self.open_source(&sealed?, &id).ok());
        let found = identities.find(|identity| identity.is(digest));
        Ok(found.map(|identity| identity.text))
    }

    /// Locks a row that nobody else holds.
    fn row_lock(&self) -> &'static str {
        match self.connection {
            AnyConnection::Sqlite(_) => "",
            AnyConnection::Postgres(_) => " FOR NO KEY UPDATE SKIP LOCKED",
        }
    }
}

#[diesel::dsl::auto_type(no_type_alias)]
fn card_state<'a>(id: &'a str) -> _ {
    let of_card: diesel::dsl::Eq<cards::id, &'a str> = cards::id.eq(id);
    cards::table.filter(of_card).select(cards::state)
}

fn scanned(rows: Vec<Looked>) -> Scanned {
    let stale = rows.iter().filter(|row| row.stale).count();
    let last = rows.last().map(|row| row.id.clone());
    let renewable = rows.into_iter().filter(|row| row.renewable);
    Scanned {
        renewable: renewable.map(|row| row.id).collect(),
        stale,
        last,
    }
}
