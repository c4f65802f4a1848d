//! The audit's records, read beside the service.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokenkeep::jose::StorageKeys;
use tokenkeep::store::{AuditFilter, AuditRecord, DatabaseUrl, Store};

use super::{TestDatabase, keys};

/// A store of the test's own on a database, under the demonstration keys.
pub fn store(database: &TestDatabase) -> Store {
    let keys = Arc::new(StorageKeys::load(&keys()).unwrap());
    Store::open(&DatabaseUrl::parse(&database.url()).unwrap(), keys).unwrap()
}

/// Every record, the latest first.
pub fn records(store: &Store) -> Vec<AuditRecord> {
    let all = AuditFilter {
        limit: i64::MAX,
        ..AuditFilter::default()
    };
    store.read(|tx| tx.list_audit(&all)).unwrap()
}

/// Looks at what is new since it looked last.
pub struct Watch {
    store: Store,
    seen: BTreeSet<(String, i64)>,
}

impl Watch {
    pub fn begin(database: &TestDatabase) -> Self {
        let mut watch = Self {
            store: store(database),
            seen: BTreeSet::new(),
        };
        watch.new_records();
        watch
    }

    /// What was recorded since, chain by chain in the order of writing.
    pub fn new_records(&mut self) -> Vec<AuditRecord> {
        let mut found = records(&self.store);
        found.retain(|record| self.seen.insert((record.writer.clone(), record.place)));
        found.sort_by(|one, other| (&one.writer, one.place).cmp(&(&other.writer, other.place)));
        found
    }
}

/// Whether bytes hold a text.
pub fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}
