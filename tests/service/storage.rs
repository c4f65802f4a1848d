//! The schema of both databases, and write transactions.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rstest::rstest;
use tokenkeep::jose::StorageKeys;
use tokenkeep::store::{ApiKey, DatabaseUrl, Store, StoreError};

use crate::support::build::{plain, status};
use crate::support::serve::Serve;
use crate::support::sql::{all_verdicts, sql};
use crate::support::{App, Backend, Client, START, TestDatabase, keys};

/// Columns by table; one that may be null is marked.
type Columns = BTreeMap<String, BTreeSet<String>>;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub fn migrations_folder(backend: Backend) -> PathBuf {
    repository(match backend {
        Backend::Sqlite => "migrations/sqlite",
        Backend::Postgres => "migrations/postgres",
    })
}

/// The migrations of a database, oldest first.
pub fn migrations(backend: Backend) -> Vec<String> {
    let entries = std::fs::read_dir(migrations_folder(backend)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names = Vec::from_iter(names);
    names.sort();
    names
}

pub fn open(database: &TestDatabase) -> Result<Store, StoreError> {
    let keys = Arc::new(StorageKeys::load(&keys()).unwrap());
    Store::open(&DatabaseUrl::parse(&database.url()).unwrap(), keys)
}

fn columns(database: &TestDatabase, backend: Backend) -> Columns {
    // A primary key of SQLite's rowid kind says nothing of null.
    let query = match backend {
        Backend::Sqlite => {
            "SELECT m.name || '.' || c.name || \
             CASE WHEN c.\"notnull\" = 0 AND c.pk = 0 THEN '?' ELSE '' END AS text \
             FROM sqlite_master m, pragma_table_info(m.name) c \
             WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%'"
        }
        Backend::Postgres => {
            "SELECT table_name || '.' || column_name || \
             CASE is_nullable WHEN 'YES' THEN '?' ELSE '' END AS text \
             FROM information_schema.columns WHERE table_schema = 'public'"
        }
    };
    let mut tables = Columns::new();
    for column in sql(database).texts(query) {
        let (table, column) = column.split_once('.').unwrap();
        if table != "__diesel_schema_migrations" {
            let columns = tables.entry(table.to_owned()).or_default();
            columns.insert(column.to_owned());
        }
    }
    tables
}

/// The same, from the schema the store's queries are written against.
fn columns_of_the_code() -> Columns {
    let code = std::fs::read_to_string(repository("src/store/schema.rs")).unwrap();
    let mut tables = Columns::new();
    let mut table = String::new();
    for line in code.lines().map(str::trim) {
        let column = line
            .strip_suffix(',')
            .and_then(|line| line.split_once(" -> "));
        if let Some((name, kind)) = column {
            let mark = if kind.starts_with("Nullable") {
                "?"
            } else {
                ""
            };
            let columns = tables.entry(table.clone()).or_default();
            columns.insert(format!("{name}{mark}"));
        } else if let Some((name, _)) = line.split_once(" (").filter(|_| line.ends_with('{')) {
            table = name.to_owned();
        }
    }
    tables
}

/// Everything the schema consists of, as its database tells it.
pub fn schema(database: &TestDatabase, backend: Backend) -> Vec<String> {
    let query = match backend {
        Backend::Sqlite => {
            "SELECT type || ' ' || name || ' ' || coalesce(sql, '') AS text FROM sqlite_master"
        }
        Backend::Postgres => {
            "SELECT indexdef AS text FROM pg_indexes WHERE schemaname = 'public' UNION ALL \
             SELECT conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint \
             WHERE connamespace = 'public'::regnamespace UNION ALL \
             SELECT table_name || '.' || column_name || ' ' || data_type || is_nullable \
             || is_identity || coalesce(column_default, '') FROM information_schema.columns \
             WHERE table_schema = 'public'"
        }
    };
    let mut parts = sql(database).texts(query);
    parts.sort();
    parts
}

#[test]
fn the_migrations_of_both_databases_have_equal_names() {
    let names = migrations(Backend::Sqlite);
    assert!(!names.is_empty());
    assert_eq!(names, migrations(Backend::Postgres));
}

#[rstest]
fn both_schemas_have_the_columns_the_code_expects(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend);
    open(&database).unwrap();
    let expected = columns_of_the_code();
    assert!(expected.len() >= 8, "{expected:?}");
    assert_eq!(columns(&database, backend), expected);
}

