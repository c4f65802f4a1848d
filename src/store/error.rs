//! What can go wrong with the database, said without any value that was bound to a query.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

use crate::jose::SealError;

/// A storage failure. The text is safe to log and to show to operators.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database cannot be reached: {0}")]
    Unavailable(&'static str),
    #[error("the database cannot be reached: {0}")]
    Connect(String),
    #[error("the database is locked by another process")]
    Busy,
    #[error("a row of this key is there already")]
    Conflict,
    #[error("the database cannot write now: {0}")]
    CannotWrite(&'static str),
    #[error("the database refused an operation: {0}")]
    Refused(String),
    #[error("the database is not fit for use: {0}")]
    Unfit(String),
    /// The schema is not the one this program works with.
    #[error("the database's schema {0}")]
    Schema(&'static str),
    #[error("the work was only rehearsed")]
    Rehearsed,
    #[error("a stored row is damaged: {0}")]
    Damaged(&'static str),
    #[error("the database itself is damaged, a backup must be restored: {0}")]
    Corrupt(&'static str),
    #[error(transparent)]
    Sealed(#[from] SealError),
}

impl StoreError {
    /// Whether the same work may succeed later: what stands in its way is not the work itself.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_) | Self::Connect(_) | Self::Busy | Self::CannotWrite(_)
        )
    }
}

impl From<DieselError> for StoreError {
    fn from(error: DieselError) -> Self {
        match error {
            DieselError::DatabaseError(kind, info) => of_database(&kind, info.message()),
            DieselError::BrokenTransactionManager => Self::Unavailable("the transaction broke"),
            // What broke the commit, not that it could not be undone either.
            DieselError::RollbackErrorOnCommit { commit_error, .. } => Self::from(*commit_error),
            DieselError::NotFound => Self::Damaged("an expected row is missing"),
            DieselError::SerializationError(_) | DieselError::DeserializationError(_) => {
                Self::Damaged("a value does not fit its column")
            }
            _ => Self::Refused("the query could not be run".to_owned()),
        }
    }
}

/// Constant parts of messages that say that the same work may succeed later. The rest of a server's
/// message may quote values, so it is never kept.
const PASSING: [&str; 14] = [
    "disk I/O error",
    "unable to open database file",
    "out of memory",
    "database or disk is full",
    "attempt to write a readonly database",
    "read-only transaction",
    "No space left on device",
    // Of a table or sequence: once it is granted, the same work succeeds.
    "permission denied for",
    "out of shared memory",
    "too many clients",
    "deadlock detected",
    "could not serialize access",
    "lock timeout",
    "statement timeout",
];

/// The same of messages that say that the connection is gone: libpq may tell so before it knows the connection as
/// closed, and diesel then knows the error as none in particular.
const CLOSED: [&str; 6] = [
    "server closed the connection",
    "terminating connection",
    "could not receive data from server",
    "could not send data to server",
    "no connection to the server",
    "the database system is",
];

/// The same of messages that say that the database's own files are not as they were written.
const CORRUPT: [&str; 5] = [
    "database disk image is malformed",
    "malformed database schema",
    "file is not a database",
    "invalid page in block",
    "could not read block",
];

fn of_database(kind: &DatabaseErrorKind, message: &str) -> StoreError {
    match kind {
        DatabaseErrorKind::UniqueViolation => StoreError::Conflict,
        DatabaseErrorKind::ClosedConnection => StoreError::Unavailable("the connection closed"),
        DatabaseErrorKind::UnableToSendCommand => StoreError::Unavailable("nothing can be sent"),
        DatabaseErrorKind::SerializationFailure => {
            StoreError::CannotWrite("could not serialize access")
        }
        _ if message.contains("database is locked") => StoreError::Busy,
        _ => {
            let among = |known: &[&'static str]| {
                let mut known = known.iter();
                known.find(|known| message.contains(**known)).copied()
            };
            match (among(&PASSING), among(&CLOSED), among(&CORRUPT)) {
                (Some(known), _, _) => StoreError::CannotWrite(known),
                (None, Some(known), _) => StoreError::Unavailable(known),
                (None, None, Some(known)) => StoreError::Corrupt(known),
                (None, None, None) => StoreError::Refused(format!("{kind:?}")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The first as libpq told it in D-11, the others as a server tells them that is being ended.
    #[test]
    fn a_connection_that_is_gone_is_passing_also_where_diesel_does_not_know_it_as_closed() {
        for message in [
            "server closed the connection unexpectedly\n\tThis probably means the server terminated \
             abnormally\n\tbefore or while processing the request.\n",
            "terminating connection due to administrator command",
            "the database system is shutting down",
        ] {
            let error = of_database(&DatabaseErrorKind::Unknown, message);
            assert!(error.is_passing(), "{error}");
        }
    }

    #[test]
    fn a_message_that_nobody_knows_is_refused_and_not_quoted() {
        let error = of_database(&DatabaseErrorKind::Unknown, "value 5480980000000011 is odd");
        assert!(!error.is_passing());
        assert_eq!(
            error.to_string(),
            "the database refused an operation: Unknown"
        );
    }
}
