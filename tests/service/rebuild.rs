//! D-32: every card is what its recorded inputs lead to; what is not is named, register by register.

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::processor::Extent;
use tokenkeep::sandbox::{CardStatus, Refresh};

use crate::support::build::{CARD, NUMBER_1, NUMBER_2, plain, refresh, refresh_with, status};
use crate::support::calls::{HOUR, MINUTE, Shop};
use crate::support::commands::tokenkeep;
use crate::support::issuer::{BANK_CARD, BANK_TOKEN, CLIENT, CONTRACT, NUMBER, OTHER_NUMBER};
use crate::support::key_folder::{KeyFolder, LateKey};
use crate::support::rebuilt::rebuilt;
use crate::support::sql::sql;
use crate::support::{App, Backend, START, wait_until};

const EXPIRY: (&str, &str) = ("12", "2031");

#[rstest]
fn d32_cards_of_checkout_are_recomputed_after_all_that_can_happen_to_them(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::open(backend);
    let single = json!({ "use": "single" });
    for card in [
        "kept",
        "handed-out",
        "called-for",
        "ran-out",
        "suspended",
        "cancelled",
        "deleted",
    ] {
        shop.card_with_cryptogram(card);
        shop.advance(MINUTE);
    }
    assert_eq!(shop.credentials("handed-out", &single).status, 200);
    for _ in 0..2 {
        assert_eq!(shop.credentials("called-for", &single).status, 200);
    }
    for (card, word) in [
        ("suspended", CardStatus::Suspended),
        ("handed-out", CardStatus::Suspended),
        ("cancelled", CardStatus::Cancelled),
    ] {
        shop.app
            .deliver(&shop.sandbox.set_status(card, word).unwrap());
    }
    shop.advance(MINUTE);
    let active = shop.sandbox.set_status("handed-out", CardStatus::Active);
    shop.app.deliver(&active.unwrap());
    assert_eq!(shop.delete("deleted").status, 202);
    shop.settle();
    shop.advance(25 * HOUR);
    assert_eq!(shop.credentials("ran-out", &single).status, 200);
    for change in [Refresh::Number, Refresh::Expiry] {
        shop.app
            .deliver(&shop.sandbox.refresh("kept", change).unwrap());
        shop.settle();
    }
    // One that Mastercard does not know, and one that is registered before anything is heard of it.
    let token = json!({ "paymentToken": NUMBER_1, "tokenExpirationMonth": "12", "tokenExpirationYear": "2031" });
    for card in ["unknown-there", "kept"] {
        let registration = json!({ "program": "shop", "consumerReference": "c", "token": token });
        let registered = shop.app.put(&format!("/v1/cards/{card}"), &registration);
        assert!(registered.status < 300, "{}", registered.text);
    }
    shop.advance(2 * MINUTE);
    shop.settle();
    let app = &shop.app;
    app.deliver(&plain(&[status("untimed", None, "ACTIVE")]));
    app.deliver(&plain(&[status("untimed", None, "ACTIVE")]));
    app.deliver(&plain(&[status("untimed", None, "FROZEN")]));
    // The calls it needs wait until its program is known.
    let registered = app.put("/v1/cards/untimed", &json!({ "program": "shop" }));
    assert_eq!(registered.status, 200);
    shop.advance(2 * MINUTE);
    shop.settle();

    let cards = app.assert_rebuilt();
    assert_eq!(cards, 9);
    let recorded = |table| sql(&app.database).count(table);
    let inputs = recorded("notifications") + recorded("registrations") + recorded("answers");
    println!("D-32 {backend:?}: {cards} cards of Checkout, {inputs} inputs, 0 differences");
}

#[rstest]
fn d32_cards_with_tokens_of_their_own_are_recomputed(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::with_both(backend);
    let late = "5598765432101111";
    shop.sandbox.add_token(CONTRACT, CLIENT, late);
    for (command, token) in [
        ("SUSPEND", Some(NUMBER)),
        ("SUSPEND", None),
        ("RESUME", None),
        ("DEACTIVATE", Some(OTHER_NUMBER)),
        ("SUSPEND", Some(late)),
    ] {
        shop.give(CONTRACT, command, token);
        shop.settle();
        shop.advance(MINUTE);
    }
    for command in ["SUSPEND", "RESUME", "DEACTIVATE"] {
        shop.give(BANK_CARD, command, Some(BANK_TOKEN));
        shop.settle();
        shop.advance(MINUTE);
    }
    assert_eq!(shop.contract_status(CONTRACT, "41").status, 200);
    shop.sandbox.relink(CONTRACT, "70002");
    shop.settle();
    shop.advance(7 * HOUR);
    shop.read_tokens(CONTRACT);
    shop.settle();
    assert!(!shop.tokens("70002").is_empty(), "its tokens moved");

    let cards = shop.app.assert_rebuilt();
    println!("D-32 {backend:?}: {cards} cards with tokens of their own, 0 differences");
}

