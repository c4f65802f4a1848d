//! What the database knows of the time.

use diesel::dsl::max;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel::{QueryableByName, sql_query};

use super::connection::AnyConnection;
use super::schema::audit_writers;
use super::{StoreError, Tx};
use crate::telemetry::KnownTimes;

#[derive(QueryableByName)]
struct Time {
    #[diesel(sql_type = BigInt)]
    now: i64,
}

impl Tx<'_> {
    /// The time there, if the database has a clock of its own, and that of the newest record of the audit.
    pub fn known_times(&mut self) -> Result<KnownTimes, StoreError> {
        let newest = audit_writers::table
            .select(max(audit_writers::at))
            .first(self.connection)?;
        let database = self.server_time()?;
        Ok(KnownTimes { database, newest })
    }

    /// The time that leases go by, which does not move when this machine's clock is set: on PostgreSQL the server's,
    /// on SQLite, all of whose processes are on this machine, how long that has been `running`.
    pub fn lease_time(&mut self, running: i64) -> Result<i64, StoreError> {
        Ok(self.server_time()?.unwrap_or(running))
    }

    fn server_time(&mut self) -> Result<Option<i64>, StoreError> {
        let clock = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now";
        Ok(match self.connection {
            AnyConnection::Sqlite(_) => None,
            AnyConnection::Postgres(c) => Some(sql_query(clock).get_result::<Time>(c)?.now),
        })
    }
}
