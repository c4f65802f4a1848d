//! P-17: a database that was put back to an earlier copy of itself is found by the heads kept outside.

use rstest::rstest;
use serde_json::Value;
use tokenkeep::audit::Act;
use tokenkeep::store::{Entry, FaultKind, Head, Store};

use crate::support::audit::store;
use crate::support::commands::tokenkeep;
use crate::support::serve::Serve;
use crate::support::{Backend, START, TestDatabase, wait_until};

fn write(store: &Store, object: &str, count: usize) {
    for _ in 0..count {
        let entry = Entry {
            act: Act::Read,
            object,
            outcome: "done",
            details: Value::Null,
            at: START,
        };
        store.write(|tx| tx.audit(entry)).unwrap();
    }
}

/// A store whose chain went on from record 5 to record 10, the heads of then, and the database as it was
/// at record 5.
fn put_back(backend: Backend) -> (TestDatabase, Store, Vec<Head>) {
    let database = TestDatabase::new(backend);
    let store = store(&database);
    write(&store, "before", 5);
    database.execute(
        "CREATE TABLE copy AS SELECT * FROM audit; \
         CREATE TABLE ends AS SELECT * FROM audit_writers",
    );
    write(&store, "after", 5);
    let heads = store.read(|tx| tx.latest_heads(100)).unwrap();
    database.execute(match backend {
        Backend::Sqlite => "DROP TRIGGER audit_is_not_changed; DROP TRIGGER audit_is_kept",
        Backend::Postgres => "ALTER TABLE audit DISABLE TRIGGER ALL",
    });
    database.execute(
        "DELETE FROM audit; INSERT INTO audit SELECT * FROM copy; \
         DELETE FROM audit_writers; INSERT INTO audit_writers SELECT * FROM ends",
    );
    (database, store, heads)
}

fn found(store: &Store, kept: &[Head]) -> Vec<(i64, FaultKind)> {
    let verified = store.snapshot(|tx| tx.verify_audit(kept)).unwrap();
    let faults = verified.faults.into_iter();
    faults.map(|fault| (fault.place, fault.what)).collect()
}

#[rstest]
fn p17_the_replay_of_an_old_database_copy_is_found_by_the_heads_kept_outside(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (_database, store, heads) = put_back(backend);
    assert_eq!(found(&store, &[]), [], "nothing of it is in the database");
    assert_eq!(found(&store, &heads), [(6, FaultKind::Missing)]);
}

#[rstest]
fn p17_a_fork_that_went_on_to_the_same_place_is_found_by_the_heads_kept_outside(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (_database, store, heads) = put_back(backend);
    write(&store, "otherwise", 5);
    assert_eq!(found(&store, &[]), [], "nothing of it is in the database");
    assert_eq!(found(&store, &heads), [(10, FaultKind::Altered)]);
    // Also where a head was kept of both branches.
    let both = [heads, store.read(|tx| tx.latest_heads(100)).unwrap()].concat();
    assert_eq!(found(&store, &both), [(10, FaultKind::Altered)]);
}

#[test]
fn a_head_is_written_outside_once_and_not_with_every_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("heads");
    let database = TestDatabase::new(Backend::Sqlite);
    let act = || assert_eq!(tokenkeep(&database, &["cards", "list"]).code, 0);
    (0..3).for_each(|_| act());
    let variables = [
        ("TOKENKEEP_AUDIT__CHECKPOINT_FILE", file.to_str().unwrap()),
        ("TOKENKEEP_AUDIT__CHECKPOINT_EVERY", "1"),
    ];
    let mut serve = Serve::start_with(&database, &variables);
    let lines = || std::fs::read_to_string(&file).unwrap_or_default();
    wait_until("a first line is there", || lines().contains('\n'));
    act();
    assert!(serve.terminate().0.success());
    let mut heads = Vec::new();
    for line in lines().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let of_line: Vec<Head> = serde_json::from_value(line["heads"].clone()).unwrap();
        assert!(!of_line.is_empty());
        heads.extend(of_line);
    }
    let written = heads.len();
    heads.sort();
    heads.dedup();
    assert_eq!(heads.len(), written, "no head twice");
    assert!(written >= 6, "{written}");
}
