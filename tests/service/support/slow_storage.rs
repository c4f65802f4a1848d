//! Storage that takes its time: every commit of deliveries is delayed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::sql_types::BigInt;
use diesel::{Connection, QueryableByName, RunQueryDsl, SqliteConnection, sql_query};

use super::TestDatabase;

impl TestDatabase {
    /// Makes every commit of deliveries take `by`, until `end`. On SQLite nothing else may write
    /// meanwhile.
    pub fn delay_commits(&self, by: Duration, end: &AtomicBool) {
        match self {
            Self::Sqlite { .. } => delay_on_sqlite(&self.url(), by, end),
            Self::Postgres { .. } => {
                self.execute(&format!(
                    "CREATE FUNCTION delay() RETURNS trigger LANGUAGE plpgsql AS \
                     $$ BEGIN PERFORM pg_sleep({}); RETURN NULL; END $$; \
                     CREATE TRIGGER delay AFTER INSERT ON deliveries \
                     FOR EACH STATEMENT EXECUTE FUNCTION delay()",
                    by.as_secs_f64()
                ));
                wait_while(Duration::from_millis(5), || !end.load(Ordering::SeqCst));
                self.execute("DROP FUNCTION delay CASCADE");
            }
        }
    }
}

/// SQLite has no function that sleeps. Its one lock for writing is held before each commit instead.
fn delay_on_sqlite(url: &str, by: Duration, end: &AtomicBool) {
    let mut c = SqliteConnection::establish(url).unwrap();
    // One commit follows another at once. Who waits as SQLite waits does not get in between.
    c.batch_execute("PRAGMA busy_timeout = 0").unwrap();
    let mut seen = commits_of_others(&mut c);
    while !end.load(Ordering::SeqCst) {
        wait_while(Duration::from_micros(20), || {
            c.batch_execute("BEGIN IMMEDIATE").is_err()
        });
        let commits = commits_of_others(&mut c);
        let is_due = commits != seen;
        if is_due {
            seen = commits;
            std::thread::sleep(by);
        }
        c.batch_execute("COMMIT").unwrap();
        if !is_due {
            // Nobody has come yet.
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A number that changes with every commit on another connection.
fn commits_of_others(c: &mut SqliteConnection) -> i64 {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        data_version: i64,
    }
    let row: Row = sql_query("PRAGMA data_version").get_result(c).unwrap();
    row.data_version
}

fn wait_while(pause: Duration, mut goes_on: impl FnMut() -> bool) {
    while goes_on() {
        std::thread::sleep(pause);
    }
}
