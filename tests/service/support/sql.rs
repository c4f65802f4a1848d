//! SQL of our own beside the service: to look at what it wrote, to stand in its way, to damage rows.

use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::sql_types::Text;
use diesel::{
    Connection, PgConnection, QueryResult, QueryableByName, RunQueryDsl, SqliteConnection,
    sql_query,
};

use serde_json::Value;

use super::{App, TestDatabase};

enum Connected {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    text: String,
}

impl Connected {
    fn try_execute(&mut self, sql: &str) -> QueryResult<()> {
        match self {
            Self::Sqlite(c) => c.batch_execute(sql),
            Self::Postgres(c) => c.batch_execute(sql),
        }
    }

    fn execute(&mut self, sql: &str) {
        self.try_execute(sql).unwrap();
    }
}

/// The number that a query gives on a database of this address.
pub fn number_at(url: &str, sql: &str) -> i64 {
    let query = sql_query(sql);
    let row: QueryResult<Number> = match url.starts_with("postgres") {
        true => query.get_result(&mut PgConnection::establish(url).unwrap()),
        false => query.get_result(&mut SqliteConnection::establish(url).unwrap()),
    };
    row.unwrap().number
}

/// The rows of a query whose one column is called `text`, in a SQLite file.
pub fn texts_in(file: &Path, sql: &str) -> QueryResult<Vec<String>> {
    let mut c = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
    // A store that was dropped closes its last connection a moment later.
    c.batch_execute("PRAGMA busy_timeout = 5000")?;
    let rows: Vec<Row> = sql_query(sql).load(&mut c)?;
    Ok(rows.into_iter().map(|row| row.text).collect())
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    number: i64,
}

/// Stands in the way of others until dropped.
pub struct Held {
    _until_dropped: Connected,
}

/// A test's database, reached beside the service.
pub struct Sql<'a>(&'a TestDatabase);

pub fn sql(database: &TestDatabase) -> Sql<'_> {
    Sql(database)
}

