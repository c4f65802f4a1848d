//! Who brings the schema up to date: a start where the settings let it, else `tokenkeep migrate` alone.

use rstest::rstest;
use tokenkeep::store::{DatabaseUrl, Store};

use crate::support::audit::{records, store};
use crate::support::commands::{Output, tokenkeep, with};
use crate::support::sql::sql;
use crate::support::{Backend, TestDatabase};

/// A step that no version of this program has.
const NEWER: &str = "INSERT INTO __diesel_schema_migrations (version) VALUES ('20991231000001')";

/// Starts a service that may not migrate, on ports that are free; it ends by itself only if it is
/// refused.
fn refused(database: &TestDatabase, more: (&str, &str)) -> Output {
    let arguments = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--api-listen",
        "127.0.0.1:0",
    ];
    with(database, &arguments, &[more])
}

fn tables(database: &TestDatabase, backend: Backend) -> usize {
    sql(database).count(match backend {
        Backend::Sqlite => "sqlite_master",
        Backend::Postgres => "pg_tables WHERE schemaname = 'public'",
    })
}

#[rstest]
fn without_migrate_on_start_a_schema_that_is_behind_is_refused_and_left_alone(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let setting = ("TOKENKEEP_MIGRATE_ON_START", "false");
    let database = TestDatabase::new(backend);
    for command in [vec!["cards", "list"], vec!["purge"], vec!["check"]] {
        let output = with(&database, &command, &[setting]);
        assert_ne!(output.code, 0, "{command:?}");
        assert!(output.stderr.contains("tokenkeep migrate"), "{output:?}");
    }
    let output = refused(&database, setting);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(
        output.stderr.contains("run `tokenkeep migrate`"),
        "{output:?}"
    );
    assert_eq!(tables(&database, backend), 0, "nothing was made");

    let migrated = with(&database, &["migrate"], &[setting]);
    assert_eq!(migrated.code, 0, "{migrated:?}");
    assert!(!migrated.stdout.contains("steps taken: 0"), "{migrated:?}");
    assert_eq!(with(&database, &["cards", "list"], &[setting]).code, 0);
    let again = tokenkeep(&database, &["migrate"]);
    assert!(again.stdout.contains("steps taken: 0"), "{again:?}");
    let recorded = records(&store(&database)).into_iter();
    let acts: Vec<String> = recorded.map(|record| record.act).collect();
    let migrations = acts.iter().filter(|act| *act == "schema.migrate").count();
    assert_eq!(migrations, 1, "a migration that did nothing is none");

    // A step back: a version from before the last step left it so.
    sql(&database).execute(
        "DELETE FROM __diesel_schema_migrations WHERE version = \
         (SELECT max(version) FROM __diesel_schema_migrations)",
    );
    assert_eq!(refused(&database, setting).code, 2);
}

#[rstest]
#[case("true")]
#[case("false")]
fn a_schema_that_is_newer_than_the_program_is_refused(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[case] migrates: &str,
) {
    let database = TestDatabase::new(backend);
    assert_eq!(tokenkeep(&database, &["migrate"]).code, 0);
    sql(&database).execute(NEWER);
    let output = refused(&database, ("TOKENKEEP_MIGRATE_ON_START", migrates));
    assert_eq!(output.code, 2, "{output:?}");
    assert!(
        output.stderr.contains("newer than this program"),
        "{output:?}"
    );
}

#[rstest]
fn in_production_no_start_migrates(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let database = TestDatabase::new(backend);
    let production = ("TOKENKEEP_ENVIRONMENT", "production");
    let output = with(&database, &["cards", "list"], &[production]);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("tokenkeep migrate"), "{output:?}");
    Store::migrate(&DatabaseUrl::parse(&database.url()).unwrap()).unwrap();
    assert_eq!(with(&database, &["cards", "list"], &[production]).code, 0);
}
