//! The only room that touches diesel: SQLite and PostgreSQL behind one set of functions.
//!
//! A [`Store`] hands out a [`Tx`], for reading or for one write transaction; everything that can be
//! asked or written is a method of `Tx`, one file a table. Sealed columns are opened and sealed
//! here, so that no other room sees ciphertext. Queries are never logged: diesel prints the values
//! bound to them.

mod answers;
mod api_keys;
mod approved_keys;
mod audit;
mod backup;
mod card_tokens;
mod card_writing;
mod cards;
mod clock;
mod connection;
mod cryptograms;
mod decisions;
mod deliveries;
mod erasing;
mod error;
mod events;
mod holds;
mod idempotency;
mod inputs;
mod key_uses;
mod maintenance;
mod migrations;
mod missed;
mod moving;
mod new_delivery;
mod notifications;
mod outbox;
mod overview;
mod probe;
mod registrations;
mod replays;
mod resealing;
mod retention;
mod schema;
mod sealed_columns;
mod spool;
mod structure;
mod timeline;
mod traffic;
mod tx;
mod write_ahead_log;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use connection::{AnyConnection, Manager};
use uuid::Uuid;

pub use answers::{AnswerKind, NewAnswer};
pub use api_keys::ApiKey;
pub use approved_keys::{OtherKey, key_list};
pub use audit::{AUDIT, AuditFilter, AuditRecord, Entry, Fault, FaultKind, Head, Verified};
pub use backup::{BackedUp, BackupError};
pub use card_tokens::KnownToken;
pub use cards::{CardFilter, CardRow};
pub use cryptograms::{StoredCryptogram, TakenCryptogram};
pub use deliveries::{Delivery, DeliveryState, Waiting};
pub use error::StoreError;
pub use events::EventRow;
pub use idempotency::AnsweredRequest;
pub use inputs::{RecordedAnswer, RecordedNotice, RecordedRegistration, StoredBeside};
pub use key_uses::LastUses;
pub use maintenance::{Allowance, Maintenance};
pub use missed::{MOST_COUNTED, MissedCard, MissedCursor};
pub use moving::{MoveError, Moving};
pub use new_delivery::NewDelivery;
pub use notifications::{
    DecidedBefore, EarlierDecision, Explained, FoundNotifications, KeptContent, NotificationFilter,
    NotificationRow, NotificationView,
};
pub use outbox::{
    CREDENTIALS, Claim, ClaimedJob, DueCall, Ending, JobFilter, JobState, JobView, KINDS, LEASE_MS,
    OPEN, TOKEN_STATUS,
};
pub use overview::{InMinute, LATEST, Stuck};
pub use registrations::RegistrationRow;
pub use replays::Replay;
pub use resealing::{Renewed, Scanned};
pub use retention::RetentionClass;
pub use sealed_columns::{SEALED, SealedColumn};
pub use spool::{Spool, SpoolLoad, Spooled, look_into_spool};
pub use timeline::{Happened, Moment, TimelineCursor};
pub use traffic::{SilentProgram, SilentPrograms};
pub use tx::Tx;

use crate::audit::Actor;
use crate::jose::StorageKeys;
pub use crate::settings::DatabaseUrl;

/// How long a caller waits for a connection, PostgreSQL for a statement or a lock.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Connections that read beside the writer.
const POOL_SIZE: u32 = 8;

/// The database, shared by everything in this process. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    /// Who is recorded as having done what is done through this handle.
    actor: Arc<Actor>,
    fault: Option<Arc<FaultHook>>,
}

/// Lets the work of a store fail at a point of a test's choice.
type FaultHook = dyn Fn(FaultPoint) -> Result<(), StoreError> + Send + Sync;

/// A point of a store's work at which a test may let it fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultPoint {
    /// Before something is read outside a write transaction.
    Read,
    /// Before a write transaction begins.
    Begin,
    /// Before it is committed: a failure undoes it.
    Commit,
    /// After it was committed: a failure hides that from whoever wrote.
    Committed,
}

struct Inner {
    url: DatabaseUrl,
    pool: r2d2::Pool<Manager>,
    /// SQLite knows one writer at a time: they queue here rather than in its busy handler.
    writer: Option<Mutex<AnyConnection>>,
    keys: Arc<StorageKeys>,
    /// Names this process's chain of audit records.
    audit_writer: String,
    noted: key_uses::Noted,
}

impl Store {
    /// Brings the schema up to date; returns how many steps that took.
    pub fn migrate(url: &DatabaseUrl) -> Result<usize, StoreError> {
        if let DatabaseUrl::Sqlite(path) = url {
            write_ahead_log::check(path)?;
        }
        migrations::run(&mut Manager::new(url.clone()).establish()?)
    }

    /// Brings the schema up to date, then opens the database as [`Self::open_current`] does.
    pub fn open(url: &DatabaseUrl, keys: Arc<StorageKeys>) -> Result<Self, StoreError> {
        Self::migrate(url)?;
        Self::open_current(url, keys)
    }

