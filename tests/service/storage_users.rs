//! P-14: the users that `deploy/postgres/roles.sql` makes can do the service's work and nothing else.

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use serde_json::{Value, json};
use tokenkeep::audit::Act;
use tokenkeep::sandbox::{Operation, Refresh};
use tokenkeep::store::Entry;

use crate::support::audit::store;
use crate::support::build::{plain, status};
use crate::support::calls::Shop;
use crate::support::commands::with;
use crate::support::sql::sql;
use crate::support::{App, Backend, START, TestDatabase, wait_until};

const OWNER: &str = "tokenkeep_owner";
const APP: &str = "tokenkeep_app";
const PURGER: &str = "tokenkeep_purger";

/// What an intruder who has the service's user would try.
const ATTEMPTS: [&str; 30] = [
    "DROP TABLE audit",
    "DROP TABLE cards CASCADE",
    "DROP SCHEMA public CASCADE",
    "DROP TRIGGER audit_is_not_changed ON audit",
    "ALTER TABLE cards ADD COLUMN more TEXT",
    "ALTER TABLE audit DISABLE TRIGGER ALL",
    "ALTER TABLE audit OWNER TO tokenkeep_app",
    "ALTER FUNCTION audit_is_kept() RENAME TO kept",
    "ALTER ROLE tokenkeep_app SUPERUSER",
    "ALTER SYSTEM SET fsync = off",
    "UPDATE audit SET actor = 'nobody'",
    "DELETE FROM audit",
    "TRUNCATE audit",
    "TRUNCATE deliveries, notifications, replays",
    "DELETE FROM audit_writers",
    "DELETE FROM deliveries",
    "DELETE FROM notifications",
    "DELETE FROM cards",
    "DELETE FROM events",
    "DELETE FROM __diesel_schema_migrations",
    "BEGIN; LOCK TABLE audit IN ACCESS EXCLUSIVE MODE",
    "CREATE TABLE mine (id INTEGER)",
    "CREATE TEMPORARY TABLE mine (id INTEGER)",
    "CREATE FUNCTION mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "COPY cards TO PROGRAM 'cat'",
    "COPY cards TO '/tmp/cards'",
    "SELECT pg_read_file('/etc/passwd')",
    "SET session_replication_role = 'replica'",
    "SET ROLE tokenkeep_owner",
    "GRANT UPDATE ON audit TO tokenkeep_app",
];

fn as_user(database: &TestDatabase, user: &str, statement: &str) -> Result<(), String> {
    let mut connection = PgConnection::establish(&database.url_as(user)).unwrap();
    let done = connection.batch_execute(statement);
    done.map_err(|error| error.to_string())
}

/// Refused for want of a right, and not for a mistake in the statement.
fn is_refused(database: &TestDatabase, user: &str, statement: &str) -> bool {
    let told = as_user(database, user, statement).err().unwrap_or_default();
    let known = ["permission denied", "must be owner", "must be superuser"];
    // Granting what one may not grant is no error of the server's, only without effect.
    let is_empty = statement.starts_with("GRANT") && !has_right(database, "audit", "UPDATE");
    is_empty || known.iter().any(|words| told.contains(words))
}

fn has_right(database: &TestDatabase, table: &str, right: &str) -> bool {
    let query = format!("SELECT has_table_privilege('{APP}', '{table}', '{right}')::text AS text");
    sql(database).texts(&query) == ["true"]
}

fn run_as(database: &TestDatabase, user: &str, arguments: &[&str]) -> i32 {
    let url = database.url_as(user);
    let more = [
        ("DATABASE_URL", &*url),
        ("TOKENKEEP_MIGRATE_ON_START", "false"),
    ];
    with(database, arguments, &more).code
}

