//! Every sealed column of every table, as the tables themselves say: what stands there opens nowhere else, and
//! shows nothing.

use std::collections::BTreeSet;

use rstest::rstest;
use tokenkeep::jose::{StorageKeys, sealed_with};
use tokenkeep::store::{SEALED, SealedColumn};

use crate::canaries;
use crate::support::key_folder::KeyFolder;
use crate::support::sealed::{place, shop_with_every_secret, values};
use crate::support::sql::sql;
use crate::support::{Backend, TestDatabase};

/// The columns that hold bytes: all of them are sealed.
fn columns_of_bytes(database: &TestDatabase) -> BTreeSet<String> {
    let query = match database {
        TestDatabase::Sqlite { .. } => {
            "SELECT m.name || '.' || c.name AS text FROM sqlite_master m, pragma_table_info(m.name) c \
             WHERE m.type = 'table' AND c.type = 'BLOB'"
        }
        TestDatabase::Postgres { .. } => {
            "SELECT table_name || '.' || column_name AS text FROM information_schema.columns \
             WHERE table_schema = 'public' AND data_type = 'bytea'"
        }
    };
    sql(database).texts(query).into_iter().collect()
}

fn name(of: &SealedColumn) -> String {
    format!("{}.{}", of.table, of.column)
}

#[rstest]
fn p07_every_column_of_bytes_is_sealed_and_listed(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let keys = KeyFolder::whole();
    let shop = shop_with_every_secret(backend, &keys);
    let database = &shop.app.database;
    let listed: BTreeSet<String> = SEALED.iter().map(name).collect();
    assert_eq!(columns_of_bytes(database), listed);
    for column in &SEALED {
        for (row, sealed) in values(database, column) {
            assert_eq!(
                sealed_with(&sealed),
                Some("demo-storage"),
                "{} of {row}",
                name(column)
            );
        }
    }
}

#[rstest]
fn p07_a_sealed_value_opens_in_its_own_place_only(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let folder = KeyFolder::whole();
    let shop = shop_with_every_secret(backend, &folder);
    let database = &shop.app.database;
    let keys = StorageKeys::load(folder.path()).unwrap();
    let mut refused = 0;
    for column in &SEALED {
        let values = values(database, column);
        let (row, sealed) = &values[0];
        assert!(
            keys.open(sealed, &place(column, row)).is_ok(),
            "{}",
            name(column)
        );
        let mut is_refused = |sealed: &[u8], of: &SealedColumn, row: &str, how: &str| {
            refused += 1;
            assert!(
                keys.open(sealed, &place(of, row)).is_err(),
                "{}: {how}",
                name(column)
            );
        };
        is_refused(sealed, column, &values[1].0, "in another row");
        for other in SEALED.iter().filter(|other| name(other) != name(column)) {
            is_refused(sealed, other, row, &format!("in {}", name(other)));
        }
        for cut in 0..sealed.len() {
            is_refused(&sealed[..cut], column, row, "cut");
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            is_refused(&changed, column, row, "changed");
        }
    }
    println!("P-07 {backend:?}: {refused} of {refused} moved, cut or changed values refused");
}

/// Every value of every table, as text.
pub fn told(database: &TestDatabase) -> String {
    let tables = match database {
        TestDatabase::Sqlite { .. } => {
            "SELECT name AS text FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        }
        TestDatabase::Postgres { .. } => {
            "SELECT table_name AS text FROM information_schema.tables WHERE table_schema = 'public'"
        }
    };
    let dump = |table: &String| match database {
        TestDatabase::Sqlite { .. } => {
            let columns = format!("SELECT name AS text FROM pragma_table_info('{table}')");
            let columns = sql(database).texts(&columns);
            let shown = columns.iter().map(|column| {
                format!(
                    "coalesce(lower(CASE typeof(\"{column}\") WHEN 'blob' \
                     THEN hex(\"{column}\") ELSE \"{column}\" END), '')"
                )
            });
            let shown: Vec<String> = shown.collect();
            format!(
                "SELECT {} AS text FROM \"{table}\"",
                shown.join(" || ' ' || ")
            )
        }
        TestDatabase::Postgres { .. } => {
            format!("SELECT lower(t::text) AS text FROM \"{table}\" t")
        }
    };
    let tables = sql(database).texts(tables);
    let rows = tables
        .iter()
        .flat_map(|table| sql(database).texts(&dump(table)));
    rows.collect::<Vec<_>>().join("\n")
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[rstest]
fn p06_nothing_at_rest_shows_a_number_or_a_cryptogram(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let folder = KeyFolder::whole();
    let shop = shop_with_every_secret(backend, &folder);
    let database = &shop.app.database;
    let mut bytes = database.bytes();
    if let TestDatabase::Sqlite { folder } = database {
        let wal = std::fs::metadata(folder.path().join("tokenkeep.db-wal")).unwrap();
        assert!(wal.len() > 0, "the log was searched, too");
        let copy = folder.path().join("copy.db");
        sql(database).execute(&format!("VACUUM INTO '{}'", copy.display()));
        bytes.extend(std::fs::read(copy).unwrap());
    }
    bytes.extend(told(database).into_bytes());
    let secrets = canaries::NUMBERS.iter().chain(&canaries::TEXTS);
    let mut looked_for = 0;
    for secret in secrets {
        for form in [(*secret).to_owned(), hex(secret.as_bytes())] {
            looked_for += 1;
            let is_there = bytes
                .windows(form.len())
                .any(|part| part == form.as_bytes());
            assert!(!is_there, "a secret stands in the database");
        }
    }
    println!(
        "P-06 {backend:?}: 0 of {looked_for} forms found in {} bytes",
        bytes.len()
    );
}
