//! `cards erase`: of a card nothing is left but its id, its state and the time.

use rstest::rstest;
use serde_json::json;
use tokenkeep::api::access::AccessRole;
use tokenkeep::sandbox::Operation;

use crate::support::api::{card, with_sandbox};
use crate::support::audit::contains;
use crate::support::build::{CARD, NUMBER_1, plain, refresh, status};
use crate::support::commands::tokenkeep;
use crate::support::sql::sql;
use crate::support::{App, Backend, START, wait_until};

const CANARY: &str = "CANARY-ERASED";

/// What is left of a card in sealed columns and registrations.
fn left(app: &App, card: &str) -> usize {
    let query = format!(
        "SELECT id AS text FROM notifications WHERE card_id = '{card}' \
         AND (content IS NOT NULL OR payment IS NOT NULL) \
         UNION ALL SELECT id FROM registrations WHERE card_id = '{card}' \
         UNION ALL SELECT id FROM answers WHERE card_id = '{card}' \
         AND (content IS NOT NULL OR payment IS NOT NULL) \
         UNION ALL SELECT card_id FROM tokens WHERE card_id = '{card}'"
    );
    sql(&app.database).texts(&query).len()
}

#[rstest]
fn a_card_that_has_ended_is_erased_at_once_and_keeps_nothing_that_comes_later(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut app = App::spawn(backend);
    let key = app.new_key(AccessRole::App, "merchant");
    let named = |mut element: serde_json::Value| {
        element["maskedCard"]["digitalCardData"]["descriptorName"] = CANARY.into();
        element
    };
    app.deliver(&plain(&[named(refresh(
        CARD,
        START,
        NUMBER_1,
        ("12", "2031"),
    ))]));
    let body = json!({ "program": "shop", "consumerReference": CANARY }).to_string();
    let path = format!("/v1/cards/{CARD}");
    let registered = app.ask(&crate::support::api::Ask {
        method: "PUT",
        path: &path,
        key: &key,
        headers: &["Idempotency-Key: one"],
        body: &body,
    });
    assert_eq!(registered.status, 200, "{}", registered.body);
    app.deliver(&plain(&[named(status(CARD, Some(START + 1), "CANCELLED"))]));
    assert!(left(&app, CARD) > 0);
    // Files are looked at while nobody has them open: closing one would end SQLite's locks on it.
    app.stop();
    assert!(contains(&app.database.bytes(), CANARY));
    app.start();

    let erased = tokenkeep(&app.database, &["cards", "erase", CARD]);
    assert_eq!(erased.code, 0, "{erased:?}");
    assert_eq!(left(&app, CARD), 0);
    app.deliver(&plain(&[named(status(CARD, Some(START + 2), "ACTIVE"))]));
    assert_eq!(left(&app, CARD), 0, "what comes later is not kept either");
    let row = app.card(CARD).unwrap();
    assert_eq!(row.card.status_word(), Some("CANCELLED"));
    assert!(row.card.erased_at.is_some());
    assert!(row.card.masked.is_empty() && row.card.consumer_reference.is_none());
    assert_eq!(app.send("PUT", &path, &key, &body).status, 410);
    let again = tokenkeep(&app.database, &["cards", "erase", CARD]);
    assert!(again.stdout.contains("erased before"), "{again:?}");
    app.stop();
    assert!(!contains(&app.database.bytes(), CANARY));
}

#[rstest]
fn a_living_card_is_deleted_first_and_erased_once_that_is_confirmed(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (app, sandbox) = with_sandbox(backend);
    sandbox.create_card(card(CARD)).unwrap();
    let body = json!({ "program": "shop", "consumerReference": CANARY });
    assert_eq!(app.put(&format!("/v1/cards/{CARD}"), &body).status, 201);
    let erased = tokenkeep(&app.database, &["cards", "erase", CARD]);
    assert_eq!(erased.code, 0, "{erased:?}");
    assert!(
        app.card(CARD).unwrap().card.terminal.is_some(),
        "unusable at once"
    );
    wait_until("it is deleted there and erased here", || {
        app.card(CARD).unwrap().card.erased_at.is_some()
    });
    assert_eq!(sandbox.count(Operation::DeleteCard, Some(CARD)), 1);
    assert_eq!(left(&app, CARD), 0);
    assert_eq!(
        app.card(CARD).unwrap().card.status_word(),
        Some("CANCELLED")
    );
}

#[rstest]
fn what_is_on_hold_or_nobody_knows_where_to_delete_is_not_erased(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    app.deliver(&plain(&[status(CARD, Some(START), "ACTIVE")]));
    let erase =
        |more: &[&str]| tokenkeep(&app.database, &[&["cards", "erase", CARD], more].concat());
    assert_eq!(erase(&[]).code, 1, "its program is not known");
    assert_eq!(
        tokenkeep(&app.database, &["cards", "erase", "nobody"]).code,
        1
    );
    let hold = ["cards", "hold", CARD, "--reason", "a dispute"];
    assert_eq!(tokenkeep(&app.database, &hold).code, 0);
    assert_eq!(erase(&["--program", "shop"]).code, 1, "it is on hold");
    assert!(app.card(CARD).unwrap().card.terminal.is_none());
    assert_eq!(
        tokenkeep(&app.database, &["cards", "release", CARD]).code,
        0
    );
    assert_eq!(erase(&["--program", "shop"]).code, 0);
    let state = app
        .card(CARD)
        .unwrap()
        .card
        .terminal
        .map(|terminal| terminal.state.word());
    assert_eq!(state, Some("DELETE_PENDING"));
}
