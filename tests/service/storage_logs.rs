//! D-21: a database's write-ahead log, and the shared memory beside it, are not as they were written.
//!
//! Seen to fail: without the check of the log's header a start finds nothing of what was in the log, and says
//! nothing.

use std::fs;
use std::path::PathBuf;

use tokenkeep::store::StoreError;

use crate::storage_damage::{filled, finder, open};
use crate::support::commands::with;
use crate::support::disk::image_folder;
use crate::support::marked::{Sender, nothing_is_lost};
use crate::support::serve::Serve;
use crate::support::{Backend, TestDatabase};

/// A database whose service was killed: what it acknowledged last is in the log alone.
fn killed(name: &str) -> (TestDatabase, Sender) {
    let database = TestDatabase::new(Backend::Sqlite);
    let mut serve = Serve::start(&database);
    let mut sender = Sender::new(serve.address(), name);
    for _ in 0..20 {
        assert_eq!(sender.send().status, 204);
    }
    serve.kill();
    (database, sender)
}

fn beside(database: &TestDatabase, end: &str) -> PathBuf {
    let mut file = database.file().into_os_string();
    file.push(end);
    file.into()
}

#[test]
fn d21_without_the_shared_memory_nothing_is_missing() {
    let (database, sender) = killed("one");
    fs::remove_file(beside(&database, "-shm")).unwrap();
    let serve = Serve::start(&database);
    let kept = nothing_is_lost(&database, serve, &[sender]);
    println!("D-21 {kept} of 20 there without the shared memory");
}

#[test]
fn d21_a_log_without_its_header_is_refused_not_taken_for_an_empty_one() {
    let (database, _) = killed("one");
    let log = beside(&database, "-wal");
    let whole = fs::read(&log).unwrap();
    for damage in [0..32, 0..1, 8..9, 16..17, 31..32] {
        let mut damaged = whole.clone();
        damaged[damage.clone()]
            .iter_mut()
            .for_each(|byte| *byte = !*byte);
        fs::write(&log, damaged).unwrap();
        let refused = open(&database.file());
        assert!(matches!(refused, Err(StoreError::Corrupt(_))), "{damage:?}");
        let check = with(&database, &["check"], &[]);
        assert!(
            check.code == 1 && check.stderr.contains("write-ahead log"),
            "{check:?}"
        );
    }
    fs::write(&log, whole).unwrap();
    assert!(open(&database.file()).is_ok());
}

/// A log holds whole pages. That of a new database holds all of them: what comes of it is that other database,
/// whole, which only the heads kept outside tell from this one.
#[test]
fn d21_the_log_of_another_database_is_found_by_the_heads_that_were_kept() {
    let (other, _) = killed("other");
    let (new, _) = killed("one");
    let old = filled();
    for database in [&new, &old.database] {
        let heads = open(&database.file())
            .unwrap()
            .snapshot(|tx| tx.latest_heads(10));
        let folder = image_folder();
        let target = folder.path().join("tokenkeep.db");
        fs::copy(database.file(), &target).unwrap();
        fs::copy(
            beside(&other, "-wal"),
            folder.path().join("tokenkeep.db-wal"),
        )
        .unwrap();
        match open(&target) {
            Err(error) => println!("D-21 the log of another database: {error}"),
            Ok(store) => {
                let found = finder(&store, &heads.unwrap()).expect("somebody finds it");
                println!("D-21 the log of another database: {found} finds it");
            }
        }
    }
}
