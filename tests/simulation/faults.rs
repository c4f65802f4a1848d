//! What goes wrong with a worker's store: a transaction that fails before it begins, before its commit or
//! after it, a process that dies at one of these points, a statement that fails in the middle.

use std::sync::{Arc, Mutex, PoisonError};

use diesel::sql_types::Text;
use diesel::{QueryableByName, RunQueryDsl, SqliteConnection, sql_query};
use tokenkeep::store::{FaultPoint, Store, StoreError};

/// What becomes of a worker when its fault comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The store reports an error, once.
    Error,
    /// The process is gone: nothing it does reaches the store any more.
    Crash,
}

/// The fault that waits for a worker, and whether it is gone.
#[derive(Debug, Default)]
pub struct Plan {
    is_gone: bool,
    /// At the so manieth passage of this point, counted from 0.
    waiting: Option<(FaultPoint, u32, Effect)>,
    /// What has come.
    came: Option<(FaultPoint, Effect)>,
}

/// A worker's plan. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Plan>>);

impl Faults {
    fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plans one.
    pub fn plan_one(&self, point: FaultPoint, passages: u32, effect: Effect) {
        self.plan().waiting = Some((point, passages, effect));
    }

    /// Drops the one that waits; returns the one that came.
    pub fn settle(&self) -> Option<(FaultPoint, Effect)> {
        let mut plan = self.plan();
        plan.waiting = None;
        plan.came.take()
    }

    /// The process dies here and now.
    pub fn kill(&self) {
        self.plan().is_gone = true;
    }

    pub fn is_gone(&self) -> bool {
        self.plan().is_gone
    }

    /// A store that suffers from them.
    pub fn of(&self, store: &Store) -> Store {
        let faults = self.clone();
        store.failing(move |point| faults.pass(point))
    }

    fn pass(&self, point: FaultPoint) -> Result<(), StoreError> {
        let mut plan = self.plan();
        if plan.is_gone {
            return Err(StoreError::Unavailable("the process is gone"));
        }
        match &mut plan.waiting {
            Some((waits_for, passages, effect)) if *waits_for == point => {
                if *passages > 0 {
                    *passages -= 1;
                    return Ok(());
                }
                let effect = *effect;
                plan.waiting = None;
                plan.came = Some((point, effect));
                plan.is_gone = effect == Effect::Crash;
                Err(StoreError::CannotWrite("disk I/O error"))
            }
            _ => Ok(()),
        }
    }
}

/// Lets the so manieth row that is written fail: see [`triggers`]. 0 is never.
pub fn fail_row(connection: &mut SqliteConnection, row: u32) {
    let arm = format!("UPDATE simulated_fault SET rows = {row}");
    sql_query(arm).execute(connection).unwrap();
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Statements that make every table count the rows written to it while a fault waits, and refuse the
/// one whose turn it is as a disk does that is full of errors. What is undone is counted again.
pub fn triggers(connection: &mut SqliteConnection) -> String {
    let tables: Vec<Name> = sql_query(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_\\_%' ESCAPE '\\' \
         AND name NOT LIKE 'sqlite%' ORDER BY name",
    )
    .load(connection)
    .unwrap();
    let mut all = "CREATE TABLE simulated_fault (rows INTEGER NOT NULL); \
                   INSERT INTO simulated_fault VALUES (0);"
        .to_owned();
    for Name { name } in tables {
        for act in ["INSERT", "UPDATE", "DELETE"] {
            all += &format!(
                "CREATE TRIGGER simulated_{name}_{act} BEFORE {act} ON {name} \
                 WHEN (SELECT rows FROM simulated_fault) > 0 BEGIN \
                 UPDATE simulated_fault SET rows = rows - 1; \
                 SELECT RAISE(ABORT, 'disk I/O error') FROM simulated_fault WHERE rows = 0; END;"
            );
        }
    }
    all
}
