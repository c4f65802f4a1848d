//! The schema, one folder a database with equal names, embedded in the binary.

use std::collections::BTreeSet;

use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource};
use diesel::result::Error as DieselError;
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::Sqlite;
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::StoreError;
use super::connection::{AnyConnection, on_backend};

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

#[derive(QueryableByName)]
struct Step {
    #[diesel(sql_type = Text)]
    version: String,
}

/// Brings the schema up to date, on a connection for nothing else; returns how many steps that took.
/// Several processes may start at once: one migrates, the others wait.
pub fn run(connection: &mut AnyConnection) -> Result<usize, StoreError> {
    // Who has nothing to do needs no right to do it.
    if check(connection).is_ok() {
        return Ok(0);
    }
    let failed = |_| StoreError::Unfit("its schema cannot be brought up to date".to_owned());
    match connection {
        AnyConnection::Sqlite(c) => c.immediate_transaction(|c| {
            let run = c.run_pending_migrations(SQLITE).map(|steps| steps.len());
            Ok::<_, DieselError>(run.map_err(failed))
        })?,
        AnyConnection::Postgres(c) => {
            // Others may migrate a large table, so this waits longer than a request would. The lock
            // is the session's: the migrations' own transactions do not end it, closing it does.
            c.batch_execute(
                "SET statement_timeout = '10min'; SET lock_timeout = '10min'; \
                 SELECT pg_advisory_lock(7236837201)",
            )?;
            let run = c.run_pending_migrations(POSTGRES).map_err(failed)?;
            Ok(run.len())
        }
    }
}

/// Refuses a schema that is older or newer than this program. It only reads: the service's database
/// user may have no right to more.
pub fn check(connection: &mut AnyConnection) -> Result<(), StoreError> {
    let known = known()?;
    let applied = applied(connection)?;
    if applied.difference(&known).next().is_some() {
        return Err(StoreError::Schema("is newer than this program"));
    }
    if applied != known {
        return Err(StoreError::Schema(
            "is older than this program: run `tokenkeep migrate`",
        ));
    }
    Ok(())
}

/// The steps in this program; they have the same names for both databases.
fn known() -> Result<BTreeSet<String>, StoreError> {
    let steps: Vec<Box<dyn Migration<Sqlite>>> = SQLITE
        .migrations()
        .map_err(|_| StoreError::Unfit("this program's schema cannot be read".to_owned()))?;
    let versions = steps.iter().map(|step| step.name().version().to_string());
    Ok(versions.collect())
}

/// The steps that the database has gone.
fn applied(connection: &mut AnyConnection) -> Result<BTreeSet<String>, StoreError> {
    let noted = match connection {
        AnyConnection::Sqlite(_) => {
            "SELECT count(*) AS n FROM sqlite_master WHERE name = '__diesel_schema_migrations'"
        }
        AnyConnection::Postgres(_) => {
            "SELECT count(*) AS n FROM pg_class \
             WHERE oid = to_regclass('__diesel_schema_migrations')"
        }
    };
    let noted: Count = on_backend!(connection, c => sql_query(noted).get_result(c))?;
    if noted.n == 0 {
        return Ok(BTreeSet::new());
    }
    let query = sql_query("SELECT version FROM __diesel_schema_migrations");
    let steps: Vec<Step> = on_backend!(connection, c => query.load(c))?;
    Ok(steps.into_iter().map(|step| step.version).collect())
}
