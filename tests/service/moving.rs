//! D-31: everything moves to the other database and back, and nothing is done twice.

use std::collections::BTreeMap;
use std::time::Instant;

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::sandbox::Operation::{Checkout, DeleteCard};
use tokenkeep::sandbox::{Fault, Refresh};
use tokenkeep::settings::DatabaseUrl;
use tokenkeep::store::{NewDelivery, Store};

use crate::maintenance::draining;
use crate::support::build::{NUMBER_1, plain, refresh, status};
use crate::support::calls::{HOUR, Shop};
use crate::support::commands::{Output, fed, tokenkeep};
use crate::support::serve::Serve;
use crate::support::sql::sql;
use crate::support::{App, Backend, START, TestDatabase, is_full, wait_until};

type Contents = BTreeMap<String, Vec<String>>;

fn migrate(from: &TestDatabase, to: &TestDatabase) -> Output {
    tokenkeep(from, &["migrate", "--json", "--to", &to.url()])
}

/// What a move itself writes: its record. Of what it leaves behind the cryptograms run out.
const OF_THE_MOVE: [&str; 2] = ["audit", "audit_writers"];

const SQLITE_COLUMNS: &str = "SELECT CASE type \
    WHEN 'BLOB' THEN 'coalesce(lower(hex(' || name || ')), '''')' \
    ELSE 'coalesce(CAST(' || name || ' AS TEXT), '''')' END AS text \
    FROM pragma_table_info('{table}') WHERE name NOT IN ('horizon', 'expires_at') ORDER BY name";
const POSTGRES_COLUMNS: &str = "SELECT CASE data_type \
    WHEN 'bytea' THEN 'coalesce(encode(' || column_name || ', ''hex''), '''')' \
    WHEN 'boolean' THEN 'coalesce(CAST(' || column_name || '::int AS TEXT), '''')' \
    ELSE 'coalesce(CAST(' || column_name || ' AS TEXT), '''')' END AS text \
    FROM information_schema.columns WHERE table_name = '{table}' \
    AND table_schema = current_schema() AND column_name NOT IN ('horizon', 'expires_at') \
    ORDER BY column_name::text COLLATE \"C\"";

/// The rows of these tables, as text that is the same for equal contents of both databases.
fn contents(database: &TestDatabase, tables: &Value) -> Contents {
    let columns = match database {
        TestDatabase::Sqlite { .. } => SQLITE_COLUMNS,
        TestDatabase::Postgres { .. } => POSTGRES_COLUMNS,
    };
    let rows = |table: &String| {
        let columns = sql(database).texts(&columns.replace("{table}", table));
        let row = columns.join(" || '|' || ");
        let mut rows = sql(database).texts(&format!("SELECT {row} AS text FROM {table}"));
        rows.sort();
        (table.clone(), rows)
    };
    let tables = tables.as_object().unwrap().keys();
    tables
        .filter(|table| !OF_THE_MOVE.contains(&&***table))
        .map(rows)
        .collect()
}

fn assert_audit_is_well(database: &TestDatabase) {
    let verified = tokenkeep(database, &["audit", "verify"]);
    assert_eq!(verified.code, 0, "{verified:?}");
}

fn is_under_maintenance(database: &TestDatabase) -> bool {
    let told = tokenkeep(database, &["maintenance", "status", "--json"]);
    told.json()["maintenance"]["on"] == true
}

/// Moves to PostgreSQL and back; everything is equal each time. Returns the last database and its rows.
pub fn there_and_back(from: &TestDatabase) -> (TestDatabase, u64) {
    let server = TestDatabase::new(Backend::Postgres);
    let file = TestDatabase::new(Backend::Sqlite);
    let mut seconds = Vec::new();
    let mut moved = Value::Null;
    for (from, to) in [(from, &server), (&server, &file)] {
        let begun = Instant::now();
        let output = migrate(from, to);
        seconds.push(begun.elapsed().as_secs_f64());
        assert_eq!(output.code, 0, "{output:?}");
        moved = output.json()["rows"].clone();
        assert!(contents(from, &moved) == contents(to, &moved), "not equal");
        assert_audit_is_well(to);
        let moves = "SELECT count(*) AS number FROM audit WHERE act = 'database.move'";
        assert_eq!(from.number(moves), to.number(moves));
        assert!(to.number(moves) > 0);
        assert!(is_under_maintenance(from) && !is_under_maintenance(to));
    }
    let rows = moved.as_object().unwrap().values();
    let rows: u64 = rows.filter_map(Value::as_u64).sum();
    println!(
        "D-31 {rows} rows to PostgreSQL at {:.0}/s and back at {:.0}/s, equal table by table",
        rows as f64 / seconds[0],
        rows as f64 / seconds[1]
    );
    (file, rows)
}

