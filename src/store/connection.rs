//! One connection type for both databases, set up and checked before its first use.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use diesel::connection::{
    AnsiTransactionManager, Connection, SimpleConnection, TransactionManager,
};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, SqliteConnection, sql_query, sql_types};

use super::{DatabaseUrl, StoreError};

/// A connection to either database.
#[derive(diesel::MultiConnection)]
pub enum AnyConnection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// Writes one statement for both databases where the common connection type cannot carry it
/// (`ON CONFLICT`, multi-row inserts).
macro_rules! on_backend {
    ($connection:expr, $c:ident => $body:expr) => {
        match $connection {
            $crate::store::connection::AnyConnection::Sqlite($c) => $body,
            $crate::store::connection::AnyConnection::Postgres($c) => $body,
        }
    };
}
pub(super) use on_backend;

/// Rows of one statement at most: PostgreSQL takes 65,535 values, no row has more than 23.
pub(super) const ROWS_A_STATEMENT: usize = 500;

/// Inserts rows: on PostgreSQL with one statement, for a round trip is dear; on SQLite with one for each, which is
/// prepared once and for which SQLite keeps no journal of its own.
macro_rules! insert_rows {
    ($connection:expr, $rows:expr, $values:ident => $insert:expr) => {
        match $connection {
            $crate::store::connection::AnyConnection::Sqlite(c) => {
                for $values in $rows {
                    $insert.execute(c)?;
                }
            }
            $crate::store::connection::AnyConnection::Postgres(c) => {
                for $values in $rows.chunks($crate::store::connection::ROWS_A_STATEMENT) {
                    $insert.execute(c)?;
                }
            }
        }
    };
}
pub(super) use insert_rows;

impl AnyConnection {
    /// Begins a write transaction. On SQLite it takes the write lock at once: a plain `BEGIN` would
    /// fail in the middle when another process writes.
    pub fn begin(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(c) => AnsiTransactionManager::begin_transaction_sql(c, "BEGIN IMMEDIATE")?,
            Self::Postgres(c) => AnsiTransactionManager::begin_transaction(c)?,
        }
        Ok(())
    }

    /// Begins a transaction that sees one state of the database. It is ended by [`Self::roll_back`].
    pub fn begin_snapshot(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(c) => AnsiTransactionManager::begin_transaction(c)?,
            Self::Postgres(c) => AnsiTransactionManager::begin_transaction_sql(
                c,
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            )?,
        }
        Ok(())
    }

    /// Commits. When this fails, nothing may be acknowledged.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        let committed = on_backend!(self, c => AnsiTransactionManager::commit_transaction(c));
        if committed.is_err() {
            self.roll_back();
        }
        Ok(committed?)
    }

    /// Undoes the transaction, if there is one. A failure is of no consequence: the work is not
    /// acknowledged, and the pool drops a broken connection.
    pub fn roll_back(&mut self) {
        let _ = on_backend!(self, c => AnsiTransactionManager::rollback_transaction(c));
    }
}

/// What libpq needs to give up in time on a server that is gone: one that does not take what is sent, and one that is
/// waited for and sends nothing, of which only its silence to keepalives tells. A server that is back is found as late
/// as an attempt ends that was begun before, so that has libpq's shortest patience.
const OF_CONNECTIONS: &str = "connect_timeout=2&tcp_user_timeout=3000&keepalives_idle=1&keepalives_interval=1\
     &keepalives_count=3&application_name=tokenkeep";

/// Makes connections for the pool.
pub struct Manager {
    url: DatabaseUrl,
    checked: OnceLock<()>,
}

impl Manager {
    pub fn new(url: DatabaseUrl) -> Self {
        Self {
            url,
            checked: OnceLock::new(),
        }
    }

    /// Connects, sets the connection up and checks what durability depends on.
    pub fn establish(&self) -> Result<AnyConnection, StoreError> {
        let connection = match &self.url {
            DatabaseUrl::Sqlite(path) => AnyConnection::Sqlite(open_sqlite(path)?),
            DatabaseUrl::Postgres(url) => {
                let url = DatabaseUrl::with_parameters(url, OF_CONNECTIONS);
                let mut c = PgConnection::establish(&url)
                    .map_err(|_| StoreError::Connect(self.url.to_string()))?;
                set_up_postgres(&mut c, &self.checked)?;
                AnyConnection::Postgres(c)
            }
        };
        Ok(connection)
    }

    /// Connects SQLite's one writer. It has more memory than those who read: what it changes is in many places.
    pub fn establish_writer(&self) -> Result<AnyConnection, StoreError> {
        let mut connection = self.establish()?;
        connection.batch_execute("PRAGMA cache_size = -16384")?;
        Ok(connection)
    }

    /// Connects where nobody else is: a SQLite file stays closed to all others as long as this is
    /// open, and one that others have open is `Busy`.
    pub fn establish_alone(&self) -> Result<AnyConnection, StoreError> {
        let DatabaseUrl::Sqlite(path) = &self.url else {
            return self.establish();
        };
        let mut c = connect_sqlite(path)?;
        // Before its first look: the lock is taken with that.
        c.batch_execute("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; COMMIT")?;
        set_up_sqlite(&mut c)?;
        Ok(AnyConnection::Sqlite(c))
    }
}

