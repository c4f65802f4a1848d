//! What the way of a notification asks of the database: few round trips, and indexes for all of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use diesel::connection::SimpleConnection;
use diesel::sql_types::Text;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, SqliteConnection, sql_query};
use serde_json::Value;
use tokenkeep::jose::{KeyFolder, OpenPolicy, StorageKeys};
use tokenkeep::processor::Processor;
use tokenkeep::settings::Settings;
use tokenkeep::store::{DatabaseUrl, NewDelivery, Store};
use tokenkeep::telemetry::{Clock, Metrics};
use uuid::Uuid;

use crate::support::build::{plain, refresh};
use crate::support::cluster::Cluster;
use crate::support::postgres_proxy::Proxy;
use crate::support::{Backend, START, TestDatabase, keys};

/// The tables in a notification's way.
const OF_NOTIFICATIONS: [&str; 6] = [
    "deliveries",
    "notifications",
    "cards",
    "tokens",
    "cryptograms",
    "outbox",
];

/// A processor that works when it is told to.
fn processor(url: &str) -> Processor {
    let settings = Settings::defaults().unwrap();
    let storage = Arc::new(StorageKeys::load(&keys()).unwrap());
    Processor {
        store: Store::open(&DatabaseUrl::parse(url).unwrap(), storage).unwrap(),
        keys: KeyFolder::load(keys(), OpenPolicy::default(), None).unwrap(),
        policy: settings.policy(),
        settings: settings.processor,
        clock: Clock::from_fn(|| START),
        metrics: Metrics::new(),
        calls: None,
    }
}

/// The refresh of this round for each card: from the second on a call falls due.
fn refreshes(cards: usize, round: usize) -> Vec<NewDelivery> {
    let body = |card: usize| {
        let number = format!("548098{:010}", 1_000 * round + card);
        let year = (2030 + round).to_string();
        let time = START + round as i64;
        let element = refresh(&format!("card-{card}"), time, &number, ("12", &year));
        plain(&[element]).to_string().into_bytes()
    };
    let delivery = |card| NewDelivery {
        id: Uuid::now_v7().to_string(),
        received_at: START,
        source: "mastercard".to_owned(),
        response_host: None,
        body: body(card),
    };
    (0..cards).map(delivery).collect()
}

fn apply(processor: &Processor, new: &[NewDelivery]) {
    let store = &processor.store;
    store.write(|tx| tx.insert_deliveries(new)).unwrap();
    assert_eq!(processor.run_until_idle().unwrap(), new.len());
}

// Seen to fail where each card is saved by itself: 57 and 327 instead of 30 and 30.
#[test]
fn a_batch_costs_postgresql_the_same_few_round_trips_however_many_cards_change() {
    let database = TestDatabase::new(Backend::Postgres);
    let proxy = Proxy::before(&database);
    let processor = processor(&proxy.url());
    let mut trips = Vec::new();
    for cards in [10, 100] {
        apply(&processor, &refreshes(cards, 1));
        let before = proxy.round_trips();
        apply(&processor, &refreshes(cards, 2));
        trips.push(proxy.round_trips() - before);
    }
    println!("round trips to keep and apply 10 refreshes, and 100: {trips:?}");
    assert_eq!(trips[0], trips[1]);
    assert!(trips[0] <= 50, "{trips:?}");
}

/// Everything of this kind that stands in the way of a notification, with 30,000 rows a table.
const MANY: &str = "
    INSERT INTO deliveries (id, received_at, source, state)
        SELECT 'old-' || n, n, 'mastercard', 'done' FROM generate_series(1, 30000) n;
    INSERT INTO cards (id, state, created_at, updated_at, heard_at, token_told_at, signs_noted)
        SELECT 'old-' || n, '{}', n, n, n, n, true FROM generate_series(1, 30000) n;
    INSERT INTO tokens (card_id, number_version, number, rank, received_at, refreshed_at)
        SELECT 'old-' || n, 1, '', '{}', n, n FROM generate_series(1, 30000) n;
    INSERT INTO cryptograms (card_id, number_version, value, stored_at)
        SELECT 'old-' || n, 1, '', n FROM generate_series(1, 30000) n;
    INSERT INTO notifications (id, delivery_sequence, delivery_id, item_index, card_id, card_order, received_at,
            unique_identity, verdict, rule, flags, changes, trace, decided_at)
        SELECT 'old-' || n || '.0', n, 'old-' || n, 0, 'old-' || n, 1, n,
            'old-' || n, 'applied', '', '[]', '[]', '[]', n FROM generate_series(1, 30000) n;
    INSERT INTO outbox (id, kind, card_id, state, attempts, next_at, created_at, priority, fence, may_have_arrived)
        SELECT 'old-' || n, 'cryptogram', 'old-' || n, 'done', 1, n, n, 2, 1, false FROM generate_series(1, 30000) n;
    ANALYZE;";

