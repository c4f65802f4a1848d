//! Rows on their way: each a JSON array in the words both databases know, many of them a statement.

use diesel::connection::DefaultLoadingMode;
use diesel::pg::PgRowByRowLoadingMode;
use diesel::sql_types::Text;
use diesel::{QueryableByName, RunQueryDsl, sql_query};

use super::super::StoreError;
use super::super::connection::AnyConnection;
use super::tables::{Kind, Table};

/// Rows and bytes of one statement.
const ROWS: u64 = 500;
const BYTES: usize = 4 << 20;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    row: String,
}

/// Copies all rows of a table; `arrived` is told how many more each time.
pub fn copy_rows(
    source: &mut AnyConnection,
    target: &mut AnyConnection,
    table: &Table,
    arrived: &mut dyn FnMut(u64),
) -> Result<(), StoreError> {
    let query = sql_query(reading(source, table));
    let mut batch = Batch {
        statement: writing(target, table),
        target,
        rows: String::new(),
        count: 0,
        arrived,
    };
    // One after the other: a table may be larger than the memory.
    match source {
        AnyConnection::Sqlite(c) => {
            for row in query.load_iter::<Row, DefaultLoadingMode>(c)? {
                batch.add(&row?.row)?;
            }
        }
        AnyConnection::Postgres(c) => {
            for row in query.load_iter::<Row, PgRowByRowLoadingMode>(c)? {
                batch.add(&row?.row)?;
            }
        }
    }
    batch.write()
}

struct Batch<'a> {
    target: &'a mut AnyConnection,
    statement: String,
    rows: String,
    count: u64,
    arrived: &'a mut dyn FnMut(u64),
}

impl Batch<'_> {
    fn add(&mut self, row: &str) -> Result<(), StoreError> {
        self.rows.push(if self.count == 0 { '[' } else { ',' });
        self.rows.push_str(row);
        self.count += 1;
        match self.count >= ROWS || self.rows.len() >= BYTES {
            true => self.write(),
            false => Ok(()),
        }
    }

    fn write(&mut self) -> Result<(), StoreError> {
        if self.count == 0 {
            return Ok(());
        }
        self.rows.push(']');
        let insert = sql_query(&*self.statement).bind::<Text, _>(&*self.rows);
        match self.target {
            AnyConnection::Sqlite(c) => insert.execute(c)?,
            AnyConnection::Postgres(c) => insert.execute(c)?,
        };
        (self.arrived)(self.count);
        self.rows.clear();
        self.count = 0;
        Ok(())
    }
}

/// The query for the rows of a table, each as JSON; bytes in hexadecimal digits.
fn reading(source: &AnyConnection, table: &Table) -> String {
    let is_sqlite = matches!(source, AnyConnection::Sqlite(_));
    let columns = table.columns.iter().map(|(name, kind)| match kind {
        // hex() of nothing is an empty text.
        Kind::Bytes if is_sqlite => format!("CASE WHEN {name} IS NOT NULL THEN hex({name}) END"),
        Kind::Bytes => format!("encode({name}, 'hex')"),
        _ => name.clone(),
    });
    let columns = Vec::from_iter(columns).join(", ");
    let name = &table.name;
    match is_sqlite {
        true => format!("SELECT json_array({columns}) AS \"row\" FROM {name}"),
        false => format!("SELECT json_build_array({columns})::text AS \"row\" FROM {name}"),
    }
}

/// The statement that writes an array of such rows.
fn writing(target: &AnyConnection, table: &Table) -> String {
    let is_sqlite = matches!(target, AnyConnection::Sqlite(_));
    let value = |(place, (_, kind)): (usize, &(String, Kind))| match (is_sqlite, kind) {
        (true, Kind::Bytes) => format!("unhex(value ->> {place})"),
        (true, _) => format!("value ->> {place}"),
        (false, Kind::Bytes) => format!("decode(value ->> {place}, 'hex')"),
        (false, Kind::Number) => format!("(value ->> {place})::bigint"),
        (false, Kind::Small) => format!("(value ->> {place})::integer"),
        (false, Kind::Truth) => format!("(value ->> {place})::boolean"),
        (false, Kind::Text) => format!("value ->> {place}"),
    };
    let values = Vec::from_iter(table.columns.iter().enumerate().map(value)).join(", ");
    let names = table.columns.iter().map(|(name, _)| name.as_str());
    let names = Vec::from_iter(names).join(", ");
    let name = &table.name;
    match is_sqlite {
        true => format!("INSERT INTO {name} ({names}) SELECT {values} FROM json_each(?)"),
        // The numbers of rows stay as they are.
        false => format!(
            "INSERT INTO {name} ({names}) OVERRIDING SYSTEM VALUE SELECT {values} \
             FROM json_array_elements($1::json) AS elements (value)"
        ),
    }
}