/// Everything that a service does, done as the service's user; returns how many acts that were.
fn work(shop: &Shop) -> usize {
    let app = &shop.app;
    shop.card_with_cryptogram("living");
    shop.card_with_cryptogram("ending");
    let registered = app.put("/v1/cards/registered", &json!({ "program": "shop" }));
    assert_eq!(registered.status, 201, "{}", registered.text);
    let issued = shop.credentials("living", &json!({ "use": "single" }));
    assert_eq!(issued.status, 200, "{}", issued.body);
    let refreshed = shop.sandbox.refresh("living", Refresh::NumberAndExpiry);
    app.deliver(&refreshed.unwrap());
    shop.settle();
    assert!(shop.assert_pair("living"));
    assert_eq!(shop.delete("ending").status, 202);
    shop.settle();
    assert_eq!(shop.calls(Operation::DeleteCard, "ending"), 1);
    let item = app.notifications("living")[0].id.clone();
    let replay = format!("/v1/notifications/{item}/replay");
    let ops = app.new_key(tokenkeep::api::access::AccessRole::Ops, "a person");
    assert_eq!(
        app.send("POST", &replay, &ops, r#"{"reason":"why"}"#)
            .status,
        200
    );
    let database = &app.database;
    let commands: [&[&str]; 9] = [
        &["cards", "hold", "living", "--reason", "a dispute"],
        &["cards", "release", "living"],
        &["cards", "erase", "ending"],
        &["cards", "list"],
        &["api-keys", "create", "--role", "ops", "--name", "more"],
        &["api-keys", "revoke", "more"],
        &["audit", "verify"],
        &["keys", "reseal"],
        &["check"],
    ];
    for command in commands {
        assert_eq!(run_as(database, APP, command), 0, "{command:?}");
    }
    // Start, receipt, decision, registration, credentials, refresh, deletion and replay.
    commands.len() + 8
}

/// The rows of the tables that purge works on, made as old as can be, and an old chain of the audit.
fn age(database: &TestDatabase) {
    sql(database).execute(
        "UPDATE deliveries SET received_at = 1; UPDATE notifications SET decided_at = 1; \
         UPDATE answers SET received_at = 1; UPDATE registrations SET received_at = 1; \
         UPDATE events SET at = 1; UPDATE cards SET updated_at = 1; \
         UPDATE outbox SET ended_at = 1 WHERE ended_at IS NOT NULL",
    );
    let entry = Entry {
        act: Act::Read,
        object: "a test",
        outcome: "done",
        details: Value::Null,
        at: 1,
    };
    store(database).write(|tx| tx.audit(entry)).unwrap();
}

#[test]
fn p14_the_services_database_user_does_its_work_and_is_refused_everything_else() {
    let mut shop = Shop::open(Backend::Postgres);
    // Made by another user: the file takes over what there is.
    shop.app.stop();
    shop.app.database.make_users();
    shop.app.settings.migrate_on_start = false;
    shop.app.settings.database_url = shop.app.database.url_as(APP);
    shop.app.start();
    let acts = work(&shop);
    let database = &shop.app.database;

    let refused = ATTEMPTS.iter().filter(|attempt| {
        let is_refused = is_refused(database, APP, attempt);
        assert!(is_refused, "{attempt}");
        is_refused
    });
    let refused = refused.count();

    age(database);
    assert_eq!(run_as(database, APP, &["purge"]), 1, "others purge");
    assert!(sql(database).count("notifications") > 0);
    assert_eq!(run_as(database, PURGER, &["purge"]), 0);
    for table in ["notifications", "events", "audit WHERE at = 1"] {
        assert_eq!(sql(database).count(table), 0, "{table}");
    }
    for attempt in [
        "UPDATE audit SET actor = 'nobody'",
        "TRUNCATE audit",
        "DROP TABLE audit",
    ] {
        assert!(is_refused(database, PURGER, attempt), "{attempt}");
    }
    let told = as_user(database, PURGER, "DELETE FROM audit").unwrap_err();
    assert!(told.contains("kept for 12 months"), "{told}");
    assert_eq!(run_as(database, APP, &["audit", "verify"]), 0);
    println!(
        "P-14 {acts} acts done and {refused} of {} statements refused",
        ATTEMPTS.len()
    );
}

#[test]
fn a_right_that_is_missing_is_waited_for_and_nothing_is_lost() {
    let mut app = App::spawn(Backend::Postgres);
    app.stop();
    app.database.make_users();
    app.settings.database_url = app.database.url_as(APP);
    app.start();
    sql(&app.database).execute("REVOKE INSERT ON notifications FROM tokenkeep_app");
    let body = plain(&[status("card", Some(START), "ACTIVE")]);
    assert_eq!(app.notify(&body).status, 204);
    wait_until("it says that it is not ready", || {
        app.get("/readyz").status == 503
    });
    assert!(app.verdicts("card").is_empty());
    sql(&app.database).execute("GRANT INSERT ON notifications TO tokenkeep_app");
    app.settle();
    assert_eq!(app.verdicts("card"), ["applied"]);
}

#[test]
fn the_owner_migrates_and_every_table_is_granted_what_it_is_used_for() {
    let database = TestDatabase::new(Backend::Postgres);
    database.make_users();
    assert_eq!(
        run_as(&database, APP, &["cards", "list"]),
        2,
        "no schema yet"
    );
    assert_eq!(run_as(&database, APP, &["migrate"]), 1, "others migrate");
    assert_eq!(run_as(&database, OWNER, &["migrate"]), 0);
    database.make_users();
    assert_eq!(run_as(&database, APP, &["cards", "list"]), 0);
    let tables = "SELECT tablename::text AS text FROM pg_tables WHERE schemaname = 'public'";
    for table in sql(&database).texts(tables) {
        assert!(
            has_right(&database, &table, "SELECT"),
            "{table} is not in the file"
        );
        let of_owner = format!("pg_tables WHERE tablename = '{table}' AND tableowner = '{OWNER}'");
        assert_eq!(sql(&database).count(&of_owner), 1, "{table}");
    }
}
