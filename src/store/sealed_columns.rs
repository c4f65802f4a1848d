//! Every column that holds sealed values, and the digests that are made from some of them.

/// A column of sealed values. A test compares this list with the tables themselves.
#[derive(Debug, Clone, Copy)]
pub struct SealedColumn {
    pub table: &'static str,
    pub column: &'static str,
    /// The column that names the row a value is bound to.
    pub row: &'static str,
    /// The columns of the same row that hold the digest of this source, each with the SQL for its new value,
    /// in which `$2` is the new digest.
    pub digests: &'static [(&'static str, &'static str)],
}

/// Of two rows of one identity, which there never should be, the first keeps it.
const UNLESS_TAKEN: &str = "(SELECT $2 WHERE NOT EXISTS \
     (SELECT 1 FROM notifications o WHERE o.unique_identity = $2 AND o.id <> notifications.id))";

/// All sealed columns.
pub const SEALED: [SealedColumn; 14] = [
    sealed("tokens", "number", "card_id"),
    sealed("tokens", "registered_number", "card_id"),
    sealed("cryptograms", "value", "card_id"),
    sealed("card_tokens", "value", "id"),
    sealed("registrations", "content", "id"),
    sealed("registrations", "payment", "id"),
    sealed("answers", "content", "id"),
    sealed("answers", "payment", "id"),
    sealed("notifications", "content", "id"),
    sealed("notifications", "payment", "id"),
    sealed("deliveries", "body", "id"),
    SealedColumn {
        digests: &[("identity", "$2"), ("unique_identity", UNLESS_TAKEN)],
        ..sealed("notifications", "identity_source", "id")
    },
    SealedColumn {
        digests: &[("digest", "$2")],
        ..sealed("card_tokens", "digest_source", "id")
    },
    SealedColumn {
        digests: &[("request", "$2")],
        ..sealed("idempotency_keys", "request_source", "id")
    },
];

const fn sealed(table: &'static str, column: &'static str, row: &'static str) -> SealedColumn {
    SealedColumn {
        table,
        column,
        row,
        digests: &[],
    }
}
