//! The audit's records, read beside the service.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use tokenkeep::audit::Act;
use tokenkeep::jose::StorageKeys;
use tokenkeep::store::{AuditFilter, AuditRecord, DatabaseUrl, Entry, Store};

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

/// Writes a chain of its own with records of these times; returns its name.
pub fn chain(database: &TestDatabase, times: &[i64]) -> (Store, String) {
    let store = store(database);
    for at in times {
        let entry = Entry {
            act: Act::Read,
            object: "a test",
            outcome: "done",
            details: Value::Null,
            at: *at,
        };
        store.write(|tx| tx.audit(entry)).unwrap();
    }
    let newest = records(&store).into_iter();
    let of_test = newest.filter(|record| record.object == "a test");
    let writer = of_test.map(|record| record.writer).max().unwrap();
    (store, writer)
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
