//! Keys that come late: what waits for one opens by itself, once, in its old rank.

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::build::{
    CARD, NUMBER_1, NUMBER_2, encrypted, plain, refresh, refresh_with, status,
};
use crate::support::key_folder::{KeyFolder, LateKey};
use crate::support::{App, Backend, START, wait_until};

/// Waits until nothing of the card is held any more.
fn opened(app: &App, card: &str) {
    wait_until("what was held is opened", || {
        let verdicts = app.verdicts(card);
        !verdicts.is_empty() && !verdicts.iter().any(|verdict| verdict.ends_with(')'))
    });
    app.settle();
}

fn token_number(app: &App, card: &str) -> String {
    let token = app.card(card).unwrap().card.token;
    token.unwrap().number.expose().to_owned()
}

/// What the command line says of a card.
fn shown(app: &App, card: &str) -> Value {
    let arguments = ["cards", "show", card, "--json"];
    crate::support::commands::tokenkeep(&app.database, &arguments).json()
}

#[rstest]
fn j15_a_refresh_under_an_unknown_kid_is_held_then_opens_by_itself_once_when_the_key_comes(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let keys = KeyFolder::copy();
    let key = LateKey::new("payload-2027");
    let app = keys.spawn(backend);
    let jwe = key.payment_jwe(NUMBER_1, ("12", "2031"));
    app.deliver(&plain(&[refresh_with(CARD, START - 1_000, &jwe)]));
    assert_eq!(app.verdicts(CARD), ["quarantined(unknown-key)"]);
    let held = shown(&app, CARD);
    assert_eq!(held["mayCharge"], false);
    assert_eq!(held["reasons"], json!(["refresh-unreadable"]));
    assert_eq!(held["token"], Value::Null);

    keys.put(key.kid, &key.pem);
    opened(&app, CARD);
    assert_eq!(app.verdicts(CARD), ["applied"]);
    assert_eq!(token_number(&app, CARD), NUMBER_1);
    let card = app.card(CARD).unwrap().card;
    assert_eq!((card.version, card.number_version), (1, 1));
    assert_eq!(app.due_cryptograms(CARD), [1]);
    assert_eq!(shown(&app, CARD)["mayCharge"], true);

    // The same content under a known key is a repeat of it.
    app.deliver(&plain(&[refresh(
        CARD,
        START - 1_000,
        NUMBER_1,
        ("12", "2031"),
    )]));
    assert_eq!(app.verdicts(CARD), ["applied", "duplicate"]);
    assert_eq!(app.due_cryptograms(CARD), [1]);
    println!(
        "J-15 a part, held, opened and sent again: {:?}",
        app.verdicts(CARD)
    );
}

#[rstest]
fn j15_what_opens_late_has_its_old_rank_so_a_newer_refresh_that_came_meanwhile_stays(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let keys = KeyFolder::copy();
    let key = LateKey::new("payload-2027");
    let app = keys.spawn(backend);
    let jwe = key.payment_jwe(NUMBER_1, ("12", "2031"));
    app.deliver(&plain(&[refresh_with(CARD, START - 2_000, &jwe)]));
    app.deliver(&plain(&[refresh(
        CARD,
        START - 1_000,
        NUMBER_2,
        ("01", "2032"),
    )]));
    assert_eq!(app.verdicts(CARD), ["quarantined(unknown-key)", "applied"]);
    assert_eq!(
        shown(&app, CARD)["mayCharge"],
        true,
        "a newer token ends the doubt"
    );
    keys.put(key.kid, &key.pem);
    opened(&app, CARD);
    assert_eq!(token_number(&app, CARD), NUMBER_2);
    let card = app.card(CARD).unwrap().card;
    assert_eq!((card.version, card.number_version), (1, 1));
    assert_eq!(app.due_cryptograms(CARD), [1]);
    let late = &app.notifications(CARD)[0];
    // Its status applied when it came; its token never did.
    assert_eq!(
        (late.verdict.as_str(), late.rule.as_str()),
        ("applied", "status-newer")
    );
    let changes = late.changes.iter();
    let token_changes = changes.filter(|change| change.field.starts_with("token"));
    assert_eq!(token_changes.clone().count(), 0);
    println!(
        "J-15 opened late: {}, {} changes of the token",
        late.rule,
        token_changes.count()
    );
}

#[rstest]
fn s03_a_refresh_that_was_late_when_it_came_is_stale_once_its_key_comes(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let keys = KeyFolder::copy();
    let key = LateKey::new("payload-2027");
    let app = keys.spawn(backend);
    app.deliver(&plain(&[refresh(
        CARD,
        START - 1_000,
        NUMBER_2,
        ("01", "2032"),
    )]));
    let jwe = key.payment_jwe(NUMBER_1, ("12", "2031"));
    app.deliver(&plain(&[refresh_with(CARD, START - 2_000, &jwe)]));
    assert_eq!(app.verdicts(CARD), ["applied", "quarantined(unknown-key)"]);
    keys.put(key.kid, &key.pem);
    opened(&app, CARD);
    assert_eq!(app.verdicts(CARD), ["applied", "stale"]);
    assert_eq!(token_number(&app, CARD), NUMBER_2);
    assert_eq!(app.jobs(CARD).len(), 1);
}