    /// Opens a database whose schema is that of this program, and checks that what is acknowledged is
    /// durable: SQLite 3.51.3 or later in WAL mode with `synchronous=FULL`, PostgreSQL with
    /// `synchronous_commit`, `fsync` and `full_page_writes` on. Anything else is refused.
    pub fn open_current(url: &DatabaseUrl, keys: Arc<StorageKeys>) -> Result<Self, StoreError> {
        if let DatabaseUrl::Sqlite(path) = url {
            write_ahead_log::check(path)?;
        }
        let manager = Manager::new(url.clone());
        migrations::check(&mut manager.establish()?)?;
        let writer = match url {
            DatabaseUrl::Sqlite(_) => Some(Mutex::new(manager.establish_writer()?)),
            DatabaseUrl::Postgres(_) => None,
        };
        let pool = r2d2::Pool::builder()
            .max_size(POOL_SIZE)
            .min_idle(Some(1))
            .connection_timeout(TIMEOUT)
            // A connection to a file does not go away.
            .test_on_check_out(matches!(url, DatabaseUrl::Postgres(_)))
            .error_handler(Box::new(connection::QuietErrors))
            .build(manager)
            .map_err(|_| StoreError::Unavailable("no connection in time"))?;
        let inner = Inner {
            url: url.clone(),
            pool,
            writer,
            keys,
            audit_writer: Uuid::now_v7().to_string(),
            noted: key_uses::Noted::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
            actor: Arc::new(Actor::service()),
            fault: None,
        })
    }

    /// The same store, on behalf of somebody else.
    pub fn acting(&self, actor: Actor) -> Self {
        Self {
            actor: Arc::new(actor),
            ..self.clone()
        }
    }

    /// The same store, whose work fails where `fault` says so: for tests.
    pub fn failing(
        &self,
        fault: impl Fn(FaultPoint) -> Result<(), StoreError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            fault: Some(Arc::new(fault)),
            ..self.clone()
        }
    }

    /// Whether several processes may work on one store at once: deliveries are then claimed by
    /// row locks inside the applying transaction.
    pub fn is_shared(&self) -> bool {
        matches!(self.inner.url, DatabaseUrl::Postgres(_))
    }

    /// Where the data is, without password.
    pub fn location(&self) -> String {
        self.inner.url.to_string()
    }

    /// The bytes of SQLite's write-ahead log; PostgreSQL looks after its own.
    pub fn log_bytes(&self) -> Option<u64> {
        match &self.inner.url {
            DatabaseUrl::Sqlite(path) => Some(write_ahead_log::bytes(path)),
            DatabaseUrl::Postgres(_) => None,
        }
    }

    /// How many connections are busy, and how many more could be had.
    pub fn connections(&self) -> (u32, u32) {
        let state = self.inner.pool.state();
        let busy = state.connections.saturating_sub(state.idle_connections);
        (busy, POOL_SIZE.saturating_sub(busy))
    }

    /// The keys that seal its rows.
    pub fn keys(&self) -> &StorageKeys {
        &self.inner.keys
    }

    /// Reads, without a transaction around it.
    pub fn read<T>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.pass(FaultPoint::Read)?;
        let mut connection = self.pooled()?;
        work(&mut self.tx(&mut connection))
    }

    /// Reads one state of the database, whatever is written meanwhile.
    pub fn snapshot<T>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.pass(FaultPoint::Read)?;
        let mut connection = self.pooled()?;
        connection.begin_snapshot()?;
        let read = work(&mut self.tx(&mut connection));
        connection.roll_back();
        read
    }

    /// Runs one write transaction. It is durable when this returns `Ok`, and undone otherwise,
    /// also when `work` panics.
    pub fn write<T>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match &self.inner.writer {
            Some(writer) => {
                let mut connection = writer.lock().unwrap_or_else(PoisonError::into_inner);
                self.transaction(&mut connection, work)
            }
            None => self.transaction(&mut *self.pooled()?, work),
        }
    }

    /// Runs a write transaction and undoes it: what it found out is true, what it wrote is not.
    pub fn rehearse<T>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut outcome = None;
        let undone = self.write(|tx| {
            outcome = Some(work(tx)?);
            Err::<(), _>(StoreError::Rehearsed)
        });
        match (undone, outcome) {
            (Err(StoreError::Rehearsed), Some(outcome)) => Ok(outcome),
            (Err(error), _) => Err(error),
            (Ok(()), _) => Err(StoreError::Rehearsed),
        }
    }

    fn tx<'a>(&'a self, connection: &'a mut AnyConnection) -> Tx<'a> {
        let Inner {
            keys, audit_writer, ..
        } = &*self.inner;
        Tx::new(connection, keys, audit_writer, &self.actor)
    }

    fn pass(&self, point: FaultPoint) -> Result<(), StoreError> {
        self.fault.as_ref().map_or(Ok(()), |fault| fault(point))
    }

    fn pooled(&self) -> Result<r2d2::PooledConnection<Manager>, StoreError> {
        let refused = |_| StoreError::Unavailable("no connection in time");
        self.inner.pool.get().map_err(refused)
    }

    fn transaction<T>(
        &self,
        connection: &mut AnyConnection,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.pass(FaultPoint::Begin)?;
        connection.begin()?;
        let whole = || {
            let value = work(&mut self.tx(connection))?;
            self.pass(FaultPoint::Commit)?;
            Ok(value)
        };
        let done = catch_unwind(AssertUnwindSafe(whole));
        match done {
            Ok(Ok(value)) => {
                connection.commit()?;
                self.pass(FaultPoint::Committed)?;
                Ok(value)
            }
            Ok(Err(error)) => {
                connection.roll_back();
                Err(error)
            }
            Err(panic) => {
                connection.roll_back();
                resume_unwind(panic)
            }
        }
    }
}
