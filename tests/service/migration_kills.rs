//! D-20: a process is killed while it brings the schema up to date. The next one finishes.
//!
//! `strace` kills it at the N-th call that changes a file (SQLite) or talks to the server (PostgreSQL): between
//! two of them nothing changes outside of the process. Seen to fail, on SQLite: with steps that run outside of a
//! transaction the next run finds tables that are there already; so does the second of two at once without the one
//! transaction around all steps.

use std::process::{Command, Output, Stdio};

use rstest::rstest;

use crate::storage::{migrations, migrations_folder, open, schema};
use crate::support::random::Random;
use crate::support::sql::sql;
use crate::support::strace::{Nth, calls_in, can_trace, traced};
use crate::support::{Backend, TestDatabase, is_full, keys};

/// What is counted.
pub fn calls(backend: Backend) -> &'static str {
    match backend {
        Backend::Sqlite => "pwrite64,fsync,fdatasync,ftruncate,unlink",
        Backend::Postgres => "sendto,recvfrom",
    }
}

/// A database that has gone the first steps, and how it is when it has gone all.
fn at_step(backend: Backend, steps: usize) -> TestDatabase {
    let database = TestDatabase::new(backend);
    let sql = sql(&database);
    sql.execute(
        "CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL, \
         run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)",
    );
    for name in migrations(backend).iter().take(steps) {
        let up = migrations_folder(backend).join(name).join("up.sql");
        sql.execute(&std::fs::read_to_string(up).unwrap());
        let (version, _) = name.split_once('_').unwrap();
        let version = version.replace('-', "");
        sql.execute(&format!(
            "INSERT INTO __diesel_schema_migrations (version) VALUES ('{version}')"
        ));
    }
    database
}

/// What the database consists of, less the record of the steps, which diesel makes.
fn parts(database: &TestDatabase, backend: Backend) -> Vec<String> {
    let mut parts = schema(database, backend);
    parts.retain(|part| !part.contains("__diesel_schema_migrations"));
    parts
}

fn migrate(database: &TestDatabase, mut program: Command) -> Command {
    program
        .arg("migrate")
        .env("DATABASE_URL", database.url())
        .env("TOKENKEEP_KEYS", keys())
        .env("RUST_LOG", "error")
        .stderr(Stdio::piped())
        .stdout(Stdio::piped());
    program
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tokenkeep"))
}

/// The calls of a whole run.
fn calls_from(backend: Backend, steps: usize) -> Vec<Nth> {
    let database = at_step(backend, steps);
    let trace = tempfile::NamedTempFile::new().unwrap();
    let (path, calls) = (
        trace.path().to_str().unwrap(),
        format!("trace={}", calls(backend)),
    );
    let done = migrate(&database, traced(&["-e", &calls, "-o", path])).output();
    is_done(&done.unwrap());
    calls_in(&std::fs::read_to_string(trace.path()).unwrap())
}

fn is_done(output: &Output) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
}

/// A database whose migration from this step on was killed at one of these calls.
fn killed(backend: Backend, step: usize, calls: &[Nth], random: &mut Random) -> TestDatabase {
    // What a server sends comes in more pieces or in fewer each time: a run may end before its call.
    for _ in 0..20 {
        let database = at_step(backend, step);
        let at = &calls[random.below(calls.len())];
        let killed = traced(&["-o", "/dev/null", "-e", &at.kill()]);
        let killed = migrate(&database, killed).output().unwrap();
        if !killed.status.success() {
            return database;
        }
    }
    panic!("nothing is killed at step {step}");
}

/// Migrations that are killed and finished by the next run.
pub struct Killing {
    backend: Backend,
    whole: Vec<String>,
    random: Random,
}

impl Killing {
    pub fn new(backend: Backend) -> Self {
        let whole = TestDatabase::new(backend);
        open(&whole).unwrap();
        Self {
            backend,
            whole: parts(&whole, backend),
            random: Random::new(20),
        }
    }

    /// Kills so many migrations from this step on, each at another call; the next one finishes.
    pub fn kill_and_finish(&mut self, step: usize, kills: usize) {
        let calls = calls_from(self.backend, step);
        for _ in 0..kills {
            let database = killed(self.backend, step, &calls, &mut self.random);
            is_done(&migrate(&database, program()).output().unwrap());
            open(&database).unwrap();
            assert_eq!(parts(&database, self.backend), self.whole, "step {step}");
        }
    }
}

#[rstest]
fn d20_whoever_is_killed_while_it_migrates_the_next_one_finishes(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    if !can_trace() {
        println!("D-20 SKIPPED: no strace that may trace");
        return;
    }
    let kills = if is_full() { 20 } else { 1 };
    let steps = migrations(backend).len();
    let mut killing = Killing::new(backend);
    for step in 0..steps {
        killing.kill_and_finish(step, kills);
    }
    println!(
        "D-20 {backend:?}: {0} of {0} kills during {steps} steps, each finished by the next",
        steps * kills
    );
}

#[rstest]
fn d20_of_two_processes_that_migrate_at_once_one_does_and_the_other_waits(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let whole = TestDatabase::new(backend);
    open(&whole).unwrap();
    let whole = parts(&whole, backend);
    let steps = migrations(backend).len();
    for step in 0..steps {
        let database = at_step(backend, step);
        let both =
            [program(), program()].map(|program| migrate(&database, program).spawn().unwrap());
        for one in both {
            is_done(&one.wait_with_output().unwrap());
        }
        assert_eq!(parts(&database, backend), whole, "step {step}");
    }
    println!("D-20 {backend:?}: two at once from each of {steps} steps, both came up");
}
