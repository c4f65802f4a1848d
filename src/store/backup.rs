//! A copy of a SQLite database as it stands at one moment, beside whoever writes to it.
//!
//! `VACUUM INTO` reads one snapshot, and holds nobody up. SQLite's backup interface would begin anew
//! whenever another process writes, and might never end under load.

use std::fs::File;
use std::io;
use std::path::Path;

use diesel::connection::{Connection, SimpleConnection};
use diesel::sql_types::Text;
use diesel::{QueryableByName, RunQueryDsl, SqliteConnection, sql_query};

use super::connection::AnyConnection;
use super::cryptograms::LET_ALL_RUN_OUT;
use super::{Store, StoreError, structure};

/// What was written, after it was read again.
#[derive(Debug)]
pub struct BackedUp {
    pub bytes: u64,
    /// The latest migration in it.
    pub schema: String,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("a server's database is backed up by the server's own tools")]
    IsOfServer,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the copy cannot be written: {0}")]
    Io(#[from] io::Error),
    #[error("the copy is not whole: {0}")]
    NotWhole(&'static str),
}

impl From<diesel::result::Error> for BackupError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Store(error.into())
    }
}

#[derive(QueryableByName)]
struct Word {
    #[diesel(sql_type = Text)]
    word: String,
}

const LATEST: &str = "SELECT coalesce(max(version), '') AS word FROM __diesel_schema_migrations";

impl Store {
    /// Writes a copy into an empty file, reads it again, and makes it durable. Its cryptograms have run out: this
    /// database goes on handing them out.
    pub fn back_up(&self, to: &Path) -> Result<BackedUp, BackupError> {
        let mut connection = self.pooled()?;
        let AnyConnection::Sqlite(c) = &mut *connection else {
            return Err(BackupError::IsOfServer);
        };
        let path = to.to_str();
        let path = path.ok_or(BackupError::NotWhole("its path is no text"))?;
        sql_query("VACUUM INTO ?")
            .bind::<Text, _>(path)
            .execute(c)?;
        let schema = sql_query(LATEST).get_result::<Word>(c)?.word;
        let unreadable = |_| BackupError::NotWhole("it cannot be opened");
        let mut copy = SqliteConnection::establish(path).map_err(unreadable)?;
        copy.batch_execute(LET_ALL_RUN_OUT)?;
        check(&mut copy, &schema)?;
        drop(copy);
        let file = File::open(to)?;
        file.sync_all()?;
        Ok(BackedUp {
            bytes: file.metadata()?.len(),
            schema,
        })
    }
}

/// Reads all of the copy: its structure, its foreign keys, its schema.
fn check(c: &mut SqliteConnection, schema: &str) -> Result<(), BackupError> {
    if let Some(fault) = structure::fault_in(c)? {
        return Err(BackupError::NotWhole(fault));
    }
    if sql_query(LATEST).get_result::<Word>(c)?.word != schema {
        return Err(BackupError::NotWhole("its schema is another one"));
    }
    Ok(())
}
