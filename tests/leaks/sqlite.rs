//! Every text of every SQLite file that the tests left: in the file itself those of a row stand side by side, and
//! the digits of one run on in the next.

use std::path::Path;

use diesel::sql_types::Text;
use diesel::{Connection, QueryResult, QueryableByName, RunQueryDsl, SqliteConnection, sql_query};

#[derive(QueryableByName)]
struct Value {
    #[diesel(sql_type = Text)]
    text: String,
}

pub fn is_database(bytes: &[u8]) -> bool {
    bytes.starts_with(b"SQLite format 3\0")
}

/// The texts of a file, one a line; of one that a test has damaged, those that can be read.
pub fn texts(file: &Path) -> String {
    let mut lines = String::new();
    let Ok(mut database) = SqliteConnection::establish(&file.to_string_lossy()) else {
        return lines;
    };
    let columns = "SELECT 'SELECT \"' || c.name || '\" AS text FROM \"' || t.name || '\" \
                   WHERE typeof(\"' || c.name || '\") = ''text''' AS text \
                   FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table'";
    for column in load(&mut database, columns).unwrap_or_default() {
        for value in load(&mut database, &column.text).unwrap_or_default() {
            lines.push_str(&value.text);
            lines.push('\n');
        }
    }
    lines
}

fn load(database: &mut SqliteConnection, query: &str) -> QueryResult<Vec<Value>> {
    sql_query(query).load(database)
}