#[rstest]
fn up_down_up_leads_to_the_same_schema(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend);
    open(&database).unwrap();
    let before = schema(&database, backend);
    for name in migrations(backend).iter().rev() {
        let down = migrations_folder(backend).join(name).join("down.sql");
        sql(&database).execute(&std::fs::read_to_string(down).unwrap());
    }
    assert_eq!(columns(&database, backend), Columns::new());
    sql(&database).execute("DELETE FROM __diesel_schema_migrations");
    open(&database).unwrap();
    assert_eq!(schema(&database, backend), before);
}

#[rstest]
fn d20_processes_that_start_at_once_on_a_new_database_all_come_up(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    for _ in 0..5 {
        let database = TestDatabase::new(backend);
        let refused: Vec<StoreError> = std::thread::scope(|scope| {
            let open = || open(&database).err();
            let opening: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
            opening
                .into_iter()
                .filter_map(|it| it.join().unwrap())
                .collect()
        });
        assert!(refused.is_empty(), "{refused:?}");
        assert_eq!(columns(&database, backend), columns_of_the_code());
    }
}

fn api_key(name: &str) -> ApiKey {
    ApiKey {
        name: name.to_owned(),
        role: "app".to_owned(),
        digest: name.to_owned(),
        created_at: START,
        revoked_at: None,
    }
}

#[rstest]
fn a_write_that_fails_or_panics_leaves_nothing_and_the_store_usable(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend);
    let store = open(&database).unwrap();
    for turn in 0..20 {
        let failed = store.write(|tx| {
            tx.insert_api_key(&api_key("half"))?;
            Err::<(), _>(StoreError::Busy)
        });
        assert!(matches!(failed, Err(StoreError::Busy)));
        let refused = store.write(|tx| {
            tx.insert_api_key(&api_key("twice"))?;
            tx.insert_api_key(&api_key("twice"))
        });
        assert!(matches!(refused, Err(StoreError::Conflict)));
        let panics = || {
            store.write(|tx| -> Result<(), StoreError> {
                tx.insert_api_key(&api_key("panicked"))?;
                panic!("as the test wants")
            })
        };
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        let key = api_key(&format!("kept-{turn}"));
        store.write(|tx| tx.insert_api_key(&key)).unwrap();
    }
    let keys = store.read(|tx| tx.list_api_keys()).unwrap();
    assert_eq!(keys.len(), 20);
    assert!(keys.iter().all(|key| key.name.starts_with("kept-")));
}

/// As it does by itself after some failures of the disk.
#[test]
fn a_transaction_that_sqlite_has_undone_by_itself_leaves_the_store_usable() {
    let database = TestDatabase::new(Backend::Sqlite);
    let store = open(&database).unwrap();
    sql(&database).execute(
        "CREATE TRIGGER undo BEFORE INSERT ON api_keys WHEN NEW.name = 'half' \
         BEGIN SELECT RAISE(ROLLBACK, 'as the test wants'); END",
    );
    let undone = store.write(|tx| tx.insert_api_key(&api_key("half")));
    assert!(undone.is_err());
    store
        .write(|tx| tx.insert_api_key(&api_key("kept")))
        .unwrap();
    assert_eq!(store.read(|tx| tx.list_api_keys()).unwrap().len(), 1);
}

#[rstest]
fn d16_two_processes_on_one_database_never_fail_on_each_others_locks(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let serve = Serve::start(&app.database);
    let urls = [app.receiver_url(), serve.url.clone()];
    std::thread::scope(|scope| {
        for (sender, url) in urls.iter().cycle().take(4).enumerate() {
            scope.spawn(move || {
                let client = Client::new();
                for number in 0..100 {
                    let card = format!("card-{sender}-{number}");
                    let body = plain(&[status(&card, Some(START), "ACTIVE")]);
                    let answer = client.post(url, &body.to_string());
                    assert_eq!(answer.status, 204, "{}", answer.text);
                }
            });
        }
    });
    app.settle();
    assert_eq!(all_verdicts(&app), ["applied"; 400]);
}
