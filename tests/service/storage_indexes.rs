//! Indexes: the same on both databases, and used by what is asked all the time.

use std::collections::BTreeSet;

use diesel::sql_types::Text;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, SqliteConnection, sql_query};
use rstest::rstest;

use crate::support::build::{CARD, plain, status};
use crate::support::sql::sql;
use crate::support::{App, Backend, TestDatabase, wait_until};

#[test]
fn both_databases_have_the_same_indexes() {
    let names = |backend, query| -> BTreeSet<String> {
        let app = App::spawn(backend);
        sql(&app.database).texts(query).into_iter().collect()
    };
    let sqlite = names(
        Backend::Sqlite,
        "SELECT name AS text FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
    );
    let postgres = names(
        Backend::Postgres,
        "SELECT indexname::text AS text FROM pg_indexes WHERE schemaname = 'public' \
         AND indexname NOT LIKE '%\\_key' AND indexname NOT LIKE '%\\_pkey'",
    );
    assert_eq!(sqlite, postgres);
}

/// 20,000 deliveries with an item each, of 20 cards; the last ones wait.
fn fill(database: &TestDatabase, waiting: i32) {
    let (numbers, blob) = match database {
        TestDatabase::Sqlite { .. } => (
            "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 20000) \
             SELECT n FROM s)",
            "x'00'",
        ),
        TestDatabase::Postgres { .. } => ("generate_series(1, 20000) AS s(n)", "'\\x00'::bytea"),
    };
    database.execute(&format!(
        "INSERT INTO deliveries (id, received_at, source, body, state) \
         SELECT 'fill-' || n, n, 'mastercard', {blob}, \
         CASE WHEN n > 20000 - {waiting} THEN 'waiting' ELSE 'done' END FROM {numbers}; \
         INSERT INTO notifications (id, delivery_sequence, delivery_id, item_index, card_id, \
         card_order, received_at, verdict, rule, flags, changes, trace, decided_at) \
         SELECT id || '.0', sequence, id, 0, 'card-' || (sequence % 20), 0, received_at, \
         CASE WHEN sequence % 1000 = 0 THEN 'quarantined' ELSE 'applied' END, \
         'status-newer', '[]', '[]', '[]', received_at FROM deliveries; \
         ANALYZE"
    ));
}

/// A plan, as one text.
fn plan(database: &TestDatabase, query: &str) -> String {
    #[derive(QueryableByName)]
    struct OfSqlite {
        #[diesel(sql_type = Text)]
        detail: String,
    }
    #[derive(QueryableByName)]
    struct OfPostgres {
        #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
        line: String,
    }
    let lines: Vec<String> = match database {
        TestDatabase::Sqlite { .. } => {
            let mut c = SqliteConnection::establish(&database.url()).unwrap();
            let rows = sql_query(format!("EXPLAIN QUERY PLAN {query}")).load::<OfSqlite>(&mut c);
            rows.unwrap().into_iter().map(|row| row.detail).collect()
        }
        TestDatabase::Postgres { .. } => {
            let mut c = PgConnection::establish(&database.url()).unwrap();
            let rows = sql_query(format!("EXPLAIN {query}")).load::<OfPostgres>(&mut c);
            rows.unwrap().into_iter().map(|row| row.line).collect()
        }
    };
    lines.join("\n")
}

/// What the program asks (src/store), written out.
const WAITING: &str = "SELECT sequence, length(body) FROM deliveries WHERE state = 'waiting' \
     AND sequence BETWEEN -9223372036854775807 AND 9223372036854775807 ORDER BY sequence LIMIT 128";
const COUNT: &str = "SELECT count(*) FROM deliveries WHERE state = 'waiting'";
const BY_CARD: &str = "SELECT * FROM notifications WHERE card_id = 'card-7' \
     ORDER BY delivery_sequence DESC, item_index DESC LIMIT 100";
const BY_VERDICT: &str = "SELECT * FROM notifications WHERE verdict = 'quarantined' \
     ORDER BY delivery_sequence DESC, item_index DESC LIMIT 100";
const LATEST: &str = "SELECT * FROM notifications \
     ORDER BY delivery_sequence DESC, item_index DESC LIMIT 100";
const OF_DELIVERIES: &str = "SELECT delivery_sequence, item_index, hold, changes \
     FROM notifications WHERE delivery_sequence IN (7, 8, 9)";

#[rstest]
fn what_is_asked_all_the_time_is_answered_from_an_index_without_sorting(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut app = App::spawn(backend);
    app.stop();
    fill(&app.database, 5);
    for (query, index) in [
        (WAITING, "deliveries_open"),
        (COUNT, "deliveries_open"),
        (BY_CARD, "notifications_by_card"),
        (BY_VERDICT, "notifications_by_verdict"),
        (LATEST, "notifications_by_arrival"),
        (OF_DELIVERIES, "notifications_by_arrival"),
    ] {
        let plan = plan(&app.database, query);
        assert!(plan.contains(index), "{query}\n{plan}");
        for slow in ["TEMP B-TREE", "Seq Scan", "Sort"] {
            assert!(!plan.contains(slow), "{query}\n{plan}");
        }
    }
}

/// What the console asks of cards and of what was done to them.
const UPON_CARD: &str = "SELECT * FROM audit WHERE at < 9000000 AND object = 'fill-77'";
const UPON_CALLS: &str = "SELECT * FROM audit WHERE at < 9000000 \
     AND object IN (SELECT id FROM outbox WHERE card_id = 'card-7')";
const BY_STATUS: &str = "SELECT id FROM cards WHERE status = 'SUSPENDED' ORDER BY id LIMIT 50";

