//! The schema, one folder a database with equal names, embedded in the binary.

use diesel::connection::SimpleConnection;
use diesel::result::Error as DieselError;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::StoreError;
use super::connection::AnyConnection;

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Brings the schema up to date, on a connection for nothing else. Several processes may start at
/// once: one migrates, the others wait.
pub fn run(connection: &mut AnyConnection) -> Result<(), StoreError> {
    let failed = |_| StoreError::Unfit("its schema cannot be brought up to date".to_owned());
    match connection {
        AnyConnection::Sqlite(c) => {
            c.immediate_transaction(|c| {
                Ok::<_, DieselError>(c.run_pending_migrations(SQLITE).map(|_| ()).map_err(failed))
            })??;
        }
        AnyConnection::Postgres(c) => {
            // Others may migrate a large table, so this waits longer than a request would. The lock
            // is the session's: the migrations' own transactions do not end it, closing it does.
            c.batch_execute(
                "SET statement_timeout = '10min'; SET lock_timeout = '10min'; \
                 SELECT pg_advisory_lock(7236837201)",
            )?;
            c.run_pending_migrations(POSTGRES).map_err(failed)?;
        }
    }
    Ok(())
}