#[test]
fn d31_what_moved_to_postgresql_and_back_goes_on_and_nothing_is_done_twice() {
    let mut shop = Shop::open(Backend::Sqlite);
    for card in ["kept", "paid", "sold", "waits"] {
        shop.card_with_cryptogram(card);
    }
    let paid = shop.credentials("paid", &json!({ "use": "single" }));
    assert_eq!(paid.status, 200);
    // Calls that wait: a deletion, and a cryptogram, that nobody could obtain yet.
    for operation in [DeleteCard, Checkout] {
        let down = Fault::service_error(503);
        shop.sandbox.set_fault(operation, Some(down));
    }
    assert_eq!(shop.delete("sold").status, 202);
    let changed = shop.sandbox.refresh("waits", Refresh::Number).unwrap();
    shop.app.deliver(&changed);
    shop.settle();
    shop.app.stop();
    let (file, _) = there_and_back(&shop.app.database);

    for operation in [DeleteCard, Checkout] {
        shop.sandbox.set_fault(operation, None);
    }
    let calls = |shop: &Shop| {
        (
            shop.calls(DeleteCard, "sold"),
            shop.calls(Checkout, "waits"),
        )
    };
    let before = calls(&shop);
    shop.app.settings.database_url = file.url();
    shop.app.start();
    shop.advance(HOUR);
    wait_until("the calls are made", || {
        let open = ["sold", "waits"].map(|card| shop.app.jobs(card));
        open.iter()
            .flatten()
            .all(|job| job.state == "done" || job.state == "discarded")
    });
    assert_eq!(calls(&shop), (before.0 + 1, before.1 + 1));
    let sold = shop.app.card("sold").unwrap().card;
    assert_eq!(sold.status_word(), Some("CANCELLED"));
    // What was known is known, and new rows follow the old ones.
    let events = sql(&file).count("events");
    shop.app.deliver(&changed);
    assert_eq!(shop.app.verdicts("waits").last().unwrap(), "duplicate");
    shop.app
        .deliver(&plain(&[status("new", Some(START), "ACTIVE")]));
    assert!(sql(&file).count("events") > events);
    assert_eq!(shop.app.assert_rebuilt(), 5);
}

#[test]
fn a_database_in_use_or_with_rows_is_refused_and_left_as_it_is() {
    let mut app = App::spawn(Backend::Sqlite);
    app.deliver(&plain(&[status("one", Some(START), "ACTIVE")]));
    let server = TestDatabase::new(Backend::Postgres);
    let file = TestDatabase::new(Backend::Sqlite);
    let in_use = migrate(&app.database, &file);
    assert_eq!(in_use.code, 1, "{in_use:?}");
    assert!(in_use.stderr.contains("stop it first"), "{in_use:?}");
    app.stop();
    assert_eq!(migrate(&app.database, &server).code, 0);
    let again = migrate(&app.database, &server);
    assert_eq!(again.code, 2, "{again:?}");
    assert!(again.stderr.contains("is not empty"), "{again:?}");
    // What was refused leaves no mark; what was moved does.
    assert!(is_under_maintenance(&app.database) && !is_under_maintenance(&file));
    // Whoever starts it by mistake is told.
    let old = Serve::start(&app.database);
    wait_until("it is told", || !old.logged("moved to postgres").is_empty());
    drop(old);
    // The same where the server's database is in use.
    app.settings.database_url = server.url();
    app.start();
    // The maintenance of the first one did not come along, and new rows get new numbers.
    app.deliver(&plain(&[status("two", Some(START), "ACTIVE")]));
    let in_use = migrate(&server, &file);
    assert_eq!(in_use.code, 1, "{in_use:?}");
    assert!(in_use.stderr.contains("stop it first"), "{in_use:?}");
    assert_eq!(sql(&server).count("deliveries"), 2);
}