#[rstest]
fn j15_a_whole_body_under_an_unknown_kid_is_held_and_opens_by_itself_once_when_the_key_comes(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let keys = KeyFolder::copy();
    let key = LateKey::new("payload-2027");
    let app = keys.spawn(backend);
    let mut clear = refresh(CARD, START - 1_000, NUMBER_1, ("12", "2031"));
    clear["paymentData"] = json!({
        "paymentToken": NUMBER_1, "tokenExpirationMonth": "12", "tokenExpirationYear": "2031",
    });
    let list = json!([clear, status("another", Some(START - 1_000), "SUSPENDED")]);
    let body = json!({ "encryptedDigitalCardUpdateNotifications": key.jwe(&list) });
    app.deliver(&body);
    assert!(app.card(CARD).is_none());
    let held = app.get("/v1/notifications").json();
    assert_eq!(held["notifications"][0]["verdictReason"], "unknown-key");
    assert_eq!(held["notifications"][0]["cardId"], Value::Null);

    keys.put(key.kid, &key.pem);
    opened(&app, CARD);
    assert_eq!(app.verdicts(CARD), ["applied"]);
    assert_eq!(app.verdicts("another"), ["applied"]);
    assert_eq!(token_number(&app, CARD), NUMBER_1);
    let all = app.get("/v1/notifications").json();
    assert_eq!(all["notifications"].as_array().unwrap().len(), 2);
    app.deliver(&encrypted(&list));
    assert_eq!(app.verdicts(CARD), ["applied", "duplicate"]);
    println!(
        "J-15 a body, held, opened and sent again: {:?}",
        app.verdicts(CARD)
    );
}

#[rstest]
fn what_cannot_be_opened_leaves_the_other_parts_of_its_item_and_its_delivery_applied(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let key = LateKey::new("payload-2027");
    let mut held = refresh_with(
        CARD,
        START - 1_000,
        &key.payment_jwe(NUMBER_1, ("12", "2031")),
    );
    held["maskedCard"]["digitalCardData"]["status"] = "SUSPENDED".into();
    app.deliver(&plain(&[
        held,
        refresh("beside", START - 1_000, NUMBER_2, ("12", "2031")),
    ]));
    assert_eq!(app.verdicts(CARD), ["quarantined(unknown-key)"]);
    let card = app.get(&format!("/v1/cards/{CARD}")).json();
    assert_eq!(card["status"], "SUSPENDED");
    assert_eq!(card["display"]["descriptorName"], "Test Bank");
    assert_eq!(card["token"], Value::Null);
    let changes = &app.notifications(CARD)[0].changes;
    assert!(changes.iter().any(|change| change.field == "status"));
    assert_eq!(app.verdicts("beside"), ["applied"]);
    assert_eq!(token_number(&app, "beside"), NUMBER_2);
}

#[rstest]
fn a_part_that_stays_parked_keeps_its_verdict_when_its_delivery_is_looked_at_again(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let keys = KeyFolder::copy();
    let key = LateKey::new("payload-2027");
    let app = keys.spawn(backend);
    let jwe = key.payment_jwe(NUMBER_1, ("12", "2031"));
    let odd = status("odd", Some(START - 1_000), "DORMANT");
    app.deliver(&plain(&[
        refresh_with(CARD, START - 1_000, &jwe),
        odd.clone(),
    ]));
    assert_eq!(app.verdicts("odd"), ["parked(status-unknown)"]);
    let before = app.notifications("odd").remove(0);
    keys.put(key.kid, &key.pem);
    opened(&app, CARD);
    assert_eq!(app.verdicts(CARD), ["applied"]);
    let after = app.notifications("odd").remove(0);
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
    app.deliver(&plain(&[odd]));
    assert_eq!(app.verdicts("odd"), ["parked(status-unknown)", "duplicate"]);
}

#[rstest]
fn the_body_of_a_held_delivery_goes_with_the_ended_card_in_it_once_the_delivery_is_done(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let keys = KeyFolder::copy();
    let key = LateKey::new("payload-2027");
    let app = keys.spawn(backend);
    let jwe = key.payment_jwe(NUMBER_1, ("12", "2031"));
    app.deliver(&plain(&[
        refresh("ends", START - 2_000, NUMBER_2, ("12", "2031")),
        refresh_with(CARD, START - 2_000, &jwe),
    ]));
    app.deliver(&plain(&[status("ends", Some(START - 1_000), "CANCELLED")]));
    let bodies = |app: &App| app.database.sealed_values_of("ends")[3];
    // The body is still needed for the other card.
    assert_eq!(bodies(&app), ("deliveries", 1));
    keys.put(key.kid, &key.pem);
    opened(&app, CARD);
    assert_eq!(token_number(&app, CARD), NUMBER_1);
    assert_eq!(
        app.database.sealed_values_of("ends"),
        [
            ("tokens", 0),
            ("notifications", 0),
            ("registrations", 0),
            ("deliveries", 0)
        ]
    );
}

#[rstest]
fn a_held_item_still_waits_when_its_delivery_could_not_even_be_opened_in_between(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let keys = KeyFolder::copy();
    let (body_key, late) = (LateKey::new("body-2027"), LateKey::new("payload-2027"));
    keys.put(body_key.kid, &body_key.pem);
    let mut app = keys.spawn(backend);
    let held = refresh_with("held", START, &late.payment_jwe(NUMBER_1, ("12", "2031")));
    let list = json!([status("first", Some(START), "ACTIVE"), held]);
    let token = body_key.jwe(&list);
    app.deliver(&json!({ "encryptedDigitalCardUpdateNotifications": token }));
    assert_eq!(app.verdicts("first"), ["applied"]);
    assert_eq!(app.verdicts("held"), ["quarantined(unknown-key)"]);

    // While the body's key is away the delivery is looked at, and cannot be split.
    app.stop();
    keys.remove(body_key.kid);
    app.start();
    app.deliver(&plain(&[status("other", Some(START), "ACTIVE")]));
    app.stop();
    keys.put(body_key.kid, &body_key.pem);
    keys.put(late.kid, &late.pem);
    app.start();
    wait_until("the held item opens", || {
        app.verdicts("held") == ["applied"]
    });
    assert_eq!(app.verdicts("first"), ["applied"]);
}
