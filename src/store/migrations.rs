//! The schema, one folder a database with equal names, embedded in the binary.

use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::StoreError;
use super::connection::AnyConnection;

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Brings the schema up to date. Several processes may start at once: one migrates, the others wait.
pub fn run(connection: &mut AnyConnection) -> Result<(), StoreError> {
    let failed = |_| StoreError::Unfit("its schema cannot be brought up to date".to_owned());
    match connection {
        AnyConnection::Sqlite(c) => {
            c.run_pending_migrations(SQLITE).map_err(failed)?;
        }
        AnyConnection::Postgres(c) => {
            use diesel::RunQueryDsl;
            // A lock of this session, so that the migrations' own transactions do not end it.
            diesel::sql_query("SELECT pg_advisory_lock(7236837201)").execute(c)?;
            let migrated = c
                .run_pending_migrations(POSTGRES)
                .map(|_| ())
                .map_err(failed);
            diesel::sql_query("SELECT pg_advisory_unlock(7236837201)").execute(c)?;
            migrated?;
        }
    }
    Ok(())
}