/// What is in force, with the rate at which a backlog drains.
fn in_force(database: &TestDatabase) -> String {
    let rate = "coalesce(CAST(drain_rate AS TEXT), 'on')";
    let query = format!("SELECT reason || ', ' || {rate} AS text FROM maintenance");
    sql(database).texts(&query).concat()
}

#[rstest]
#[case(Backend::Sqlite, Backend::Postgres)]
#[case(Backend::Postgres, Backend::Sqlite)]
fn a_backlog_that_drains_goes_on_in_the_new_database_only(
    #[case] from: Backend,
    #[case] to: Backend,
) {
    let (app, store) = draining(from);
    drop(store);
    let target = TestDatabase::new(to);
    let moved = migrate(&app.database, &target);
    assert_eq!(moved.code, 0, "{moved:?}");
    assert!(is_under_maintenance(&app.database));
    assert_eq!(in_force(&target), "to see, 1");
}

#[rstest]
#[case(Backend::Sqlite, Backend::Postgres)]
#[case(Backend::Postgres, Backend::Sqlite)]
fn a_move_whose_last_step_fails_never_leaves_two_databases_that_work(
    #[case] from: Backend,
    #[case] to: Backend,
) {
    let (app, store) = draining(from);
    drop(store);
    let (source, target) = (&app.database, &TestDatabase::new(to));
    Store::migrate(&DatabaseUrl::parse(&target.url()).unwrap()).unwrap();

    sql(source).refuse_commits("audit");
    let failed = migrate(source, target);
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(!failed.stderr.contains("stays under"), "{failed:?}");
    assert_eq!(in_force(source), "to see, 1", "as it was");
    assert_eq!(sql(target).count("deliveries"), 0);
    sql(source).accept_commits();

    // Of a server nobody knows then whether it has done it.
    sql(target).refuse_commits("audit");
    let failed = migrate(source, target);
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(
        failed
            .stderr
            .contains("stays under maintenance; move again"),
        "{failed:?}"
    );
    assert!(in_force(source).starts_with("moved to"));
    sql(target).accept_commits();
    let again = migrate(source, target);
    assert_eq!(again.code, 0, "{again:?}");
    assert_eq!(sql(target).count("deliveries"), 1);
    assert!(is_under_maintenance(source) && !is_under_maintenance(target));
    assert_eq!(migrate(source, target).code, 2, "everything is there");
    assert!(is_under_maintenance(source));
}

#[test]
fn an_address_with_a_password_comes_from_standard_input_and_is_never_told() {
    let (from, to) = (
        TestDatabase::new(Backend::Sqlite),
        TestDatabase::new(Backend::Postgres),
    );
    assert_eq!(tokenkeep(&from, &["migrate"]).code, 0);
    let password = tokenkeep(&from, &["migrate", "--to", "postgres://a:hunter2@b/c"]);
    assert_eq!(password.code, 2, "{password:?}");
    let address = to.url().replace("tokenkeep@", "tokenkeep:hunter2@");
    let moved = fed(&from, &["migrate", "--to", "-"], &format!("{address}\n"));
    assert_eq!(moved.code, 0, "{moved:?}");
    for output in [password, moved] {
        let told = output.stdout + &output.stderr;
        assert!(!told.contains("hunter2"), "{told}");
    }
    let records = sql(&to).texts("SELECT details AS text FROM audit");
    assert!(!records.concat().contains("hunter2"), "{records:?}");
}

#[test]
fn d31_many_notifications_move_and_are_equal() {
    let notifications = if is_full() { 100_000 } else { 1_000 };
    let mut app = App::spawn(Backend::Sqlite);
    let new = |number: usize| {
        let card = format!("card-{number}");
        let element = match number % 50 {
            0 => refresh(&card, START, NUMBER_1, ("12", "2031")),
            _ => status(&card, Some(START), "ACTIVE"),
        };
        NewDelivery {
            id: format!("delivery-{number}"),
            received_at: START,
            source: "replay".to_owned(),
            response_host: None,
            body: plain(&[element]).to_string().into_bytes(),
        }
    };
    for first in (0..notifications).step_by(500) {
        let part = Vec::from_iter((first..first + 500).map(new));
        app.store().write(|tx| tx.insert_deliveries(&part)).unwrap();
        app.settle();
    }
    app.stop();
    let (file, rows) = there_and_back(&app.database);
    assert_eq!(sql(&file).count("notifications"), notifications);
    println!("D-31 {notifications} notifications, {rows} rows");
}
