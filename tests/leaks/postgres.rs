//! Every row of every database that the tests left, as text.

use diesel::sql_types::Text;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    text: String,
}

fn texts(connection: &mut PgConnection, query: &str) -> Vec<String> {
    let rows: Vec<Row> = sql_query(query).load(connection).unwrap();
    rows.into_iter().map(|row| row.text).collect()
}

/// Hands over the rows of each database. One that a test has closed for good is left out.
pub fn each_database(mut look: impl FnMut(&str, &str)) {
    let admin = std::env::var("TOKENKEEP_TEST_POSTGRES").expect("run tests/run");
    let mut server = PgConnection::establish(&admin).unwrap();
    let names = "SELECT datname::text AS text FROM pg_database \
                 WHERE datname LIKE 'test%' AND datallowconn";
    for name in texts(&mut server, names) {
        let url = admin.replace("/postgres?", &format!("/{name}?"));
        let mut database = PgConnection::establish(&url).unwrap();
        let tables = "SELECT tablename::text AS text FROM pg_tables WHERE schemaname = 'public'";
        for table in texts(&mut database, tables) {
            let rows = texts(
                &mut database,
                &format!("SELECT t::text AS text FROM {table} t"),
            );
            look(&format!("{name}.{table}"), &rows.join("\n"));
        }
    }
}
