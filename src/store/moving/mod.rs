//! The move of everything into another, empty database: SQLite or PostgreSQL on either side.
//!
//! All or nothing: one snapshot is read, one transaction is written. Rows stay as they are, sealed
//! under the same keys, with their ids and places in every order. Nobody else may be at work: what
//! came in meanwhile would stay behind. The source is committed first, and from then on it stays under
//! maintenance: two databases never work with the same cards.
//!
//! Every table moves that the catalogue names, so that a new one cannot be forgotten. Two things do not: the list of
//! schema steps, which is the target's own, and the maintenance that the move leaves behind.

mod rows;
mod tables;

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;

use super::connection::{AnyConnection, Manager, on_backend};
use super::cryptograms::LET_ALL_RUN_OUT;
use super::{DatabaseUrl, Entry, Maintenance, StoreError, Tx, migrations};
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
    /// The target's commit failed; on a server it may have been done all the same.
    #[error(
        "the last step failed in {to}: {error}; {from} stays under maintenance; move again: it moves \
         everything, or it says that {to} is not empty, and then everything is there"
    )]
    Unknown {
        from: String,
        to: String,
        error: StoreError,
    },
    #[error("{error}; nothing is moved, but {from} stays under maintenance: {why}")]
    NotLifted {
        from: String,
        error: Box<MoveError>,
        why: StoreError,
    },
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
        let before = self.begin_maintenance(&mut source, now)?;
        // The source first: what it has handed over it no longer works with, whatever the target says.
        let copied = self.copy(&mut source, &mut target, &tables, &before, now, progress);
        let copied = copied.and_then(|counts| source.commit().map(|()| counts).map_err(Into::into));
        let counts = match copied {
            Ok(counts) => counts,
            Err(error) => {
                target.roll_back();
                source.roll_back();
                return Err(self.lift(&mut source, &before, error));
            }
        };
        target.commit().map_err(|error| MoveError::Unknown {
            from: self.from.to_string(),
            to: self.to.to_string(),
            error,
        })?;
        Ok(counts)
    }

    /// Before anything else: an end half-way leaves nothing that works. Whoever was under maintenance
    /// before stays so; returns what was in force.
    fn begin_maintenance(
        &self,
        source: &mut AnyConnection,
        now: i64,
    ) -> Result<Before, StoreError> {
        let reason = format!("moved to {}", self.to);
        let before = match self.tx(source).maintenance()? {
            Some(before) if !before.is_on() => Before::Draining(before),
            Some(before) if before.reason != reason => return Ok(Before::On),
            _ => Before::Nothing,
        };
        source.begin()?;
        self.tx(source).begin_maintenance(&reason, now)?;
        source.commit()?;
        Ok(before)
    }

    /// Nothing was moved: the source works on as before. Returns why, and what else went wrong.
    fn lift(&self, source: &mut AnyConnection, before: &Before, error: MoveError) -> MoveError {
        let restored = source
            .begin()
            .and_then(|()| before.put_back(&mut self.tx(source)))
            .and_then(|()| source.commit());
        match restored {
            Ok(()) => error,
            Err(why) => MoveError::NotLifted {
                from: self.from.to_string(),
                error: Box::new(error),
                why,
            },
        }
    }

    /// Writes everything into the target, and the marks of the move into the source; commits neither.
    fn copy(
        &self,
        source: &mut AnyConnection,
        target: &mut AnyConnection,
        tables: &[Table],
        before: &Before,
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
        before.put_back(&mut self.tx(target))?;
        if !matches!(before, Before::On) {
            counts.retain(|(name, _)| name != MAINTENANCE);
        }
        // Callers who wait are served even under maintenance.
        execute(source, LET_ALL_RUN_OUT)?;
        Ok(counts)
    }

    fn tx<'a>(&'a self, connection: &'a mut AnyConnection) -> Tx<'a> {
        Tx::new(connection, self.keys, self.writer, self.actor)
    }
}

/// What was in force in the source when the move began.
enum Before {
    /// Nothing, or what an earlier attempt at the same move left behind.
    Nothing,
    /// A backlog that drains goes on with that, wherever it is afterwards.
    Draining(Maintenance),
    /// Somebody's maintenance: it stays, and moves too.
    On,
}

impl Before {
    /// Puts it in the place of the move's own maintenance.
    fn put_back(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        match self {
            Self::Nothing => tx.end_maintenance(),
            Self::Draining(drain) => tx.put_maintenance(drain),
            Self::On => Ok(()),
        }
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