impl Sql<'_> {
    fn connect(&self) -> Connected {
        match self.0 {
            TestDatabase::Sqlite { .. } => {
                let mut c = SqliteConnection::establish(&self.0.url()).unwrap();
                c.batch_execute("PRAGMA busy_timeout = 5000").unwrap();
                Connected::Sqlite(c)
            }
            TestDatabase::Postgres { .. } => {
                Connected::Postgres(PgConnection::establish(&self.0.url()).unwrap())
            }
        }
    }

    /// Runs statements.
    pub fn execute(&self, sql: &str) {
        self.connect().execute(sql);
    }

    /// Runs statements on the server, outside this database.
    pub fn administer(&self, sql: &str) {
        let TestDatabase::Postgres { admin, name } = self.0 else {
            panic!("SQLite has no server");
        };
        let mut c = PgConnection::establish(admin).unwrap();
        c.batch_execute(&sql.replace("{name}", name)).unwrap();
    }

    /// Whether the database takes a statement, with foreign keys checked.
    pub fn is_accepted(&self, sql: &str) -> bool {
        let mut connection = self.connect();
        if let TestDatabase::Sqlite { .. } = self.0 {
            connection.execute("PRAGMA foreign_keys = ON");
        }
        connection.try_execute(sql).is_ok()
    }

    /// The rows of a query whose one column is called `text`.
    pub fn texts(&self, sql: &str) -> Vec<String> {
        let query = sql_query(sql);
        let rows: Vec<Row> = match self.connect() {
            Connected::Sqlite(mut c) => query.load(&mut c).unwrap(),
            Connected::Postgres(mut c) => query.load(&mut c).unwrap(),
        };
        rows.into_iter().map(|row| row.text).collect()
    }

    /// How many rows a table has.
    pub fn count(&self, table: &str) -> usize {
        let query = format!("SELECT CAST(count(*) AS TEXT) AS text FROM {table}");
        self.texts(&query)[0].parse().unwrap()
    }

    /// Whether no delivery waits to be decided, for whoever has no store at hand.
    pub fn is_settled(&self) -> bool {
        let waiting = "SELECT id AS text FROM deliveries WHERE state = 'waiting'";
        self.texts(waiting).is_empty()
    }

    /// One byte as an SQL literal.
    pub fn byte(&self) -> &'static str {
        match self.0 {
            TestDatabase::Sqlite { .. } => "x'00'",
            TestDatabase::Postgres { .. } => r"'\x00'::bytea",
        }
    }

    /// Reads one state of a SQLite file until the guard is dropped: meanwhile its log cannot begin anew.
    pub fn read_on(&self) -> Held {
        let mut connection = self.connect();
        connection.execute("BEGIN; SELECT count(*) FROM deliveries");
        Held {
            _until_dropped: connection,
        }
    }

    /// Keeps everybody else from a table until the guard is dropped; on SQLite, from writing at all.
    pub fn hold(&self, table: &str) -> Held {
        let mut connection = self.connect();
        connection.execute(&match self.0 {
            TestDatabase::Sqlite { .. } => "BEGIN IMMEDIATE".to_owned(),
            TestDatabase::Postgres { .. } => {
                format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            }
        });
        Held {
            _until_dropped: connection,
        }
    }

    /// Makes every insert into a table fail for which the condition holds (on `NEW`).
    pub fn refuse_inserts(&self, table: &str, condition: &str) {
        self.execute(&match self.0 {
            TestDatabase::Sqlite { .. } => format!(
                "CREATE TRIGGER refuse_{table} BEFORE INSERT ON {table} WHEN {condition} \
                 BEGIN SELECT RAISE(ABORT, 'refused by the test'); END"
            ),
            TestDatabase::Postgres { .. } => format!(
                "CREATE FUNCTION refuse_{table}() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN RAISE EXCEPTION 'refused by the test'; END $$; \
                 CREATE TRIGGER refuse_{table} BEFORE INSERT ON {table} FOR EACH ROW \
                 WHEN ({condition}) EXECUTE FUNCTION refuse_{table}()"
            ),
        });
    }

    /// Ends what [`Self::refuse_inserts`] began.
    pub fn accept_inserts(&self, table: &str) {
        self.execute(&match self.0 {
            TestDatabase::Sqlite { .. } => format!("DROP TRIGGER refuse_{table}"),
            TestDatabase::Postgres { .. } => format!("DROP FUNCTION refuse_{table} CASCADE"),
        });
    }

    /// Makes every transaction fail at its commit that inserts into a table. Two underscores begin what is
    /// no table of the service's.
    pub fn refuse_commits(&self, table: &str) {
        self.execute(&match self.0 {
            TestDatabase::Sqlite { .. } => format!(
                "CREATE TABLE __none (id INTEGER PRIMARY KEY); \
                 CREATE TABLE __refused (id INTEGER REFERENCES __none (id) \
                 DEFERRABLE INITIALLY DEFERRED); \
                 CREATE TRIGGER refuse_commits AFTER INSERT ON {table} \
                 BEGIN INSERT INTO __refused VALUES (1); END"
            ),
            TestDatabase::Postgres { .. } => format!(
                "CREATE FUNCTION refuse_commits() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN RAISE EXCEPTION 'refused by the test'; END $$; \
                 CREATE CONSTRAINT TRIGGER refuse_commits AFTER INSERT ON {table} \
                 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_commits()"
            ),
        });
    }

    /// Ends what [`Self::refuse_commits`] began.
    pub fn accept_commits(&self) {
        self.execute(match self.0 {
            TestDatabase::Sqlite { .. } => {
                "DROP TRIGGER refuse_commits; DROP TABLE __refused; DROP TABLE __none"
            }
            TestDatabase::Postgres { .. } => "DROP FUNCTION refuse_commits CASCADE",
        });
    }

    /// Takes the database away from the service: PostgreSQL cuts and refuses connections, of
    /// SQLite's tables two are not there.
    pub fn take_away(&self) {
        match self.0 {
            TestDatabase::Sqlite { .. } => self.execute(
                "ALTER TABLE deliveries RENAME TO away; ALTER TABLE api_keys RENAME TO keys_away",
            ),
            TestDatabase::Postgres { .. } => {
                // One after the other: sent together they would be one transaction, and who was cut off
                // could connect again before its end.
                self.administer("ALTER DATABASE {name} ALLOW_CONNECTIONS false");
                self.administer(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
                );
            }
        }
    }

    /// Ends what [`Self::take_away`] began.
    pub fn bring_back(&self) {
        match self.0 {
            TestDatabase::Sqlite { .. } => self.execute(
                "ALTER TABLE away RENAME TO deliveries; ALTER TABLE keys_away RENAME TO api_keys",
            ),
            TestDatabase::Postgres { .. } => {
                self.administer("ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            }
        }
    }

    /// How many transactions wrote the rows of `deliveries`. SQLite tells only how many commits its
    /// log holds, so nothing else may write meanwhile.
    pub fn commits_of_deliveries(&self) -> usize {
        match self.0 {
            TestDatabase::Sqlite { .. } => {
                let mut log = self.0.file().into_os_string();
                log.push("-wal");
                commits_in_wal(&std::fs::read(log).unwrap())
            }
            TestDatabase::Postgres { .. } => {
                let query = "SELECT count(DISTINCT xmin::text)::text AS text FROM deliveries";
                self.texts(query)[0].parse().unwrap()
            }
        }
    }
}

/// Counts the commit frames of a SQLite write-ahead log: those that tell the database's new size.
fn commits_in_wal(wal: &[u8]) -> usize {
    let number = |at: usize| u32::from_be_bytes(wal[at..at + 4].try_into().unwrap());
    if wal.len() < 32 {
        return 0;
    }
    let frame = 24 + number(8) as usize;
    let salt = &wal[16..24];
    (32..wal.len().saturating_sub(frame - 1))
        .step_by(frame)
        .take_while(|at| &wal[at + 8..at + 16] == salt)
        .filter(|at| number(at + 4) != 0)
        .count()
}

/// Sends a body that must be kept.
pub fn keep(app: &App, body: &Value) {
    let answer = app.notify(body);
    assert_eq!(answer.status, 204, "{}", answer.text);
}

/// The verdicts of all items, also of those that name no card, in the order of their arrival.
pub fn all_verdicts(app: &App) -> Vec<String> {
    sql(&app.database).texts(
        "SELECT verdict || coalesce('(' || hold || ')', '') AS text FROM notifications \
         ORDER BY delivery_sequence, item_index",
    )
}
