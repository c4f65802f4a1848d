//! A rehearsal leaves nothing; what is deleted is overwritten; the server gives up in time.

use std::collections::HashSet;

use rstest::rstest;
use tokenkeep::domain::{CardId, Job, JobKind};
use tokenkeep::store::{ApiKey, DeliveryState, NewDelivery, StoreError, Waiting};

use crate::support::build::{CARD, NUMBER_1, plain, refresh, status};
use crate::support::sql::sql;
use crate::support::{App, Backend, START};

fn delivery(id: &str) -> NewDelivery {
    NewDelivery {
        id: id.to_owned(),
        received_at: START,
        source: "replay".to_owned(),
        response_host: None,
        body: plain(&[status(CARD, Some(START), "SUSPENDED")])
            .to_string()
            .into_bytes(),
    }
}

/// Every row of every table.
fn everything(app: &App) -> Vec<(&'static str, Vec<String>)> {
    let tables = [
        ("deliveries", "id || state"),
        ("notifications", "id || verdict"),
        ("registrations", "id"),
        ("cards", "id || state"),
        ("tokens", "card_id || rank"),
        ("outbox", "id || state"),
        ("api_keys", "name || coalesce(revoked_at, 0)"),
        ("replays", "id"),
    ];
    let rows = |(table, what)| {
        let query = format!("SELECT {what} AS text FROM {table} ORDER BY 1");
        (table, sql(&app.database).texts(&query))
    };
    tables.map(rows).into()
}

#[rstest]
fn a_rehearsal_sees_what_it_wrote_and_leaves_nothing_of_it(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    app.deliver(&plain(&[refresh(
        CARD,
        START - 1_000,
        NUMBER_1,
        ("12", "2031"),
    )]));
    let before = everything(&app);
    let card = CardId::parse(CARD).unwrap();
    let seen = app.store().rehearse(|tx| {
        tx.insert_deliveries(&[delivery("one"), delivery("two")])?;
        let waiting = tx.waiting_deliveries(Waiting::First(10), &HashSet::new())?;
        tx.set_delivery_state(&[waiting[0].sequence], DeliveryState::Done)?;
        let job = Job {
            kind: JobKind::GetCard,
            not_before: START,
        };
        tx.queue_job(&card, &job, None, START)?;
        tx.wipe_numbers(&card)?;
        tx.revoke_api_key("ops", START)?;
        let left = tx.count_waiting()?;
        Ok((
            waiting.len(),
            left,
            tx.count_kept_numbers(CARD)?,
            tx.jobs_of_card(&card)?.len(),
        ))
    });
    assert_eq!(seen.unwrap(), (2, 1, 0, 2));
    assert_eq!(everything(&app), before);
    // The store goes on, and what was rehearsed can be done.
    app.store()
        .write(|tx| tx.insert_deliveries(&[delivery("one")]))
        .unwrap();
    app.settle();
    assert_eq!(app.verdicts(CARD), ["applied", "applied"]);
}

#[rstest]
fn a_rehearsal_that_fails_tells_why_and_leaves_nothing(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let before = everything(&app);
    let taken = ApiKey {
        name: "ops".to_owned(),
        role: "ops".to_owned(),
        digest: "0".to_owned(),
        created_at: START,
        revoked_at: None,
    };
    let failed = app.store().rehearse(|tx| {
        tx.insert_deliveries(&[delivery("one")])?;
        tx.insert_api_key(&taken)
    });
    assert!(matches!(failed, Err(StoreError::Conflict)), "{failed:?}");
    assert_eq!(everything(&app), before);
}

#[test]
fn d06_sqlite_overwrites_what_is_deleted() {
    let app = App::spawn(Backend::Sqlite);
    // Asked by a trigger: it runs on the service's own connection.
    app.database.execute(
        "CREATE TABLE seen (said TEXT); CREATE TRIGGER look AFTER INSERT ON deliveries BEGIN \
         INSERT INTO seen SELECT secure_delete || '' FROM pragma_secure_delete; END",
    );
    app.deliver(&plain(&[status(CARD, Some(START), "ACTIVE")]));
    assert_eq!(
        sql(&app.database).texts("SELECT said AS text FROM seen"),
        ["1"]
    );
}

#[test]
fn d13_postgresql_gives_up_on_statements_locks_and_idle_transactions_in_time() {
    let mut app = App::spawn(Backend::Postgres);
    app.stop();
    for timeout in [
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
    ] {
        sql(&app.database).administer(&format!("ALTER DATABASE {{name}} SET {timeout} = 0"));
    }
    app.database.execute(
        "CREATE TABLE seen (said TEXT); CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql \
         AS $$ BEGIN INSERT INTO seen VALUES (current_setting('statement_timeout') || ' ' || \
         current_setting('lock_timeout') || ' ' || \
         current_setting('idle_in_transaction_session_timeout')); RETURN NEW; END $$; \
         CREATE TRIGGER look AFTER INSERT ON deliveries FOR EACH ROW EXECUTE FUNCTION look()",
    );
    app.start();
    app.deliver(&plain(&[status(CARD, Some(START), "ACTIVE")]));
    let seen = sql(&app.database).texts("SELECT said AS text FROM seen");
    assert_eq!(seen, ["3s 3s 1min"]);
}
