//! Every text and blob of every SQLite file that the tests left: in the file itself those of a row stand side by
//! side, and the digits of one run on in the next.

use std::path::Path;

use diesel::sql_types::{Binary, Text};
use diesel::{Connection, QueryResult, QueryableByName, RunQueryDsl, SqliteConnection, sql_query};

#[derive(QueryableByName)]
struct Query {
    #[diesel(sql_type = Text)]
    text: String,
}

#[derive(QueryableByName)]
struct Value {
    #[diesel(sql_type = Binary)]
    value: Vec<u8>,
}

pub fn is_database(bytes: &[u8]) -> bool {
    bytes.starts_with(b"SQLite format 3\0")
}

/// Whether it is a database, or one of the files that SQLite puts beside it.
pub fn is_of_database(file: &Path, bytes: &[u8]) -> bool {
    let name = file.to_string_lossy();
    let is_beside = ["-wal", "-shm", "-journal"]
        .iter()
        .any(|end| name.ends_with(end));
    is_beside || is_database(bytes)
}

/// The texts and blobs of a file, one a line; of one that a test has damaged, those that can be read.
pub fn values(file: &Path) -> Vec<u8> {
    let mut lines = Vec::new();
    let Ok(mut database) = SqliteConnection::establish(&file.to_string_lossy()) else {
        return lines;
    };
    let columns = "SELECT 'SELECT \"' || c.name || '\" AS value FROM \"' || t.name || '\" \
                   WHERE typeof(\"' || c.name || '\") IN (''text'', ''blob'')' AS text \
                   FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table'";
    let queries: QueryResult<Vec<Query>> = sql_query(columns).load(&mut database);
    for Query { text } in queries.unwrap_or_default() {
        let values: QueryResult<Vec<Value>> = sql_query(text).load(&mut database);
        for Value { value } in values.unwrap_or_default() {
            lines.extend(value);
            lines.push(b'\n');
        }
    }
    lines
}
