//! What is left of a card after its end, and after it was erased; and what holds it back.

use std::sync::mpsc;
use std::time::Duration;

use rstest::rstest;
use serde_json::json;
use tokenkeep::api::access::AccessRole;
use tokenkeep::domain::CardId;

use crate::support::api::Ask;
use crate::support::audit::store;
use crate::support::build::{CARD, NUMBER_1, plain, refresh, status};
use crate::support::commands::tokenkeep;
use crate::support::sql::sql;
use crate::support::{App, Backend, START};

/// How many items of a card there are of which this holds.
fn items(app: &App, condition: &str) -> usize {
    sql(&app.database).count(&format!(
        "notifications WHERE card_id = '{CARD}' AND ({condition})"
    ))
}

const COMPUTABLE: &str = "identity IS NOT NULL OR identity_source IS NOT NULL";
const TELLING: &str = "identity IS NOT NULL OR unique_identity IS NOT NULL \
    OR identity_source IS NOT NULL OR event_time IS NOT NULL OR reason IS NOT NULL \
    OR status IS NOT NULL OR content IS NOT NULL OR payment IS NOT NULL \
    OR flags <> '[]' OR changes <> '[]' OR trace <> '[]'";

#[rstest]
fn after_the_end_of_a_card_its_number_cannot_be_computed_and_after_erasure_nothing_is_told(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let first = plain(&[refresh(CARD, START, NUMBER_1, ("12", "2031"))]);
    app.deliver(&first);
    let path = format!("/v1/cards/{CARD}");
    assert_eq!(app.put(&path, &json!({ "program": "shop" })).status, 200);
    assert_eq!(items(&app, COMPUTABLE), 1);
    app.deliver(&plain(&[status(CARD, Some(START + 1), "CANCELLED")]));
    assert_eq!(items(&app, COMPUTABLE), 0);
    // A repetition is known as one all the same, also when it is judged anew.
    app.deliver(&first);
    assert_eq!(app.verdicts(CARD).last().unwrap(), "duplicate");
    let item = app.notifications(CARD)[0].id.clone();
    let replay = [
        "notifications",
        "replay",
        &item,
        "--reason",
        "again",
        "--json",
    ];
    let replayed = tokenkeep(&app.database, &replay);
    assert!(replayed.stdout.contains("duplicate"), "{replayed:?}");
    assert_eq!(items(&app, COMPUTABLE), 0);
    let of_card = format!("outbox WHERE card_id = '{CARD}'");
    assert_ne!(sql(&app.database).count(&of_card), 0);

    assert_eq!(tokenkeep(&app.database, &["cards", "erase", CARD]).code, 0);
    assert_eq!(items(&app, TELLING), 0);
    assert_eq!(sql(&app.database).count(&of_card), 0);
    assert_eq!(sql(&app.database).count("replays"), 0);
    app.deliver(&plain(&[status(CARD, Some(START + 2), "ACTIVE")]));
    assert_eq!((items(&app, "1 = 1"), items(&app, TELLING)), (4, 0));
}

#[rstest]
fn erasing_a_card_forgets_no_answer_about_one_whose_id_differs_in_case(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let key = app.new_key(AccessRole::App, "merchant");
    for card in ["ABC%_!x", "abc%_!x"] {
        let path = format!("/v1/cards/{}", card.replace('%', "%25"));
        let registered = app.ask(&Ask {
            method: "PUT",
            path: &path,
            key: &key,
            headers: &[&format!("Idempotency-Key: {card}")],
            body: r#"{"program":"shop"}"#,
        });
        assert_eq!(registered.status, 201, "{}", registered.body);
    }
    app.deliver(&plain(&[status("ABC%_!x", Some(START), "CANCELLED")]));
    let kept = || sql(&app.database).texts("SELECT answer AS text FROM idempotency_keys");
    assert_eq!(kept().len(), 2);
    assert_eq!(
        tokenkeep(&app.database, &["cards", "erase", "ABC%_!x"]).code,
        0
    );
    assert_eq!(kept().len(), 1);
    assert!(kept()[0].contains("abc%_!x"));
}

#[rstest]
fn p01_a_hold_that_is_being_put_on_a_card_is_not_overtaken_by_purge(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    app.deliver(&plain(&[status(CARD, Some(START), "CANCELLED")]));
    sql(&app.database)
        .execute("UPDATE cards SET updated_at = 1; UPDATE notifications SET decided_at = 1");
    let (held, is_held) = mpsc::channel();
    let holder = store(&app.database);
    let holding = std::thread::spawn(move || {
        let card = CardId::parse(CARD).unwrap();
        let hold = holder.write(|tx| {
            assert!(tx.hold_card(&card, "a dispute", START)?);
            held.send(()).unwrap();
            // Purge looks and waits meanwhile.
            std::thread::sleep(Duration::from_millis(800));
            Ok(())
        });
        hold.unwrap();
    });
    is_held.recv().unwrap();
    let purged = tokenkeep(&app.database, &["purge", "--json"]);
    holding.join().unwrap();
    assert_eq!(purged.code, 0, "{purged:?}");
    assert!(app.card(CARD).unwrap().card.erased_at.is_none());
    assert_eq!(app.notifications(CARD).len(), 1);
}
