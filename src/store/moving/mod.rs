//! The move of everything into another, empty database: SQLite or PostgreSQL on either side.
//!
//! All or nothing: one snapshot is read, one transaction is written. Rows stay as they are, sealed
//! under the same keys, with their ids and places in every order. Nobody else may be at work: what
//! came in meanwhile would stay behind.
//!
//! Every table moves that the catalogue names, so that a new one cannot be forgotten. Two things do not: the list of
//! schema steps, which is the target's own, and the maintenance that the move leaves behind.

mod rows;
mod tables;

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;

use super::connection::{AnyConnection, Manager, on_backend};
use super::cryptograms::LET_ALL_RUN_OUT;
use super::{DatabaseUrl, Entry, StoreError, Tx, migrations};
use crate::audit::{Act, Actor};
use crate::jose::StorageKeys;

use rows::copy_rows;
use tables::{Table, count, tables};

/// Why nothing was moved.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    #[error("another tokenkeep uses {0}: stop it first")]
    InUse(String),
    #[error("{0} is not empty: {1} has rows")]
    NotEmpty(String, String),
    #[error("{0} does not arrive whole: nothing is moved")]
    NotWhole(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<diesel::result::Error> for MoveError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Store(error.into())
    }
}

/// A move: from where, to where, and on whose behalf.
pub struct Moving<'a> {
    pub from: &'a DatabaseUrl,
    pub to: &'a DatabaseUrl,
    pub keys: &'a StorageKeys,
    pub actor: &'a Actor,
    /// The audit's chain of this process.
    pub writer: &'a str,
}

/// The table of what a move leaves behind.
const MAINTENANCE: &str = "maintenance";
/// A process that has just ended may still be seen for as long.
const OTHERS_LEAVE: Duration = Duration::from_secs(3);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How far a move has come: rows in all, and those that arrived.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

impl Moving<'_> {
    /// Moves everything; returns the rows of each table. What is left behind is under maintenance, so
    /// that no call is made twice.
    pub fn run(&self, now: i64, progress: Progress<'_>) -> Result<Vec<(String, u64)>, MoveError> {
        let mut source = alone(self.from)?;
        let mut target = alone(self.to)?;
        let tables = tables(&mut source)?;
        if let Some(table) = first_with_rows(&mut target, &tables)? {
            return Err(MoveError::NotEmpty(self.to.to_string(), table));
        }
        let is_ours = self.begin_maintenance(&mut source, now)?;
        let moved = self.copy(&mut source, &mut target, &tables, is_ours, now, progress);
        if moved.is_err() {
            target.roll_back();
            source.roll_back();
            if is_ours {
                self.tx(&mut source).end_maintenance()?;
            }
        }
        moved
    }

    /// Before anything else: an end half-way leaves nothing that works. Whoever was under maintenance
    /// before stays so; returns whether it is the move's own.
    fn begin_maintenance(&self, source: &mut AnyConnection, now: i64) -> Result<bool, StoreError> {
        let reason = format!("moved to {}", self.to);
        let mut tx = self.tx(source);
        let before = tx.maintenance()?;
        let is_ours = before.is_none_or(|before| before.reason == reason);
        if is_ours {
            source.begin()?;
            self.tx(source).begin_maintenance(&reason, now)?;
            source.commit()?;
        }
        Ok(is_ours)
    }

    fn copy(
        &self,
        source: &mut AnyConnection,
        target: &mut AnyConnection,
        tables: &[Table],
        is_ours: bool,
        now: i64,
        progress: Progress<'_>,
    ) -> Result<Vec<(String, u64)>, MoveError> {
        begin_whole(source)?;
        keep_others_from_writing(source, tables)?;
        self.tx(source).audit(Entry {
            act: Act::DatabaseMoved,
            object: "database",
            outcome: "done",
            details: serde_json::json!({ "to": self.to.to_string() }),
            at: now,
        })?;
        let mut counts = Vec::new();
        for table in tables {
            counts.push((table.name.clone(), count(source, &table.name)?));
        }
        begin_whole(target)?;
        let all = counts.iter().map(|(_, count)| count).sum();
        let mut arrived = 0;
        for table in tables {
            copy_rows(source, target, table, &mut |rows| {
                arrived += rows;
                progress(all, arrived);
            })?;
        }
        tables::settle(source, target, tables)?;
        for (name, expected) in &counts {
            if count(target, name)? != *expected {
                return Err(MoveError::NotWhole(name.clone()));
            }
        }
        if is_ours {
            self.tx(target).end_maintenance()?;
            counts.retain(|(name, _)| name != MAINTENANCE);
        }
        // Callers who wait are served even under maintenance.
        execute(source, LET_ALL_RUN_OUT)?;
        target.commit()?;
        source.commit()?;
        Ok(counts)
    }

    fn tx<'a>(&'a self, connection: &'a mut AnyConnection) -> Tx<'a> {
        Tx::new(connection, self.keys, self.writer, self.actor)
    }
}

/// A connection with the schema up to date, while no other tokenkeep has one.
fn alone(url: &DatabaseUrl) -> Result<AnyConnection, MoveError> {
    let manager = Manager::new(url.clone());
    let begun = Instant::now();
    loop {
        match manager.establish_alone() {
            Err(StoreError::Busy) => {}
            established => {
                let mut connection = established?;
                if tables::others(&mut connection)? == 0 {
                    migrations::run(&mut connection)?;
                    return Ok(connection);
                }
            }
        }
        if begun.elapsed() >= OTHERS_LEAVE {
            return Err(MoveError::InUse(url.to_string()));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

fn first_with_rows(
    target: &mut AnyConnection,
    tables: &[Table],
) -> Result<Option<String>, MoveError> {
    for table in tables {
        if count(target, &table.name)? > 0 {
            return Ok(Some(table.name.clone()));
        }
    }
    Ok(None)
}

/// Begins a transaction that sees one moment, and has as much time as it needs.
fn begin_whole(connection: &mut AnyConnection) -> Result<(), StoreError> {
    connection.begin()?;
    if let AnyConnection::Postgres(c) = connection {
        c.batch_execute(
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET LOCAL statement_timeout = 0; \
             SET LOCAL idle_in_transaction_session_timeout = 0",
        )?;
    }
    Ok(())
}

/// A file is closed to others; of a server's tables, nobody may write meanwhile.
fn keep_others_from_writing(
    source: &mut AnyConnection,
    tables: &[Table],
) -> Result<(), StoreError> {
    let names = tables.iter().map(|table| table.name.as_str());
    let names = Vec::from_iter(names).join(", ");
    match source {
        AnyConnection::Sqlite(_) => Ok(()),
        AnyConnection::Postgres(_) => execute(source, &format!("LOCK TABLE {names} IN SHARE MODE")),
    }
}

/// Runs a statement without values.
fn execute(connection: &mut AnyConnection, statement: &str) -> Result<(), StoreError> {
    on_backend!(connection, c => c.batch_execute(statement))?;
    Ok(())
}