#[rstest]
fn what_the_console_asks_is_answered_from_an_index_without_sorting(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut app = App::spawn(backend);
    app.stop();
    fill(&app.database, 0);
    app.database.execute(
        "INSERT INTO audit (writer, place, at, actor, origin, act, object, outcome, details, \
         previous, hash) SELECT 'fill', sequence, sequence, '', '', 'call.retry', id, 'done', \
         'null', '', '' FROM deliveries; \
         INSERT INTO outbox (id, kind, card_id, state, attempts, next_at, created_at) \
         SELECT id, 'get_card', 'card-' || (sequence % 2000), 'done', 0, 0, 0 FROM deliveries; \
         INSERT INTO cards (id, status, state, created_at, updated_at) \
         SELECT id, CASE WHEN sequence % 500 = 0 THEN 'SUSPENDED' ELSE 'ACTIVE' END, '{}', 0, 0 \
         FROM deliveries; \
         ANALYZE",
    );
    for (query, index) in [
        (UPON_CARD, "audit_by_object"),
        (UPON_CALLS, "audit_by_object"),
        (BY_STATUS, "cards_by_status"),
    ] {
        let plan = plan(&app.database, query);
        assert!(plan.contains(index), "{query}\n{plan}");
        for slow in ["TEMP B-TREE", "Seq Scan", "Sort"] {
            assert!(!plan.contains(slow), "{query}\n{plan}");
        }
    }
}

/// What is asked of what seems to have been missed. Times stand in the text, as they do in what is asked.
const MISSED: [(&str, &str); 9] = [
    (
        "SELECT 1 FROM cards WHERE token_ends_at <= 500 AND token_ends_at >= 100 \
         AND (token_told_at <= 100 OR token_ends_at <= 300) LIMIT 10000",
        "cards_by_token_end",
    ),
    (
        "SELECT id FROM cards WHERE token_ends_at <= 500 AND token_ends_at >= 100 \
         AND (token_told_at <= 100 OR token_ends_at <= 300) ORDER BY token_ends_at, id LIMIT 50",
        "cards_by_token_end",
    ),
    (
        "SELECT 1 FROM cards WHERE suspended_since <= 500 LIMIT 10000",
        "cards_suspended",
    ),
    (
        "SELECT program FROM cards WHERE suspended_since <= 500 LIMIT 10000",
        "cards_suspended",
    ),
    (
        "SELECT id FROM cards WHERE suspended_since <= 500 AND suspended_since >= 200 \
         AND (suspended_since > 200 OR id > 'fill-77') ORDER BY suspended_since, id LIMIT 50",
        "cards_suspended",
    ),
    (
        "SELECT id FROM cards WHERE cryptogram_due_since <= 500 AND program IN ('shop', 'other') \
         ORDER BY cryptogram_due_since, id LIMIT 50",
        "cards_without_cryptogram",
    ),
    (
        "SELECT id FROM cards WHERE digits_disagree_since <= 500 \
         ORDER BY digits_disagree_since, id LIMIT 50",
        "cards_disagreeing",
    ),
    (
        "SELECT id FROM cards WHERE NOT signs_noted ORDER BY id LIMIT 200",
        "cards_without_signs",
    ),
    (
        "SELECT 1 FROM cards WHERE NOT signs_noted LIMIT 10000",
        "cards_without_signs",
    ),
];

#[rstest]
fn what_was_missed_is_answered_from_an_index_without_sorting(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut app = App::spawn(backend);
    app.stop();
    fill(&app.database, 0);
    app.database.execute(
        "INSERT INTO cards (id, program, state, created_at, updated_at, token_ends_at, \
         suspended_since, cryptogram_due_since, digits_disagree_since, signs_noted) \
         SELECT id, 'shop', '{}', 0, 0, sequence, CASE WHEN sequence % 20 = 0 THEN sequence END, \
         CASE WHEN sequence % 20 = 1 THEN sequence END, \
         CASE WHEN sequence % 20 = 2 THEN sequence END, sequence % 5000 > 0 FROM deliveries; \
         ANALYZE",
    );
    for (query, index) in MISSED {
        let plan = plan(&app.database, query);
        assert!(plan.contains(index), "{query}\n{plan}");
        for slow in ["TEMP B-TREE", "Seq Scan", "Sort"] {
            assert!(!plan.contains(slow), "{query}\n{plan}");
        }
    }
}

/// Rows of deliveries that were read since the server began to count.
fn rows_read(app: &App) -> i64 {
    let query = "SELECT (s.seq_tup_read + (SELECT sum(i.idx_tup_read) FROM pg_stat_user_indexes i \
         WHERE i.relid = s.relid))::bigint AS number \
         FROM pg_stat_user_tables s WHERE s.relname = 'deliveries'";
    app.database.number(query)
}

fn deliver(app: &App, count: usize) {
    for _ in 0..count {
        app.deliver(&plain(&[status(CARD, None, "ACTIVE")]));
    }
}

#[test]
fn postgresql_looks_for_what_waits_without_reading_all_that_is_done() {
    let mut app = App::spawn(Backend::Postgres);
    app.stop();
    fill(&app.database, 0);
    let others = "SELECT count(*) AS number FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()";
    // The server tells its counts when a connection ends.
    let all_ended = |app: &App| {
        wait_until("its connections are closed", || {
            app.database.number(others) == 0
        });
    };
    all_ended(&app);
    let before = rows_read(&app);
    app.start();
    // The server settles on one plan for a query after five runs of it.
    deliver(&app, 40);
    app.stop();
    all_ended(&app);
    let read = rows_read(&app) - before;
    assert!(read < 20_000, "{read} rows read to decide 40 deliveries");
}
