//! D-03: commands that write in many steps are killed in the middle of them. The next run finishes, and all is as
//! after one that nothing has stopped.
//!
//! `strace` kills them as they begin one of their writes to the database.

use std::collections::BTreeMap;
use std::process::{Command, Output};

use rstest::rstest;
use serde_json::Value;
use tokenkeep::jose::StorageKeys;
use tokenkeep::store::{DatabaseUrl, Store};

use crate::migration_kills::Killing;
use crate::reseal::{NEW, OLD, stale};
use crate::retention::{AGED, named};
use crate::support::audit::{chain, contains, records, store};
use crate::support::build::{NUMBER_1, plain, refresh, status};
use crate::support::commands::{prepared, tokenkeep};
use crate::support::key_folder::KeyFolder;
use crate::support::sealed::{shop_with_every_secret, unreadable};
use crate::support::sql::sql;
use crate::support::strace::{Nth, calls_in, can_trace, traced};
use crate::support::{App, Backend, START, TestDatabase, is_full};

/// How often each command is killed.
fn kills() -> usize {
    if is_full() { 20 } else { 1 }
}

/// Whether nothing can be traced here; says so.
fn is_skipped() -> bool {
    let is_skipped = !can_trace();
    if is_skipped {
        println!("D-03 SKIPPED: no strace that may trace");
    }
    is_skipped
}

/// A command that is to be killed, on copies of one database.
struct Stopped<'a> {
    template: TestDatabase,
    arguments: &'a [&'a str],
    keys: &'a KeyFolder,
    /// What it writes with.
    write: &'static str,
}

impl<'a> Stopped<'a> {
    fn new(template: TestDatabase, arguments: &'a [&'a str], keys: &'a KeyFolder) -> Self {
        let write = match template {
            TestDatabase::Sqlite { .. } => "pwrite64",
            TestDatabase::Postgres { .. } => "sendto",
        };
        Self {
            template,
            arguments,
            keys,
            write,
        }
    }

    fn run(&self, program: Command, database: &TestDatabase) -> Output {
        let mut program = prepared(program, database, self.arguments);
        program
            .env("TOKENKEEP_KEYS", self.keys.path())
            .output()
            .unwrap()
    }

    /// Runs it to its end.
    fn finish(&self, database: &TestDatabase) {
        let output = self.run(Command::new(env!("CARGO_BIN_EXE_tokenkeep")), database);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}");
    }

    /// A database on which nothing has stopped it, and how many writes that took.
    fn unbroken(&self) -> (TestDatabase, usize) {
        let (whole, trace) = (
            self.template.copy(),
            tempfile::NamedTempFile::new().unwrap(),
        );
        let path = trace.path().to_str().unwrap();
        let calls = format!("trace={}", self.write);
        let output = self.run(traced(&["-e", &calls, "-o", path]), &whole);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}");
        let trace = std::fs::read_to_string(trace.path()).unwrap();
        (whole, calls_in(&trace).len())
    }

    /// Databases on which it was killed, at writes that lie as far apart as can be.
    fn killed(&self, writes: usize) -> impl Iterator<Item = TestDatabase> {
        (1..=kills()).map(move |kill| {
            let at = Nth {
                call: self.write.to_owned(),
                nth: writes * kill / (kills() + 1),
            };
            let database = self.template.copy();
            let killed = self.run(traced(&["-o", "/dev/null", "-e", &at.kill()]), &database);
            assert!(!killed.status.success(), "{at:?} of {writes} comes");
            database
        })
    }
}

/// Rows of what is purged, and rows that were recorded as gone.
fn left(database: &TestDatabase) -> BTreeMap<String, i64> {
    let tables = [
        "cards",
        "deliveries",
        "notifications",
        "events",
        "outbox",
        "tokens",
    ];
    let count = |table: &str| (table.to_owned(), sql(database).count(table) as i64);
    let mut left = BTreeMap::from_iter(tables.map(count));
    for record in records(&store(database)) {
        let details: Value = serde_json::from_str(&record.details).unwrap();
        // The first record of a chain names the others beside.
        let details = details.get("of").unwrap_or(&details);
        if let Some(rows) = details["rows"].as_i64() {
            *left.entry(record.object).or_default() += rows;
        }
    }
    left
}

/// How many rows are past their date.
fn due(database: &TestDatabase) -> i64 {
    let answer = tokenkeep(database, &["purge", "--dry-run", "--json"]).json();
    let classes = answer["classes"].as_array().unwrap().iter();
    classes.map(|class| class["rows"].as_i64().unwrap()).sum()
}

