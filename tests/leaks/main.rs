//! The search for secrets in everything that the tests told and kept; `tests/run` ends with it.
//!
//! Logs, metrics, answers, what commands printed, the environment of processes, SQLite's files, PostgreSQL's rows
//! and its log of writes are searched for the numbers, cryptograms and keys of the tests in six forms, and for
//! anything that looks like a card number.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail where it stands"
)]

#[allow(dead_code, reason = "the tests use the rest")]
mod canaries;
mod forms;
mod numbers;
mod postgres;
mod secrets;
mod sqlite;

use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use forms::Forms;

/// What was found, and in how much.
#[derive(Default)]
struct Search {
    bytes: usize,
    sources: usize,
    hits: Vec<String>,
}

impl Search {
    fn look(&mut self, forms: &Forms, place: &str, bytes: &[u8]) {
        self.note(forms, place, bytes, numbers::find(bytes));
    }

    /// In a database's own files digits of one value run on in the next: its values are looked at one by one.
    fn look_into_pages(&mut self, forms: &Forms, place: &str, bytes: &[u8]) {
        self.note(forms, place, bytes, numbers::find_of_sandbox(bytes));
    }

    fn note(&mut self, forms: &Forms, place: &str, bytes: &[u8], numbers: Vec<String>) {
        self.bytes += bytes.len();
        self.sources += 1;
        let found = forms.find(bytes).into_iter().chain(numbers);
        self.hits.extend(found.map(|hit| format!("{place}: {hit}")));
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

#[test]
fn w29_nothing_that_the_tests_told_or_kept_holds_a_secret() {
    let folder = |variable| PathBuf::from(std::env::var_os(variable).expect("run tests/run"));
    let mut kept = Vec::new();
    files(&folder("TOKENKEEP_TEST_LEAKS"), &mut kept);
    let is_secret = |file: &PathBuf| file.extension().is_some_and(|kind| kind == "secrets");
    let (made, mut kept): (Vec<_>, Vec<_>) = kept.into_iter().partition(is_secret);
    let server_log = folder("TOKENKEEP_TEST_CLUSTER").join("pg_wal");
    files(&server_log, &mut kept);
    let secrets = secrets::all(&made);
    let forms = Forms::of(&secrets);
    let mut search = Search::default();
    for file in &kept {
        // PostgreSQL gives up a file of its log while this reads.
        let Ok(bytes) = std::fs::read(file) else {
            continue;
        };
        let place = file.display().to_string();
        match sqlite::is_of_database(file, &bytes) || file.starts_with(&server_log) {
            true => search.look_into_pages(&forms, &place, &bytes),
            false => search.look(&forms, &place, &bytes),
        }
        if sqlite::is_database(&bytes) {
            search.look(&forms, &place, &sqlite::values(file));
        }
    }
    let rows = |place: &str, text: &str| search.look(&forms, place, text.as_bytes());
    postgres::each_database(rows);
    let Search {
        bytes,
        sources,
        hits,
    } = search;
    println!(
        "W-29 {} hits of {} secrets in {bytes} bytes of {sources} files and tables",
        hits.len(),
        secrets.len()
    );
    hits.iter().take(50).for_each(|hit| println!("{hit}"));
    assert!(hits.is_empty());
}

#[test]
fn w29_the_search_finds_each_form() {
    let secrets = secrets::all(&[]);
    let forms = Forms::of(&secrets);
    for (form, text) in [
        ("plain", "a5480980000000011b"),
        ("spaced", "card 5480 9800 0000 0011."),
        ("spaced", "card 5480-9800-0000-0011."),
        ("base64", "NTQ4MDk4MDAwMDAwMDAxMQ=="),
        ("base64", "eDU0ODA5ODAwMDAwMDAwMTE="),
        ("base64", "eHg1NDgwOTgwMDAwMDAwMDEx"),
        ("hex", "35343830393830303030303030303131"),
        (
            "URL-encoded",
            "%35%34%38%30%39%38%30%30%30%30%30%30%30%30%31%31",
        ),
        ("plain", "said: a demonstration cryptogram"),
    ] {
        let found = forms.find(text.as_bytes());
        assert!(
            found.iter().any(|hit| hit.contains(form)),
            "{form}: {found:?}"
        );
    }
    let key = std::fs::read("keys/signing/demo-alliance.pem").unwrap();
    assert!(!forms.find(&key).is_empty());
    assert!(!forms.find(&secrets[secrets.len() - 1]).is_empty());
    assert!(forms.find(b"5480981234 and 1784541600000").is_empty());
    assert!(numbers::find_of_sandbox(b"x=\"5555555555554444\"").is_empty());
    assert_eq!(numbers::find_of_sandbox(b"x=5480981234567890,").len(), 1);
    assert_eq!(numbers::find(b"x=\"5555555555554444\"").len(), 1);
    assert_eq!(numbers::find(b"card 5480981234567890,").len(), 1);
    assert!(numbers::find(b"at 1784541600000, id ab5555555555554444, 5555555555554445").is_empty());
    assert!(numbers::find(b"seconds 0.5555555555554444").is_empty());
}

#[test]
fn w29_of_a_database_each_value_is_looked_at_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kept.db");
    let rows = "CREATE TABLE kept (one TEXT, other TEXT);
        INSERT INTO kept VALUES ('127.0.0.1:55555', '55555554444'), ('7', '5555555555554444'),
            ('7', CAST('5555555555554444' AS BLOB))";
    let mut database = SqliteConnection::establish(&file.to_string_lossy()).unwrap();
    database.batch_execute(rows).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    assert!(sqlite::is_database(&bytes));
    assert!(numbers::find_of_sandbox(&bytes).is_empty());
    assert_eq!(numbers::find(&bytes).len(), 1, "what only runs together");
    assert_eq!(
        numbers::find(&sqlite::values(&file)).len(),
        2,
        "a text and a blob"
    );
    drop(database);
}
