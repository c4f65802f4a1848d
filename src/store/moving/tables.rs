//! The tables of a database as its own catalogue names them, parents before children.

use std::collections::BTreeSet;

use diesel::sql_types::{BigInt, Text};
use diesel::{QueryableByName, RunQueryDsl, sql_query};

use super::super::StoreError;
use super::super::connection::{AnyConnection, on_backend};
use super::execute;

/// A table and its columns, each with its type.
pub struct Table {
    pub name: String,
    pub columns: Vec<(String, Kind)>,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Number,
    Small,
    Truth,
    Text,
    Bytes,
}

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    of: String,
}

#[derive(QueryableByName)]
struct Pair {
    #[diesel(sql_type = Text)]
    child: String,
    #[diesel(sql_type = Text)]
    parent: String,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

const SQLITE_COLUMNS: &str = "SELECT c.name AS name, c.type AS kind, m.name AS \"of\" \
    FROM sqlite_master m, pragma_table_info(m.name) c \
    WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' AND m.name NOT LIKE '\\_\\_%' ESCAPE '\\' \
    ORDER BY m.name, c.cid";
const POSTGRES_COLUMNS: &str = "SELECT column_name::text AS name, data_type::text AS kind, \
    table_name::text AS \"of\" FROM information_schema.columns \
    WHERE table_schema = current_schema() AND table_name NOT LIKE '\\_\\_%' \
    ORDER BY table_name, ordinal_position";
const SQLITE_PARENTS: &str = "SELECT m.name AS child, f.\"table\" AS parent \
    FROM sqlite_master m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table'";
const POSTGRES_PARENTS: &str = "SELECT c.relname::text AS child, p.relname::text AS parent \
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class p ON p.oid = k.confrelid \
    WHERE k.contype = 'f'";
/// Whose rows are numbered by the database, in a column of this name.
const NUMBERED: [&str; 2] = ["deliveries", "events"];

/// Every table of ours.
pub fn tables(connection: &mut AnyConnection) -> Result<Vec<Table>, StoreError> {
    let (columns, pairs): (Vec<Column>, Vec<Pair>) = match connection {
        AnyConnection::Sqlite(c) => (
            sql_query(SQLITE_COLUMNS).load(c)?,
            sql_query(SQLITE_PARENTS).load(c)?,
        ),
        AnyConnection::Postgres(c) => (
            sql_query(POSTGRES_COLUMNS).load(c)?,
            sql_query(POSTGRES_PARENTS).load(c)?,
        ),
    };
    let mut tables: Vec<Table> = Vec::new();
    for column in columns {
        let kind = kind(&column.kind)?;
        match tables.last_mut() {
            Some(table) if table.name == column.of => table.columns.push((column.name, kind)),
            _ => tables.push(Table {
                name: column.of,
                columns: vec![(column.name, kind)],
            }),
        }
    }
    Ok(parents_first(tables, &pairs))
}

fn kind(declared: &str) -> Result<Kind, StoreError> {
    match &*declared.to_ascii_lowercase() {
        "bigint" => Ok(Kind::Number),
        "integer" => Ok(Kind::Small),
        "boolean" => Ok(Kind::Truth),
        "text" => Ok(Kind::Text),
        "blob" | "bytea" => Ok(Kind::Bytes),
        _ => Err(StoreError::Unfit("a column has an unknown type".to_owned())),
    }
}

fn parents_first(mut rest: Vec<Table>, pairs: &[Pair]) -> Vec<Table> {
    let mut ordered = Vec::new();
    let mut placed = BTreeSet::new();
    while !rest.is_empty() {
        let waits = |table: &Table| {
            let mut parents = pairs.iter().filter(|pair| pair.child == table.name);
            parents.any(|pair| pair.parent != table.name && !placed.contains(&pair.parent))
        };
        let (later, mut now): (Vec<Table>, Vec<Table>) = rest.into_iter().partition(waits);
        if now.is_empty() {
            // Tables that point to each other; there are none.
            ordered.extend(later);
            return ordered;
        }
        placed.extend(now.iter().map(|table| table.name.clone()));
        ordered.append(&mut now);
        rest = later;
    }
    ordered
}

/// How many rows a table has.
pub fn count(connection: &mut AnyConnection, table: &str) -> Result<u64, StoreError> {
    let query = sql_query(format!("SELECT count(*) AS n FROM {table}"));
    let counted: Number = on_backend!(connection, c => query.get_result(c))?;
    Ok(counted.n.unsigned_abs())
}

/// Other connections of tokenkeep to a server's database; a file tells it by its lock.
pub fn others(connection: &mut AnyConnection) -> Result<i64, StoreError> {
    const OTHERS: &str = "SELECT count(*) AS n FROM pg_stat_activity \
        WHERE datname = current_database() AND application_name = 'tokenkeep' \
        AND pid <> pg_backend_pid()";
    match connection {
        AnyConnection::Sqlite(_) => Ok(0),
        AnyConnection::Postgres(c) => Ok(sql_query(OTHERS).get_result::<Number>(c)?.n),
    }
}

/// Brings over what stands beside the rows: the numbers that were drawn, so that none is drawn twice.
/// Horizons name transactions of the server they were written by, and all of those have ended.
pub fn settle(
    source: &mut AnyConnection,
    target: &mut AnyConnection,
    tables: &[Table],
) -> Result<(), StoreError> {
    execute(target, "UPDATE events SET horizon = 0")?;
    for table in tables.iter().filter(|t| NUMBERED.contains(&&*t.name)) {
        let name = &table.name;
        let drawn = drawn(source, name)?;
        if drawn == 0 {
            continue;
        }
        let statement = match target {
            AnyConnection::Sqlite(_) => format!(
                "DELETE FROM sqlite_sequence WHERE name = '{name}'; \
                 INSERT INTO sqlite_sequence (name, seq) VALUES ('{name}', {drawn})"
            ),
            AnyConnection::Postgres(_) => {
                format!("SELECT setval(pg_get_serial_sequence('{name}', 'sequence'), {drawn})")
            }
        };
        execute(target, &statement)?;
    }
    Ok(())
}

/// The last number that was drawn for a row of a table.
fn drawn(source: &mut AnyConnection, table: &str) -> Result<i64, StoreError> {
    let query = match source {
        AnyConnection::Sqlite(_) => {
            format!("SELECT coalesce(max(seq), 0) AS n FROM sqlite_sequence WHERE name = '{table}'")
        }
        AnyConnection::Postgres(_) => format!(
            "SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS n FROM {table}_sequence_seq"
        ),
    };
    let drawn: Number = on_backend!(source, c => sql_query(query).get_result(c))?;
    Ok(drawn.n)
}