#[rstest]
fn d32_what_was_judged_twice_is_recomputed_and_a_lost_record_of_it_is_not(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let keys = KeyFolder::copy();
    let key = LateKey::new("payload-2027");
    let app = keys.spawn(backend);
    let jwe = key.payment_jwe(NUMBER_2, EXPIRY);
    app.deliver(&plain(&[refresh(CARD, START - 9_000, NUMBER_1, EXPIRY)]));
    app.deliver(&plain(&[refresh_with(CARD, START - 5_000, &jwe)]));
    app.deliver(&plain(&[status(CARD, Some(START - 4_000), "SUSPENDED")]));
    app.deliver(&plain(&[status(CARD, None, "ACTIVE")]));
    keys.put(key.kid, &key.pem);
    wait_until("what was held is opened", || {
        let verdicts = app.verdicts(CARD);
        !verdicts.iter().any(|verdict| verdict.ends_with(')'))
    });
    app.settle();
    for item in app.notifications(CARD) {
        let replay = ["notifications", "replay", &item.id, "--reason", "to see"];
        assert_eq!(tokenkeep(&app.database, &replay).code, 0);
    }
    assert_eq!(app.assert_rebuilt(), 1);

    // Without the decision that held it, or without the replays, the order has gaps.
    let missing = || {
        let cards = rebuilt(app.store(), app.settings.policy());
        (cards[0].1.extent, cards[0].1.not_kept)
    };
    sql(&app.database).execute("UPDATE notifications SET earlier = NULL");
    assert_eq!(missing(), (Extent::Partly, 1));
    sql(&app.database).execute("UPDATE replays SET card_order = NULL");
    assert_eq!(missing(), (Extent::Partly, 5));
}

/// A change of stored rows behind the service's back, and the registers that it shows in.
const CHANGES: [(&str, &[&str]); 14] = [
    (
        r#"UPDATE cards SET state = replace(state, '"value":"ACTIVE"', '"value":"SUSPENDED"')"#,
        &["status (column)", "status"],
    ),
    (
        r#"UPDATE cards SET state = replace(state, '0747', '0748')"#,
        &["maskedCard.panLastFour"],
    ),
    (
        r#"UPDATE cards SET state = replace(state, 'Test Bank', 'Best Bank')"#,
        &["maskedCard.digitalCardData.descriptorName"],
    ),
    (
        r#"UPDATE cards SET state = replace(state, '"version":2', '"version":7')"#,
        &["version"],
    ),
    (
        r#"UPDATE cards SET state = replace(state, '"number_version":2', '"number_version":3')"#,
        &["state"],
    ),
    (
        r#"UPDATE cards SET state = replace(state, '"registered_program":"shop"', '"registered_program":"other"')"#,
        &["program"],
    ),
    (
        r#"UPDATE cards SET state = replace(state, '"terminal":null', '"terminal":{"state":"CANCELLED","at":1}')"#,
        &["status (column)", "end"],
    ),
    (
        r#"UPDATE cards SET state = replace(state, '"cryptogram":null', '"cryptogram":"stored"')"#,
        &["cryptogram (row)", "cryptogram"],
    ),
    (
        "UPDATE cards SET status = 'SUSPENDED'",
        &["status (column)"],
    ),
    (
        "UPDATE cards SET consumer_reference = 'another'",
        &["consumerReference (column)"],
    ),
    ("UPDATE tokens SET expiration_year = '2039'", &["token"]),
    ("UPDATE tokens SET refreshed_at = 1", &["token.refreshedAt"]),
    ("UPDATE tokens SET registered_number = number", &["state"]),
    ("UPDATE cards SET state = '{}'", &["state"]),
];

/// The same for what is recorded.
const FAULTS: [(&str, &[&str]); 4] = [
    (
        "UPDATE notifications SET event_time = event_time + 7",
        &[
            "maskedCard.digitalCardData.descriptorName",
            "maskedCard.panLastFour",
            "status",
            "token",
        ],
    ),
    (
        "UPDATE notifications SET content = payment, payment = content WHERE payment IS NOT NULL",
        &["inputs"],
    ),
    ("UPDATE registrations SET program = 'other'", &["program"]),
    (
        "UPDATE registrations SET payment = NULL",
        &["numberVersion", "token.registered", "version"],
    ),
];

const KEEP: &str = "CREATE TABLE kept_cards AS SELECT * FROM cards; \
    CREATE TABLE kept_tokens AS SELECT * FROM tokens; \
    CREATE TABLE kept_notifications AS SELECT * FROM notifications; \
    CREATE TABLE kept_registrations AS SELECT * FROM registrations";