/// A file that is made by this is its owner's alone, as are those that SQLite puts beside it.
fn connect_sqlite(path: &Path) -> Result<SqliteConnection, StoreError> {
    let mut new = OpenOptions::new();
    // One that is there already stays as it is; one that cannot be made cannot be opened either.
    let _ = new.write(true).create_new(true).mode(0o600).open(path);
    let path = path.to_string_lossy();
    SqliteConnection::establish(&path)
        .map_err(|_| StoreError::Connect(format!("{path} cannot be opened as a SQLite file")))
}

impl r2d2::ManageConnection for Manager {
    type Connection = AnyConnection;
    type Error = StoreError;

    fn connect(&self) -> Result<AnyConnection, StoreError> {
        self.establish()
    }

    fn is_valid(&self, connection: &mut AnyConnection) -> Result<(), StoreError> {
        Ok(connection.batch_execute("SELECT 1")?)
    }

    fn has_broken(&self, connection: &mut AnyConnection) -> bool {
        on_backend!(connection, c => {
            std::thread::panicking()
                || AnsiTransactionManager::is_broken_transaction_manager(c)
        })
    }
}

/// Pool errors are told once, by whoever needed the connection.
#[derive(Debug)]
pub struct QuietErrors;

impl r2d2::HandleError<StoreError> for QuietErrors {
    fn handle_error(&self, error: StoreError) {
        log::debug!("a database connection could not be made: {error}");
    }
}

#[derive(QueryableByName)]
struct Setting {
    #[diesel(sql_type = sql_types::Text)]
    value: String,
}

/// Below this, two connections to one WAL file could corrupt it (the WAL-reset bug).
const OLDEST_SQLITE: (u32, u32, u32) = (3, 51, 3);

/// Together as long as the busy timeout.
const WAL_ATTEMPTS: u32 = 250;
const WAL_PAUSE: Duration = Duration::from_millis(20);

/// Opens a SQLite file so that what is committed is durable.
pub(super) fn open_sqlite(path: &Path) -> Result<SqliteConnection, StoreError> {
    let mut c = connect_sqlite(path)?;
    set_up_sqlite(&mut c)?;
    Ok(c)
}

fn set_up_sqlite(c: &mut SqliteConnection) -> Result<(), StoreError> {
    c.batch_execute("PRAGMA busy_timeout = 5000")?;
    switch_to_wal(c)?;
    // secure_delete overwrites what is wiped. A log that grew while somebody read is cut when it begins anew.
    // What SQLite keeps beside a statement stays in memory: no file has it.
    c.batch_execute(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON; \
         PRAGMA journal_size_limit = 16777216; PRAGMA temp_store = MEMORY;",
    )?;
    let mut expect = |query: &str, what: &str, good: &dyn Fn(&str) -> bool| {
        let value = sql_query(query).get_result::<Setting>(c)?.value;
        if good(&value) {
            return Ok(());
        }
        Err(StoreError::Unfit(format!("{what} is {value}")))
    };
    let setting = |name: &str| format!("SELECT CAST({name} AS TEXT) AS value FROM pragma_{name}");
    expect(
        "SELECT sqlite_version() AS value",
        "SQLite's version (3.51.3 at least)",
        &|version| {
            let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
            let mut next = || parts.next().unwrap_or(0);
            (next(), next(), next()) >= OLDEST_SQLITE
        },
    )?;
    expect(
        &setting("journal_mode"),
        "journal_mode (must be wal)",
        &|v| v == "wal",
    )?;
    expect(
        &setting("synchronous"),
        "synchronous (must be 2, FULL)",
        &|v| v == "2",
    )?;
    expect(&setting("foreign_keys"), "foreign_keys (must be 1)", &|v| {
        v == "1"
    })
}

/// Switches a file to WAL mode. While another process does the same, SQLite answers "locked" at once
/// instead of waiting: so this tries again.
fn switch_to_wal(c: &mut SqliteConnection) -> Result<(), StoreError> {
    for _ in 0..WAL_ATTEMPTS {
        match c
            .batch_execute("PRAGMA journal_mode = WAL")
            .map_err(StoreError::from)
        {
            Err(StoreError::Busy) => std::thread::sleep(WAL_PAUSE),
            done => return done,
        }
    }
    Err(StoreError::Busy)
}

fn set_up_postgres(c: &mut PgConnection, checked: &OnceLock<()>) -> Result<(), StoreError> {
    c.batch_execute(
        "SET statement_timeout = '3s'; SET lock_timeout = '3s'; \
         SET idle_in_transaction_session_timeout = '60s'; SET client_min_messages = 'warning'; \
         SET synchronous_commit = 'on'; SET default_transaction_isolation = 'read committed';",
    )?;
    // The server's own patience with us: what a session holds whose service is gone must not stay locked.
    c.batch_execute(
        "SET tcp_user_timeout = '3s'; SET tcp_keepalives_idle = 1; SET tcp_keepalives_interval = 1; \
         SET tcp_keepalives_count = 3",
    )?;
    if checked.get().is_some() {
        return Ok(());
    }
    for name in ["synchronous_commit", "fsync", "full_page_writes"] {
        let query = format!("SELECT current_setting('{name}') AS value");
        let value = sql_query(query).get_result::<Setting>(c)?.value;
        if value != "on" {
            return Err(StoreError::Unfit(format!("{name} is {value} (must be on)")));
        }
    }
    let _ = checked.set(());
    Ok(())
}
