//! Every sealed column of every table, as the tables themselves say: what stands there opens nowhere else, and is
//! found by no enumeration.

use std::collections::BTreeSet;

use openssl::hash::{MessageDigest, hash};
use openssl::pkey::PKey;
use openssl::sign::Signer;
use rstest::rstest;
use tokenkeep::jose::{StorageKeys, sealed_with};
use tokenkeep::store::{SEALED, SealedColumn};

use crate::canaries;
use crate::support::build::{CARD, NUMBER_1, NUMBER_2};
use crate::support::key_folder::KeyFolder;
use crate::support::sealed::{PROGRAM_TOKEN, place, shop_with_every_secret, values};
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

/// Every text of every table.
fn told(database: &TestDatabase) -> String {
    let tables: BTreeSet<&str> = SEALED.iter().map(|of| of.table).collect();
    let tables = tables
        .into_iter()
        .chain(["cards", "outbox", "events", "api_keys", "replays"]);
    let dump = |table: &str| match database {
        TestDatabase::Sqlite { .. } => {
            let columns = format!("SELECT name AS text FROM pragma_table_info('{table}')");
            let columns = sql(database).texts(&columns);
            let shown: Vec<String> = columns
                .iter()
                .map(|column| {
                    format!(
                        "coalesce(lower(CASE typeof({column}) WHEN 'blob' \
                                       THEN hex({column}) ELSE {column} END), '')"
                    )
                })
                .collect();
            format!("SELECT {} AS text FROM {table}", shown.join(" || ' ' || "))
        }
        TestDatabase::Postgres { .. } => format!("SELECT lower(t::text) AS text FROM {table} t"),
    };
    tables
        .flat_map(|table| sql(database).texts(&dump(table)))
        .collect::<Vec<_>>()
        .join("\n")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[rstest]
fn p08_no_stored_digest_is_one_that_can_be_enumerated(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let folder = KeyFolder::whole();
    let shop = shop_with_every_secret(backend, &folder);
    let told = told(&shop.app.database);
    assert!(told.contains("demo-storage:"), "digests are stored");
    let runs: BTreeSet<&str> = told.split(|c: char| !c.is_ascii_hexdigit()).collect();
    let mut numbers: Vec<String> = (0..97).map(|n| format!("54809800000{n:05}")).collect();
    numbers.extend([NUMBER_1, NUMBER_2].map(str::to_owned));
    numbers.push(format!("{PROGRAM_TOKEN}{}", CARD.len()));
    let old_key = std::fs::read(folder.path().join("storage/demo-storage.key")).unwrap();
    let mut tried = 0;
    for number in &numbers {
        let number = number.as_bytes();
        let mut digests = Vec::new();
        for kind in [
            MessageDigest::sha1(),
            MessageDigest::sha256(),
            MessageDigest::sha512(),
        ] {
            digests.push(hex(&hash(kind, number).unwrap()));
            // Under no key, and under the bytes of the key file as they are.
            for key in [&[0][..], &[0; 32], old_key.trim_ascii()] {
                let key = PKey::hmac(key).unwrap();
                let mut signer = Signer::new(kind, &key).unwrap();
                digests.push(hex(&signer.sign_oneshot_to_vec(number).unwrap()));
            }
        }
        for digest in digests {
            tried += 1;
            let stands = runs.contains(digest.as_str()) || told.contains(&digest);
            assert!(!stands, "a digest of a number can be enumerated");
        }
    }
    println!(
        "P-08 {backend:?}: 0 of {tried} digests of {} numbers found",
        numbers.len()
    );
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