const RESTORE: &str = "UPDATE cards SET (state, status, consumer_reference) = \
      (SELECT k.state, k.status, k.consumer_reference FROM kept_cards k WHERE k.id = cards.id); \
    UPDATE tokens SET (number, registered_number, expiration_year, refreshed_at) = \
      (SELECT k.number, k.registered_number, k.expiration_year, k.refreshed_at \
       FROM kept_tokens k WHERE k.card_id = tokens.card_id); \
    UPDATE notifications SET (event_time, content, payment) = \
      (SELECT k.event_time, k.content, k.payment FROM kept_notifications k \
       WHERE k.id = notifications.id); \
    UPDATE registrations SET (program, payment) = \
      (SELECT k.program, k.payment FROM kept_registrations k WHERE k.id = registrations.id)";

#[rstest]
fn d32_a_changed_row_and_a_fault_in_what_is_recorded_are_named_with_their_register(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let token = json!({ "paymentToken": NUMBER_2, "tokenExpirationMonth": "12", "tokenExpirationYear": "2031" });
    let registration = json!({ "program": "shop", "consumerReference": "c", "token": token });
    let registered = app.put(&format!("/v1/cards/{CARD}"), &registration);
    assert_eq!(registered.status, 201);
    app.deliver(&plain(&[refresh(CARD, START, NUMBER_1, EXPIRY)]));
    let check = || tokenkeep(&app.database, &["rebuild", "--check", "--json"]);
    let whole = check();
    assert_eq!(whole.code, 0, "{whole:?}");
    assert_eq!(whole.json()["cards"], 1);
    let database = sql(&app.database);
    database.execute(KEEP);
    for (change, registers) in CHANGES.iter().chain(&FAULTS) {
        database.execute(change);
        let output = check();
        let found = output.json()["differences"].clone();
        let of = |difference: &Value| difference["register"].as_str().unwrap().to_owned();
        let named: Vec<String> = found.as_array().unwrap().iter().map(of).collect();
        assert_eq!(
            (output.code, &*named),
            (
                1,
                &*Vec::from_iter(registers.iter().map(|r| (*r).to_owned()))
            ),
            "{change}: {found:#}"
        );
        for number in [NUMBER_1, NUMBER_2] {
            assert!(!output.stdout.contains(number), "{change}");
        }
        database.execute(RESTORE);
    }
    assert_eq!(check().code, 0);
    println!(
        "D-32 {backend:?}: {} changes of rows and {} faults in inputs, each named",
        CHANGES.len(),
        FAULTS.len()
    );
}

#[rstest]
fn what_is_wiped_or_purged_is_counted_and_the_rest_is_compared_all_the_same(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    for card in ["ended", "purged", "erased"] {
        app.deliver(&plain(&[refresh(card, START - 9_000, NUMBER_1, EXPIRY)]));
        app.deliver(&plain(&[status(card, Some(START - 5_000), "SUSPENDED")]));
    }
    for card in ["ended", "erased"] {
        app.deliver(&plain(&[status(card, Some(START - 1_000), "CANCELLED")]));
    }
    let erase = tokenkeep(&app.database, &["cards", "erase", "erased"]);
    assert_eq!(erase.code, 0, "{erase:?}");
    let database = sql(&app.database);
    database.execute("DELETE FROM notifications WHERE card_id = 'purged' AND status = 'ACTIVE'");
    let check = || {
        let output = tokenkeep(&app.database, &["rebuild", "--check", "--json"]);
        (output.code, output.json())
    };
    let (code, found) = check();
    assert_eq!(code, 0, "{found:#}");
    let counts = [
        "cards",
        "withoutNumbers",
        "inPart",
        "erased",
        "inputsNotKept",
    ];
    let counts = counts.map(|name| found[name].as_u64().unwrap());
    // One wiped number, one purged item, and the three inputs of the erased card.
    assert_eq!(counts, [3, 1, 1, 1, 5]);

    database.execute(
        r#"UPDATE cards SET state = replace(state, '"value":"SUSPENDED"', '"value":"ACTIVE"'), status = 'ACTIVE'
           WHERE id = 'purged'"#,
    );
    database.execute("UPDATE cards SET state = replace(state, '0747', '0748') WHERE id = 'ended'");
    let (code, found) = check();
    let named = |place: usize| {
        let difference = &found["differences"][place];
        (difference["cardId"].clone(), difference["register"].clone())
    };
    assert_eq!(code, 1);
    assert_eq!(named(0), ("ended".into(), "maskedCard.panLastFour".into()));
    assert_eq!(named(1), ("purged".into(), "status".into()));
    assert_eq!(
        found["differences"].as_array().unwrap().len(),
        2,
        "{found:#}"
    );
}