/// Cards that have ended, long ago, one that lives, and old records of the audit.
fn aged(backend: Backend) -> TestDatabase {
    let mut app = App::spawn(backend);
    let cards: Vec<String> = (0..10).map(|card| format!("card-{card}")).collect();
    let refreshed = |card: &String| {
        let refresh = refresh(card, START, NUMBER_1, ("12", "2031"));
        named(refresh, "CANARY-GONE")
    };
    app.deliver(&plain(&Vec::from_iter(cards.iter().map(refreshed))));
    let cancelled = |card: &String| status(card, Some(START + 1), "CANCELLED");
    app.deliver(&plain(&Vec::from_iter(cards.iter().map(cancelled))));
    app.deliver(&plain(&[status("alive", Some(START), "ACTIVE")]));
    app.stop();
    let database = app.database.copy();
    sql(&database).execute(AGED);
    drop(chain(&database, &[1, 2, 3]));
    database
}

/// What every command leaves as it was: the audit is as it was written, each card what its inputs lead to.
fn assert_whole(database: &TestDatabase, keys: &KeyFolder) {
    for arguments in [&["audit", "verify"][..], &["rebuild", "--check"]] {
        let program = Command::new(env!("CARGO_BIN_EXE_tokenkeep"));
        let mut command = prepared(program, database, arguments);
        let output = command.env("TOKENKEEP_KEYS", keys.path()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
}

#[rstest]
fn d03_a_purge_that_is_killed_in_its_middle_is_finished_by_the_next_one(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    if is_skipped() {
        return;
    }
    let keys = KeyFolder::whole();
    let purge = Stopped::new(aged(backend), &["purge"], &keys);
    let all = due(&purge.template);
    let (whole, writes) = purge.unbroken();
    let expected = left(&whole);
    let mut in_part = 0;
    for database in purge.killed(writes) {
        in_part += usize::from((1..all).contains(&due(&database)));
        purge.finish(&database);
        assert_eq!(left(&database), expected);
        assert_eq!(due(&database), 0);
        assert!(
            !contains(&database.bytes(), "CANARY-GONE"),
            "nothing of it is left"
        );
        assert_whole(&database, &keys);
    }
    assert!(in_part > 0, "no kill fell into the middle");
    let kills = kills();
    println!(
        "D-03 {backend:?} mid-purge: {kills} of {writes} writes, {in_part} with a part done, each finished"
    );
}

#[rstest]
fn d03_a_reseal_that_is_killed_in_its_middle_is_finished_by_the_next_one(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    if is_skipped() {
        return;
    }
    let keys = KeyFolder::whole();
    let mut shop = shop_with_every_secret(backend, &keys);
    shop.app.stop();
    keys.seal_with(NEW);
    let only_new = KeyFolder::whole();
    only_new.seal_with(NEW);
    only_new.remove_storage(OLD);
    let only_new = StorageKeys::load(only_new.path()).unwrap();
    let arguments = ["keys", "reseal", "--batch", "1"];
    let reseal = Stopped::new(shop.app.database.copy(), &arguments, &keys);
    let stale_in = |database: &TestDatabase| {
        let loaded = StorageKeys::load(keys.path()).unwrap().into();
        let url = DatabaseUrl::parse(&database.url()).unwrap();
        stale(&Store::open(&url, loaded).unwrap())
    };
    let all = stale_in(&reseal.template);
    let (whole, writes) = reseal.unbroken();
    let expected = unreadable(&whole, &only_new);
    assert_eq!(expected.0, 0);
    let mut in_part = 0;
    for database in reseal.killed(writes) {
        in_part += usize::from((1..all).contains(&stale_in(&database)));
        reseal.finish(&database);
        assert_eq!(stale_in(&database), 0);
        assert_eq!(unreadable(&database, &only_new), expected);
        assert_whole(&database, &keys);
    }
    assert!(in_part > 0, "no kill fell into the middle");
    let kills = kills();
    println!(
        "D-03 {backend:?} mid-rekey: {kills} of {writes} writes, {in_part} with a part done, each finished"
    );
}

/// D-20 kills at each step.
#[rstest]
fn d03_a_migration_that_is_killed_in_its_middle_is_finished_by_the_next_one(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    if is_skipped() {
        return;
    }
    let kills = kills();
    Killing::new(backend).kill_and_finish(0, kills);
    println!("D-03 {backend:?} mid-migration: {kills} kills, each finished");
}
