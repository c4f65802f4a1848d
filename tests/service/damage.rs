//! What cannot be processed is set aside and does not stop the others.

use std::time::{Duration, Instant};

use rstest::rstest;
use tokenkeep::settings::Role;

use crate::support::build::{CARD, NUMBER_1, plain, refresh, refresh_with, status};
use crate::support::key_folder::{KeyFolder, LateKey};
use crate::support::sql::{all_verdicts, keep, sql};
use crate::support::{App, Backend, START, wait_until};

const OTHER: &str = "another-card";

/// Damages rows; in the statement `{card}` is the card, `{00}` a byte.
fn damage(app: &App, statement: &str) {
    let statement = statement.replace("{card}", CARD);
    sql(&app.database).execute(&statement.replace("{00}", sql(&app.database).byte()));
}

#[rstest]
#[case::gone("NULL")]
#[case::cut("{00}")]
#[case::moved("(SELECT body FROM deliveries WHERE sequence = 1)")]
fn a_delivery_whose_body_is_damaged_is_quarantined_and_the_others_are_decided(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[case] body: &str,
) {
    let mut app = App::spawn_with(backend, |settings| settings.roles = vec![Role::Receive]);
    for card in ["card-0", "card-1", "card-2"] {
        keep(&app, &plain(&[status(card, Some(START), "ACTIVE")]));
    }
    damage(
        &app,
        &format!("UPDATE deliveries SET body = {body} WHERE sequence = 2"),
    );
    app.stop();
    app.settings.roles = vec![Role::Receive, Role::Process];
    app.start();
    app.settle();
    let expected = ["applied", "quarantined(processing-failed)", "applied"];
    assert_eq!(all_verdicts(&app), expected);
    assert_eq!(app.get("/readyz").status, 200);
}

#[rstest]
#[case::state("UPDATE cards SET state = '{' WHERE id = '{card}'")]
#[case::rank("UPDATE tokens SET rank = 'x' WHERE card_id = '{card}'")]
#[case::number("UPDATE tokens SET number = {00} WHERE card_id = '{card}'")]
#[case::expiry("UPDATE tokens SET expiration_month = '13' WHERE card_id = '{card}'")]
fn p07_a_damaged_card_holds_its_own_items_and_the_others_are_decided(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[case] statement: &str,
) {
    let app = App::spawn(backend);
    app.deliver(&plain(&[refresh(
        CARD,
        START - 9_000,
        NUMBER_1,
        ("12", "2031"),
    )]));
    damage(&app, statement);
    app.deliver(&plain(&[
        status(CARD, Some(START - 5_000), "SUSPENDED"),
        status(OTHER, Some(START - 5_000), "SUSPENDED"),
    ]));
    assert_eq!(app.verdicts(CARD)[1..], ["quarantined(processing-failed)"]);
    app.deliver(&plain(&[status(OTHER, Some(START - 4_000), "ACTIVE")]));
    assert_eq!(app.verdicts(OTHER), ["applied", "applied"]);
    assert_eq!(app.get("/readyz").status, 200);
}

#[rstest]
#[case::card("cards", "UPDATE cards SET state = '{' WHERE id = '{card}'")]
#[case::number("cards", "UPDATE tokens SET number = {00} WHERE card_id = '{card}'")]
#[case::item(
    "notifications",
    "UPDATE notifications SET trace = '{' WHERE card_id = '{card}'"
)]
fn one_damaged_row_does_not_hide_the_others_in_a_list(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[case] list: &str,
    #[case] statement: &str,
) {
    let app = App::spawn(backend);
    app.deliver(&plain(&[refresh(
        CARD,
        START - 9_000,
        NUMBER_1,
        ("12", "2031"),
    )]));
    app.deliver(&plain(&[status(OTHER, Some(START - 5_000), "SUSPENDED")]));
    damage(&app, statement);
    let list = app.get(&format!("/v1/{list}"));
    assert!(list.status == 200 && list.text.contains(OTHER), "{list:?}");
}

#[rstest]
fn w16_the_items_of_a_delivery_are_written_in_one_transaction(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut app = App::spawn(backend);
    // The last thing written for the fourth item fails: nothing of the others may stay.
    sql(&app.database).refuse_inserts("outbox", "NEW.card_id = 'card-3'");
    let items = (0..5).map(|index| {
        let card = format!("card-{index}");
        refresh(&card, START, NUMBER_1, ("12", "2031"))
    });
    keep(&app, &plain(&Vec::from_iter(items)));
    wait_until("the delivery is set aside", || {
        all_verdicts(&app) == ["quarantined(processing-failed)"]
    });
    for table in ["cards", "tokens", "outbox"] {
        assert_eq!(sql(&app.database).count(table), 0, "{table}");
    }
    sql(&app.database).accept_inserts("outbox");
    // What failed is looked at again when the service starts anew.
    app.stop();
    app.start();
    wait_until("it is decided", || all_verdicts(&app) == ["applied"; 5]);
    assert_eq!(sql(&app.database).count("outbox"), 5);
}

/// The record of an earlier judgement is damaged, so the delivery can perhaps not even be set aside.
#[rstest]
fn a_delivery_with_a_damaged_record_does_not_stop_the_others(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let folder = KeyFolder::copy();
    let app = folder.spawn(backend);
    let late = LateKey::new("late");
    let unknown = late.payment_jwe(NUMBER_1, ("12", "2031"));
    app.deliver(&plain(&[refresh_with(CARD, START - 5_000, &unknown)]));
    assert_eq!(app.verdicts(CARD), ["quarantined(unknown-key)"]);
    sql(&app.database).execute("UPDATE notifications SET changes = '{'");
    // A new key lets it be looked at again.
    folder.put(late.kid, &late.pem);
    for number in 0.. {
        let card = format!("card-{number}");
        keep(&app, &plain(&[status(&card, Some(START), "ACTIVE")]));
        wait_until("the other one is decided", || app.card(&card).is_some());
        if number > 3 && sql(&app.database).count("notifications") > 4 {
            break;
        }
    }
}

/// On SQLite a lock stops the receiver as well, so nothing is kept meanwhile.
#[test]
fn a_lock_that_lasts_delays_deliveries_and_quarantines_none() {
    let app = App::spawn(Backend::Postgres);
    app.deliver(&plain(&[status(CARD, Some(START - 9_000), "ACTIVE")]));
    let held = sql(&app.database).hold("cards");
    keep(
        &app,
        &plain(&[status(CARD, Some(START - 8_000), "SUSPENDED")]),
    );
    let begun = Instant::now();
    wait_until("the trouble is told", || {
        let ready = app.get("/readyz");
        ready.status == 503 && ready.text.contains("nothing is processed")
    });
    // After one wait for the lock, not after a wait for each delivery that is tried alone.
    assert!(begun.elapsed() < Duration::from_secs(8));
    drop(held);
    app.settle();
    assert_eq!(app.verdicts(CARD), ["applied", "applied"]);
    wait_until("it is ready again", || app.get("/readyz").status == 200);
}
