//! The spool: a file of a receiver's own, in which deliveries wait while PostgreSQL is away.
//!
//! A SQLite file in WAL mode with `synchronous=FULL`, readable by its owner alone. Bodies are sealed as in the
//! table `deliveries`, for the row they will have there, and are moved as they are.

mod file;
mod moving;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::prelude::*;
use diesel::sql_types;
use diesel::{SqliteConnection, sql_query};
use uuid::Uuid;

use super::connection::open_sqlite;
use super::{NewDelivery, StoreError};
use crate::jose::StorageKeys;

pub use file::look_into_spool;

diesel::table! {
    spool (sequence) {
        sequence -> BigInt,
        id -> Text,
        received_at -> BigInt,
        source -> Text,
        response_host -> Nullable<Text>,
        body -> Binary,
    }
}

/// What a row takes beside its body, about.
const ROW_BYTES: u64 = 256;
/// Bodies that are moved as one.
const MOVED_BYTES: i64 = 4 << 20;

/// More than the room that an earlier row may have left in a page.
const PROBE_BYTES: usize = 8192;
const FULL: StoreError = StoreError::CannotWrite("the spool is full");

/// How much waits in a spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpoolLoad {
    pub deliveries: u64,
    pub bytes: u64,
    /// When the first of them was received.
    pub oldest: Option<i64>,
}

/// A delivery on its way from the spool into the table; its body stays sealed.
#[derive(Queryable, Selectable)]
#[diesel(table_name = spool)]
pub struct Spooled {
    sequence: i64,
    pub(super) id: String,
    pub(super) received_at: i64,
    pub(super) source: String,
    pub(super) response_host: Option<String>,
    pub(super) body: Vec<u8>,
}

#[derive(Insertable)]
#[diesel(table_name = spool)]
struct NewRow<'a> {
    id: &'a str,
    received_at: i64,
    source: &'a str,
    response_host: Option<&'a str>,
    body: Vec<u8>,
}

/// The spool of one process. Cheap to clone.
#[derive(Clone)]
pub struct Spool(Arc<Inner>);

struct Inner {
    path: PathBuf,
    most_bytes: u64,
    keys: Arc<StorageKeys>,
    connection: Mutex<SqliteConnection>,
    /// Apart from the connection: who looks at it must not wait for a commit.
    load: Mutex<SpoolLoad>,
    /// Locked as long as this process has the spool.
    _lock: File,
}

