//! A database of a test's own: a file in a temporary folder, or a database in the PostgreSQL that
//! `tests/run` started.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use tempfile::TempDir;
use uuid::Uuid;

use super::{leaks, wait_until};

/// Which database a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

const ROLES: &str = include_str!("../../../deploy/postgres/roles.sql");

/// Until dropped nobody else makes the users: they are the whole server's, and two who make them at once
/// would stand in each other's way.
pub fn alone_with_users() -> MutexGuard<'static, ()> {
    static ONE_BY_ONE: Mutex<()> = Mutex::new(());
    ONE_BY_ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub enum TestDatabase {
    Sqlite { folder: TempDir },
    Postgres { admin: String, name: String },
}

impl TestDatabase {
    pub fn new(backend: Backend) -> Self {
        leaks::start_log();
        match backend {
            Backend::Sqlite => Self::Sqlite {
                folder: leaks::database_folder(),
            },
            Backend::Postgres => {
                let admin = std::env::var("TOKENKEEP_TEST_POSTGRES")
                    .expect("these tests need PostgreSQL: run them with tests/run");
                Self::on(admin)
            }
        }
    }

    /// A new database on the server of this address.
    pub fn on(admin: String) -> Self {
        leaks::start_log();
        let name = format!("test_{}", Uuid::now_v7().simple());
        let mut connection = PgConnection::establish(&admin).unwrap();
        connection
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .unwrap();
        Self::Postgres { admin, name }
    }

    /// A database of the same content, made when nobody writes. PostgreSQL waits until nobody is connected.
    pub fn copy(&self) -> Self {
        match self {
            Self::Sqlite { .. } => {
                let copy = Self::new(Backend::Sqlite);
                let to = copy.file();
                self.execute(&format!("VACUUM INTO '{}'", to.display()));
                copy
            }
            Self::Postgres { admin, name } => {
                let copy = format!("test_{}", Uuid::now_v7().simple());
                let mut connection = PgConnection::establish(admin).unwrap();
                let statement = format!("CREATE DATABASE {copy} TEMPLATE {name}");
                wait_until("nobody is connected", || {
                    connection.batch_execute(&statement).is_ok()
                });
                Self::Postgres {
                    admin: admin.clone(),
                    name: copy,
                }
            }
        }
    }

    /// The address for `--database-url`.
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite { .. } => self.file().to_string_lossy().into_owned(),
            Self::Postgres { admin, name } => admin.replace("/postgres?", &format!("/{name}?")),
        }
    }

    /// The address for another user of the PostgreSQL database.
    pub fn url_as(&self, user: &str) -> String {
        self.url().replace("//tokenkeep@", &format!("//{user}@"))
    }

    /// Makes the users of the PostgreSQL database, with their rights in the tables that there are.
    pub fn make_users(&self) {
        let _alone = alone_with_users();
        let mut connection = PgConnection::establish(&self.url()).unwrap();
        connection.batch_execute(ROLES).unwrap();
    }

    /// The file of a SQLite database.
    pub fn file(&self) -> PathBuf {
        match self {
            Self::Sqlite { folder } => folder.path().join("tokenkeep.db"),
            Self::Postgres { .. } => panic!("PostgreSQL has no file of ours"),
        }
    }

    /// Everything the database holds, as bytes to search in: SQLite's files as they are, and of
    /// PostgreSQL every row of every table as text.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Sqlite { folder } => {
                let files = std::fs::read_dir(folder.path()).unwrap();
                // One that is not needed any more goes while this reads.
                files
                    .filter_map(|file| std::fs::read(file.ok()?.path()).ok())
                    .flatten()
                    .collect()
            }
            Self::Postgres { .. } => self.dump().into_bytes(),
        }
    }

    fn dump(&self) -> String {
        use diesel::{QueryableByName, RunQueryDsl, sql_query, sql_types::Text};
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            text: String,
        }
        let mut c = PgConnection::establish(&self.url()).unwrap();
        let tables = "SELECT tablename::text AS text FROM pg_tables WHERE schemaname = 'public'";
        let tables: Vec<Row> = sql_query(tables).load(&mut c).unwrap();
        let rows = tables.into_iter().flat_map(|table| {
            let query = format!("SELECT t::text AS text FROM {} t", table.text);
            sql_query(query).load::<Row>(&mut c).unwrap()
        });
        rows.map(|row| row.text + "\n").collect()
    }
}

/// Where sealed numbers of a card could be, and how to count them.
const SEALED: [(&str, &str); 4] = [
    ("tokens", "card_id = $1"),
    ("notifications", "card_id = $1 AND payment IS NOT NULL"),
    ("registrations", "card_id = $1 AND payment IS NOT NULL"),
    (
        "deliveries",
        "body IS NOT NULL AND sequence IN (SELECT delivery_sequence FROM notifications WHERE card_id = $1)",
    ),
];

impl TestDatabase {
    /// How many sealed values that could hold a number of this card are kept, by table.
    pub fn sealed_values_of(&self, card: &str) -> [(&'static str, i64); 4] {
        use diesel::sql_types::{BigInt, Text};
        use diesel::{QueryableByName, RunQueryDsl, SqliteConnection, sql_query};
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = BigInt)]
            count: i64,
        }
        SEALED.map(|(table, condition)| {
            let query = format!("SELECT count(*) AS count FROM {table} WHERE {condition}");
            let query = sql_query(query).bind::<Text, _>(card);
            let row: Row = match self {
                Self::Sqlite { .. } => {
                    let mut c = SqliteConnection::establish(&self.url()).unwrap();
                    query.get_result(&mut c).unwrap()
                }
                Self::Postgres { .. } => {
                    let mut c = PgConnection::establish(&self.url()).unwrap();
                    query.get_result(&mut c).unwrap()
                }
            };
            (table, row.count)
        })
    }
}

/// One number, as a query returns it.
#[derive(diesel::QueryableByName)]
struct Number {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    number: i64,
}

impl TestDatabase {
    /// The number that `query` selects as `number`.
    pub fn number(&self, query: &str) -> i64 {
        use diesel::{RunQueryDsl, SqliteConnection, sql_query};
        let query = sql_query(query);
        let row: Number = match self {
            Self::Sqlite { .. } => query
                .get_result(&mut SqliteConnection::establish(&self.url()).unwrap())
                .unwrap(),
            Self::Postgres { .. } => query
                .get_result(&mut PgConnection::establish(&self.url()).unwrap())
                .unwrap(),
        };
        row.number
    }

    /// How many deliveries are kept.
    pub fn deliveries(&self) -> i64 {
        self.number("SELECT count(*) AS number FROM deliveries")
    }

    /// Runs statements on a connection of their own, as an intruder would.
    pub fn execute(&self, statements: &str) {
        match self {
            Self::Sqlite { .. } => diesel::SqliteConnection::establish(&self.url())
                .unwrap()
                .batch_execute(&format!("PRAGMA busy_timeout = 5000; {statements}"))
                .unwrap(),
            Self::Postgres { .. } => PgConnection::establish(&self.url())
                .unwrap()
                .batch_execute(statements)
                .unwrap(),
        }
    }
}
