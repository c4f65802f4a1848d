//! P-17, P-01: the audit is purged by what its records say, and what the table of the chains' ends says
//! beside them changes nothing unseen.

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::telemetry::Clock;

use crate::support::audit::chain;
use crate::support::commands::{Output, tokenkeep};
use crate::support::sql::sql;
use crate::support::{Backend, TestDatabase};

/// Takes the audit's triggers away, as whoever owns the tables could.
fn without_triggers(database: &TestDatabase) {
    database.execute(match database {
        TestDatabase::Sqlite { .. } => {
            "DROP TRIGGER audit_is_not_changed; DROP TRIGGER audit_is_kept"
        }
        TestDatabase::Postgres { .. } => "ALTER TABLE audit DISABLE TRIGGER ALL",
    });
}

fn count(database: &TestDatabase, writer: &str) -> usize {
    sql(database).count(&format!("audit WHERE writer = '{writer}'"))
}

/// What `audit verify` finds.
fn faults(database: &TestDatabase) -> Value {
    tokenkeep(database, &["audit", "verify", "--json"]).json()["faults"].clone()
}

fn purged(output: &Output) -> i64 {
    let answer = output.json();
    let classes = answer["classes"].as_array().unwrap();
    let of_audit = classes.iter().find(|class| class["class"] == "audit");
    of_audit.unwrap()["rows"].as_i64().unwrap()
}

#[rstest]
fn p17_the_table_of_the_ends_does_not_make_purge_remove_what_is_not_old(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend);
    let now = Clock::system().now();
    let (_, fresh) = chain(&database, &[now, now, now]);
    let (_, mixed) = chain(&database, &[1, now, now]);
    without_triggers(&database);
    // The column that purge once went by; and an end put back to a record that is old enough.
    database.execute(&format!(
        "UPDATE audit_writers SET at = 1; \
         UPDATE audit_writers SET place = 1, head = (SELECT a.hash FROM audit a \
         WHERE a.writer = '{mixed}' AND a.place = 1) WHERE writer = '{mixed}'"
    ));
    let output = tokenkeep(&database, &["purge", "--json"]);
    assert_eq!((output.code, purged(&output)), (0, 0), "{output:?}");
    assert_eq!((count(&database, &fresh), count(&database, &mixed)), (3, 3));
    let expected = json!([{ "writer": mixed, "place": 2, "fault": "end-unknown" }]);
    assert_eq!(faults(&database), expected);
}

#[rstest]
fn p17_purge_keeps_a_chain_that_is_not_as_it_was_written_and_says_so(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend);
    let (_, altered) = chain(&database, &[1, 2, 3]);
    let (_, whole) = chain(&database, &[1, 2, 3]);
    without_triggers(&database);
    database.execute(&format!(
        "UPDATE audit SET actor = 'nobody' WHERE writer = '{altered}' AND place = 2"
    ));
    let output = tokenkeep(&database, &["purge", "--json"]);
    assert_eq!((output.code, purged(&output)), (1, 3), "{output:?}");
    assert!(
        output.stderr.contains("1 chains of the audit"),
        "{output:?}"
    );
    assert_eq!(
        (count(&database, &altered), count(&database, &whole)),
        (3, 0)
    );
    let expected = json!([{ "writer": altered, "place": 2, "fault": "altered" }]);
    assert_eq!(faults(&database), expected);
}

#[rstest]
fn p17_edits_of_the_table_of_the_ends_are_found(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend);
    let (store, writer) = chain(&database, &[1, 2, 3]);
    let edits = [
        ("DELETE FROM audit_writers", 4, "end-unknown"),
        (
            "UPDATE audit_writers SET place = 2, head = (SELECT a.hash FROM audit a \
          WHERE a.writer = audit_writers.writer AND a.place = 2)",
            3,
            "end-unknown",
        ),
        ("UPDATE audit_writers SET place = 4", 4, "missing"),
        ("UPDATE audit_writers SET head = 'x'", 3, "altered"),
    ];
    // Looked at without the command: what it finds in that table stands in its own record afterwards.
    let found = || -> Vec<(i64, &str)> {
        let verified = store.snapshot(|tx| tx.verify_audit(&[])).unwrap();
        let faults = verified.faults.iter();
        faults
            .map(|fault| (fault.place, fault.what.word()))
            .collect()
    };
    database.execute("CREATE TABLE ends AS SELECT * FROM audit_writers");
    for (edit, place, what) in edits {
        database.execute(&format!("{edit} WHERE writer = '{writer}'"));
        assert_eq!(found(), [(place, what)], "{edit}");
        database.execute(&format!(
            "DELETE FROM audit_writers WHERE writer = '{writer}'; \
             INSERT INTO audit_writers SELECT * FROM ends WHERE writer = '{writer}'"
        ));
    }
    assert_eq!(found(), []);
    println!(
        "P-17 {} of {} edits of the ends found",
        edits.len(),
        edits.len()
    );
}

#[rstest]
fn p17_a_purge_that_was_interrupted_goes_on_and_what_is_left_meanwhile_is_verified(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend);
    let (store, writer) = chain(&database, &[1, 2, 3, 4, 5]);
    let now = Clock::system().now();
    let end = store.read(|tx| tx.due_chains(now)).unwrap().remove(0);
    // Another process purges, and is killed.
    let other = crate::support::audit::store(&database);
    let begun = other.write(|tx| tx.purge_chain(&end, now, 2, now));
    assert_eq!((begun.unwrap(), count(&database, &writer)), (2, 3));
    assert_eq!(faults(&database), json!([]));

    without_triggers(&database);
    let alter = |actor: &str| {
        database.execute(&format!(
            "UPDATE audit SET actor = '{actor}' WHERE writer = '{writer}' AND place = 4"
        ));
    };
    alter("nobody");
    let expected = json!([{ "writer": writer, "place": 4, "fault": "altered" }]);
    assert_eq!(faults(&database), expected);
    assert_eq!(tokenkeep(&database, &["purge"]).code, 1);
    assert_eq!(count(&database, &writer), 3);

    alter("service");
    let output = tokenkeep(&database, &["purge", "--json"]);
    assert_eq!((output.code, purged(&output)), (0, 3), "{output:?}");
    assert_eq!(faults(&database), json!([]));
}