impl Spool {
    /// Opens the spool, or makes it; what was left in it is there again. No other process may have it open.
    pub fn open(path: &Path, most_bytes: u64, keys: Arc<StorageKeys>) -> Result<Self, StoreError> {
        let lock = file::own(&file::beside(path, "-lock"))?;
        lock.try_lock()
            .map_err(|_| StoreError::Unfit("another process works with it".to_owned()))?;
        file::own(path)?;
        file::keep_name(path)?;
        let mut connection = open_sqlite(path)?;
        connection.immediate_transaction(file::lay_out)?;
        let load = file::measure(&mut connection)?;
        Ok(Self(Arc::new(Inner {
            path: path.to_owned(),
            most_bytes,
            keys,
            connection: Mutex::new(connection),
            load: Mutex::new(load),
            _lock: lock,
        })))
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// How much waits in it.
    pub fn load(&self) -> SpoolLoad {
        *self.shown()
    }

    /// Keeps deliveries, in this order. They are durable when this returns `Ok`, and not there otherwise.
    pub fn keep(&self, new: &[NewDelivery]) -> Result<(), StoreError> {
        let mut rows = Vec::with_capacity(new.len());
        for delivery in new {
            rows.push(NewRow {
                id: &delivery.id,
                received_at: delivery.received_at,
                source: &delivery.source,
                response_host: delivery.response_host.as_deref(),
                body: delivery.sealed_body(&self.0.keys)?,
            });
        }
        let bytes: u64 = rows.iter().map(|row| size(&row.body)).sum();
        if self.load().bytes.saturating_add(bytes) > self.0.most_bytes {
            return Err(FULL);
        }
        let mut connection = self.connection()?;
        connection.immediate_transaction(|c| {
            diesel::insert_into(spool::table).values(&rows).execute(c)?;
            Ok::<_, StoreError>(())
        })?;
        let first = rows.iter().map(|row| row.received_at).min();
        let mut load = self.shown();
        load.deliveries += rows.len() as u64;
        load.bytes += bytes;
        load.oldest = load.oldest.into_iter().chain(first).min();
        Ok(())
    }

    /// Writes a row and removes it, in one durable transaction: an error says why nothing is kept now.
    pub fn try_to_write(&self) -> Result<(), StoreError> {
        if self.load().bytes >= self.0.most_bytes {
            return Err(FULL);
        }
        let id = Uuid::now_v7().to_string();
        let row = NewRow {
            id: &id,
            received_at: 0,
            source: "",
            response_host: None,
            body: vec![0; PROBE_BYTES],
        };
        self.connection()?.immediate_transaction(|c| {
            diesel::insert_into(spool::table).values(&row).execute(c)?;
            diesel::delete(spool::table.filter(spool::id.eq(&id))).execute(c)?;
            Ok(())
        })
    }

    /// The deliveries that came first: this many at most, and no more bytes than are moved as one, but always one.
    pub fn first(&self, most: i64) -> Result<Vec<Spooled>, StoreError> {
        let mut connection = self.connection()?;
        let length = diesel::dsl::sql::<sql_types::BigInt>("length(body)");
        let lengths: Vec<(i64, i64)> = spool::table
            .order(spool::sequence)
            .limit(most)
            .select((spool::sequence, length))
            .load(&mut *connection)?;
        let mut bytes = 0;
        let fits = |(place, (_, length)): &(usize, (i64, i64))| {
            bytes += length;
            *place == 0 || bytes <= MOVED_BYTES
        };
        let chosen = lengths.into_iter().enumerate().take_while(fits);
        let Some((_, (last, _))) = chosen.last() else {
            return Ok(Vec::new());
        };
        Ok(spool::table
            .filter(spool::sequence.le(last))
            .order(spool::sequence)
            .select(Spooled::as_select())
            .load(&mut *connection)?)
    }

    /// Removes deliveries that are in the table.
    pub fn remove(&self, moved: &[Spooled]) -> Result<(), StoreError> {
        let sequences = moved.iter().map(|delivery| delivery.sequence);
        let mut connection = self.connection()?;
        let oldest = connection.immediate_transaction(|c| {
            diesel::delete(spool::table.filter(spool::sequence.eq_any(sequences))).execute(c)?;
            let oldest = spool::table.select(diesel::dsl::min(spool::received_at));
            Ok::<Option<i64>, StoreError>(oldest.first(c)?)
        })?;
        if oldest.is_none() {
            // The log holds copies of what was removed. Whoever reads it meanwhile only puts this off.
            let _ = connection.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)");
        }
        let bytes: u64 = moved.iter().map(|delivery| size(&delivery.body)).sum();
        let mut load = self.shown();
        *load = match oldest {
            None => SpoolLoad::default(),
            Some(_) => SpoolLoad {
                deliveries: load.deliveries.saturating_sub(moved.len() as u64),
                bytes: load.bytes.saturating_sub(bytes),
                oldest,
            },
        };
        Ok(())
    }

    /// Lets the others go first.
    pub fn put_last(&self, delivery: &Spooled) -> Result<(), StoreError> {
        let query =
            "UPDATE spool SET sequence = (SELECT max(sequence) FROM spool) + 1 WHERE sequence = $1";
        sql_query(query)
            .bind::<sql_types::BigInt, _>(delivery.sequence)
            .execute(&mut *self.connection()?)?;
        Ok(())
    }

    /// The connection, a new one where a failure of the disk has spoilt it.
    fn connection(&self) -> Result<MutexGuard<'_, SqliteConnection>, StoreError> {
        let connection = &self.0.connection;
        let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        if AnsiTransactionManager::is_broken_transaction_manager(&mut *connection) {
            *connection = open_sqlite(&self.0.path)?;
        }
        Ok(connection)
    }

    fn shown(&self) -> MutexGuard<'_, SpoolLoad> {
        let load = &self.0.load;
        load.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn size(body: &[u8]) -> u64 {
    body.len() as u64 + ROW_BYTES
}
