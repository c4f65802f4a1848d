//! A cancelled card: gone from the API, its number nowhere, and nothing brings it back.

use rstest::rstest;
use serde_json::json;

use crate::support::build::{CARD, NUMBER_1, NUMBER_2, encrypted, plain, refresh, status};
use crate::support::{App, Backend, START};

/// Forms in which a number could lie about.
fn forms(number: &str) -> Vec<Vec<u8>> {
    use openssl::base64::encode_block;
    let hex: String = number.bytes().map(|byte| format!("{byte:02x}")).collect();
    let spaced = format!(
        "{} {} {} {}",
        &number[..4],
        &number[4..8],
        &number[8..12],
        &number[12..]
    );
    let base64 = encode_block(number.as_bytes())
        .trim_end_matches('=')
        .to_owned();
    [number.to_owned(), hex, spaced, base64]
        .map(String::into_bytes)
        .into()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

/// A card registered, refreshed and cancelled.
fn app_with_cancelled_card(backend: Backend) -> App {
    let app = App::spawn(backend);
    let registration = json!({
        "program": "shop",
        "token": { "paymentToken": NUMBER_1, "tokenExpirationMonth": "12", "tokenExpirationYear": "2027" },
    });
    assert_eq!(
        app.put(&format!("/v1/cards/{CARD}"), &registration).status,
        201
    );
    app.deliver(&plain(&[refresh(
        CARD,
        START - 9_000,
        NUMBER_2,
        ("12", "2031"),
    )]));
    let mut clear = refresh(CARD, START - 8_000, NUMBER_1, ("01", "2032"));
    clear["paymentData"] =
        json!({ "paymentToken": NUMBER_1, "tokenExpirationMonth": 1, "tokenExpirationYear": 2032 });
    app.deliver(&encrypted(&json!([clear])));
    assert_eq!(app.card(CARD).unwrap().card.version, 3);
    app.deliver(&plain(&[status(CARD, Some(START - 7_000), "CANCELLED")]));
    app
}

#[rstest]
fn a_cancelled_card_is_gone_from_the_api_and_cannot_be_registered_again(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = app_with_cancelled_card(backend);
    let path = format!("/v1/cards/{CARD}");
    let shown = app.get(&path);
    assert_eq!((shown.status, shown.code().as_str()), (410, "terminal"));
    assert!(!shown.text.contains("0747"));
    assert_eq!(app.get("/v1/cards").json()["cards"], json!([]));
    assert_eq!(app.put(&path, &json!({ "program": "shop" })).status, 410);
}

#[rstest]
fn s05_no_later_notification_brings_a_cancelled_card_back(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = app_with_cancelled_card(backend);
    app.deliver(&plain(&[status(CARD, Some(START - 1_000), "ACTIVE")]));
    app.deliver(&plain(&[refresh(
        CARD,
        START - 900,
        NUMBER_2,
        ("02", "2033"),
    )]));
    app.deliver(&plain(&[status(CARD, None, "SUSPENDED")]));
    let verdicts = app.verdicts(CARD);
    assert_eq!(verdicts[3..], ["stale", "stale", "stale"]);
    assert_eq!(app.get(&format!("/v1/cards/{CARD}")).status, 410);
    let card = app.card(CARD).unwrap().card;
    assert!(card.token.is_none() && !card.cryptogram_is_due());
    assert!(app.jobs(CARD).iter().all(|job| job.state == "discarded"));
}

#[rstest]
fn the_number_of_a_cancelled_card_is_nowhere_in_the_database(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut app = app_with_cancelled_card(backend);
    // What comes later leaves no number either.
    app.deliver(&plain(&[refresh(
        CARD,
        START - 900,
        NUMBER_2,
        ("02", "2033"),
    )]));
    let tables = app.database.sealed_values_of(CARD);
    assert_eq!(
        tables,
        [
            ("tokens", 0),
            ("notifications", 0),
            ("registrations", 0),
            ("deliveries", 0)
        ]
    );
    app.stop();
    let bytes = app.database.bytes();
    for form in forms(NUMBER_1).into_iter().chain(forms(NUMBER_2)) {
        assert!(
            !contains(&bytes, &form),
            "{}",
            String::from_utf8_lossy(&form)
        );
    }
}

#[rstest]
fn the_number_of_a_living_card_is_not_readable_in_the_database(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut app = App::spawn(backend);
    app.deliver(&plain(&[refresh(
        CARD,
        START - 9_000,
        NUMBER_2,
        ("12", "2031"),
    )]));
    let tables = app.database.sealed_values_of(CARD);
    assert_eq!(
        tables,
        [
            ("tokens", 1),
            ("notifications", 1),
            ("registrations", 0),
            ("deliveries", 1)
        ]
    );
    app.stop();
    let bytes = app.database.bytes();
    for form in forms(NUMBER_2) {
        assert!(
            !contains(&bytes, &form),
            "{}",
            String::from_utf8_lossy(&form)
        );
    }
}
