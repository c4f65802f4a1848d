//! Every column that holds sealed values, and the digests that are made from some of them.

/// A column of sealed values. A test compares this list with the tables themselves.
#[derive(Debug, Clone, Copy)]
pub struct SealedColumn {
    pub table: &'static str,
    pub column: &'static str,
    /// The column that names the row.
    pub row: &'static str,
    /// The SQL for what a value is bound to beside its table and column: the row, and the version of the
    /// number where the value is a number or belongs to one.
    pub bound_to: &'static str,
    /// The columns of the same row that hold the digest of this source, each with the SQL for its new value,
    /// in which `$2` is the new digest.
    pub digests: &'static [(&'static str, &'static str)],
}

/// Of two rows of one identity, which there never should be, the first keeps it.
const UNLESS_TAKEN: &str = "(SELECT $2 WHERE NOT EXISTS \
     (SELECT 1 FROM notifications o WHERE o.unique_identity = $2 AND o.id <> notifications.id))";

/// All sealed columns.
pub const SEALED: [SealedColumn; 14] = [
    of_number("tokens", "number"),
    of_number("tokens", "registered_number"),
    of_number("cryptograms", "value"),
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
        bound_to: row,
        digests: &[],
    }
}

const fn of_number(table: &'static str, column: &'static str) -> SealedColumn {
    SealedColumn {
        bound_to: "card_id || '/' || number_version",
        ..sealed(table, column, "card_id")
    }
}

/// What a value of a card's number is bound to: put back under a later number it does not open.
pub(super) fn number_place(card_id: &str, number_version: u32) -> String {
    format!("{card_id}/{number_version}")
}