/// Sessions tell the plan of each statement, in the server's log.
const TELL_PLANS: &str = "
    DO $$ BEGIN
        EXECUTE format('ALTER DATABASE %I SET session_preload_libraries = auto_explain', current_database());
        EXECUTE format('ALTER DATABASE %I SET auto_explain.log_min_duration = 0', current_database());
        EXECUTE format('ALTER DATABASE %I SET auto_explain.log_format = json', current_database());
    END $$";

#[derive(QueryableByName)]
struct Step {
    #[diesel(sql_type = Text)]
    detail: String,
}

/// The plans that the server has told.
fn plans(log: &str) -> Vec<Value> {
    let mut plans = Vec::new();
    let mut lines = log.lines();
    while let Some(line) = lines.next() {
        if line.ends_with(" plan:") {
            // Its text is indented.
            let text = lines.by_ref().take_while(|line| *line != "\t}");
            let text: String = text.collect();
            plans.push(serde_json::from_str(&format!("{text}}}")).unwrap());
        }
    }
    plans
}

fn tables_looked_through(plan: &Value, found: &mut BTreeSet<String>) {
    if plan["Node Type"] == "Seq Scan" {
        found.insert(plan["Relation Name"].as_str().unwrap().to_owned());
    }
    for part in plan["Plans"].as_array().into_iter().flatten() {
        tables_looked_through(part, found);
    }
}

/// The same statement for SQLite; none for what it does not know.
fn for_sqlite(query: &str) -> Option<String> {
    let asks = |table: &&str| query.contains(&format!("\"{table}\""));
    if !OF_NOTIFICATIONS.iter().any(asks) || query.contains("DEFAULT") {
        return None;
    }
    let mut text = query.replace(" FOR UPDATE SKIP LOCKED", "");
    while let Some(start) = text.find("= ANY($") {
        let end = start + text[start..].find(')').unwrap();
        let value = text[start + 6..end].to_owned();
        text.replace_range(start..=end, &format!("IN ({value}, {value})"));
    }
    Some(text.replace("BIGINT", "INTEGER"))
}

// Seen to fail without the index deliveries_open, on both databases.
#[test]
fn no_statement_of_a_notifications_way_looks_through_a_table() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let processor = processor(&database.url());
    let mut postgres = PgConnection::establish(&database.url()).unwrap();
    postgres.batch_execute(MANY).unwrap();
    // Two rounds before: what a plan costs is known by then, and cards and calls are there.
    apply(&processor, &refreshes(30, 1));
    apply(&processor, &refreshes(30, 2));
    drop(processor);
    postgres.batch_execute("ANALYZE").unwrap();
    postgres.batch_execute(TELL_PLANS).unwrap();
    let processor = self::processor(&database.url());
    apply(&processor, &refreshes(30, 3));
    drop(processor);

    let sqlite = TestDatabase::new(Backend::Sqlite);
    drop(self::processor(&sqlite.url()));
    let mut sqlite = SqliteConnection::establish(&sqlite.url()).unwrap();
    let (mut queries, mut offences) = (BTreeSet::new(), Vec::new());
    for told in plans(&cluster.log()) {
        let query = told["Query Text"].as_str().unwrap().to_owned();
        let mut through = BTreeSet::new();
        tables_looked_through(&told["Plan"], &mut through);
        through.retain(|table| OF_NOTIFICATIONS.contains(&table.as_str()));
        if !through.is_empty() {
            offences.push(format!("PostgreSQL looks through {through:?}: {query}"));
        }
        queries.insert(query);
    }
    let mut asked = 0;
    for query in queries.iter().filter_map(|query| for_sqlite(query)) {
        asked += 1;
        let steps = sql_query(format!("EXPLAIN QUERY PLAN {query}")).load(&mut sqlite);
        let steps: Vec<Step> = steps.unwrap_or_else(|error| panic!("{error}: {query}"));
        // A range of row ids may be all that there are.
        let is_scan = |Step { detail }: &&Step| {
            let of_table = detail.starts_with("SCAN ") && !detail.ends_with("VALUES CLAUSE");
            of_table || detail.contains("(rowid>?")
        };
        if let Some(step) = steps.iter().find(is_scan) {
            offences.push(format!("SQLite: {}: {query}", step.detail));
        }
    }
    println!(
        "{} statements on PostgreSQL, {asked} of them on SQLite",
        queries.len()
    );
    assert!(asked >= 12, "{queries:#?}");
    assert!(offences.is_empty(), "{offences:#?}");
}
