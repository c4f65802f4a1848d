//! D-06: durability does not depend on how the database happens to be set up.

use rstest::rstest;
use tokenkeep::store::StoreError;

use crate::storage::open;
use crate::support::build::{plain, status};
use crate::support::sql::sql;
use crate::support::{App, Backend, START, TestDatabase};

const JOURNAL_MODE: &str = "SELECT journal_mode AS text FROM pragma_journal_mode";

fn deliver_one(app: &App) {
    app.deliver(&plain(&[status("card", Some(START), "ACTIVE")]));
}

#[test]
fn d06_a_sqlite_file_is_in_wal_mode_and_its_library_has_no_wal_reset_bug() {
    let app = App::spawn(Backend::Sqlite);
    deliver_one(&app);
    assert_eq!(sql(&app.database).texts(JOURNAL_MODE), ["wal"]);
    // The tests' own connection uses the same library.
    let version = sql(&app.database).texts("SELECT sqlite_version() AS text");
    let parts = version[0]
        .split('.')
        .map(|part| part.parse::<u32>().unwrap());
    assert!(Vec::from_iter(parts) >= vec![3, 51, 3], "{version:?}");
}

#[test]
fn d06_a_sqlite_file_left_in_another_journal_mode_is_put_into_wal_mode() {
    let database = TestDatabase::new(Backend::Sqlite);
    sql(&database)
        .execute("PRAGMA journal_mode = DELETE; PRAGMA synchronous = OFF; CREATE TABLE t (x)");
    open(&database).unwrap();
    assert_eq!(sql(&database).texts(JOURNAL_MODE), ["wal"]);
}

#[test]
fn d06_sqlite_connections_that_write_sync_fully_check_foreign_keys_and_wait_for_locks() {
    let app = App::spawn(Backend::Sqlite);
    // Asked by triggers: they run on the service's own connections.
    sql(&app.database).execute("CREATE TABLE seen (said TEXT)");
    for table in ["deliveries", "notifications"] {
        sql(&app.database).execute(&format!(
            "CREATE TRIGGER look_{table} AFTER INSERT ON {table} BEGIN INSERT INTO seen SELECT \
             (SELECT synchronous FROM pragma_synchronous) || ' ' || \
             (SELECT foreign_keys FROM pragma_foreign_keys) || ' ' || \
             (SELECT timeout >= 5000 FROM pragma_busy_timeout); END"
        ));
    }
    deliver_one(&app);
    let seen = sql(&app.database).texts("SELECT said AS text FROM seen");
    assert_eq!(seen, ["2 1 1", "2 1 1"]);
}

#[rstest]
#[case::of_the_database("ALTER DATABASE {name} SET")]
#[case::of_the_role("ALTER ROLE tokenkeep IN DATABASE {name} SET")]
fn d06_postgres_commits_synchronously_whatever_database_and_role_are_set_to(#[case] alter: &str) {
    let mut app = App::spawn(Backend::Postgres);
    app.stop();
    let isolation = "default_transaction_isolation = 'serializable'";
    for setting in ["synchronous_commit = off", isolation] {
        sql(&app.database).administer(&format!("{alter} {setting}"));
    }
    let fresh = "SELECT current_setting('synchronous_commit') AS text";
    assert_eq!(sql(&app.database).texts(fresh), ["off"]);
    app.start();
    // Asked by triggers: they run on the service's own connections.
    sql(&app.database).execute(
        "CREATE TABLE seen (said TEXT); CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit') || ' ' || \
         current_setting('transaction_isolation')); RETURN NEW; END $$; \
         CREATE TRIGGER look AFTER INSERT ON deliveries FOR EACH ROW EXECUTE FUNCTION look(); \
         CREATE TRIGGER look AFTER INSERT ON cards FOR EACH ROW EXECUTE FUNCTION look()",
    );
    deliver_one(&app);
    let seen = sql(&app.database).texts("SELECT said AS text FROM seen");
    assert_eq!(seen, ["on read committed", "on read committed"]);
}

#[test]
fn d06_a_postgres_server_without_fsync_is_refused() {
    let database = TestDatabase::new(Backend::Postgres);
    for name in ["fsync", "full_page_writes"] {
        let query = format!("SELECT current_setting('{name}') AS text");
        assert_eq!(sql(&database).texts(&query), ["on"], "{name}");
    }
    assert!(open(&database).is_ok());
    // The setting is the whole server's, so a function in front of the real one tells another.
    sql(&database).administer("ALTER DATABASE {name} SET search_path = shadow, pg_catalog, public");
    sql(&database).execute(
        "CREATE SCHEMA shadow; CREATE FUNCTION shadow.current_setting(name text) RETURNS text \
         LANGUAGE sql AS $$ SELECT CASE WHEN name = 'fsync' THEN 'off' ELSE 'on' END $$",
    );
    let refused = open(&database).map(drop);
    assert!(matches!(refused, Err(StoreError::Unfit(_))), "{refused:?}");
    assert!(refused.unwrap_err().to_string().contains("fsync is off"));
}
