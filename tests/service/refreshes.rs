//! The refresh table: what a TOKEN_REFRESH changes, and what that means for the cryptogram.

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::domain::CardId;

use crate::support::build::{CARD, NUMBER_1, NUMBER_2, plain, refresh, refresh_with, status};
use crate::support::{App, Backend, START};

/// A card with a token of version 1 and a stored cryptogram.
fn app_with_card(backend: Backend) -> App {
    let app = App::spawn(backend);
    let first = refresh(CARD, START - 10_000, NUMBER_1, ("12", "2028"));
    app.deliver(&plain(&[first]));
    let id = CardId::parse(CARD).unwrap();
    let dropped = app
        .store()
        .write(|tx| tx.withdraw_cryptogram_calls(&[id.as_str()], START));
    dropped.unwrap();
    app.store_cryptogram(CARD);
    app
}

fn versions(card: &Value) -> (i64, i64) {
    let of = |name: &str| card["token"][name].as_i64().unwrap();
    (of("version"), of("numberVersion"))
}

#[rstest]
#[case::number_and_expiry(NUMBER_2, ("01", "2032"), "applied", "number-and-expiry-changed", (2, 2), true)]
#[case::number_only(NUMBER_2, ("12", "2028"), "applied", "number-changed", (2, 2), true)]
#[case::expiry_only(NUMBER_1, ("01", "2032"), "applied", "expiry-changed", (2, 1), false)]
#[case::nothing(NUMBER_1, ("12", "2028"), "no_change", "same-values", (1, 1), false)]
fn each_row_of_the_refresh_table_shows_in_card_verdict_and_due_cryptogram(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[case] number: &str,
    #[case] expiry: (&str, &str),
    #[case] verdict: &str,
    #[case] rule: &str,
    #[case] versions_after: (i64, i64),
    #[case] number_changed: bool,
) {
    let app = app_with_card(backend);
    app.deliver(&plain(&[refresh(CARD, START - 5_000, number, expiry)]));

    let item = app.notifications(CARD).pop().unwrap();
    assert_eq!((item.verdict.as_str(), item.rule.as_str()), (verdict, rule));
    let card = app.get(&format!("/v1/cards/{CARD}")).json();
    assert_eq!(card["token"]["lastFour"], number[12..]);
    assert_eq!(card["token"]["expirationMonth"], expiry.0);
    assert_eq!(card["token"]["expirationYear"], expiry.1);
    assert_eq!(versions(&card), versions_after);
    let due = app.due_cryptograms(CARD);
    assert_eq!(due, if number_changed { vec![2] } else { vec![] });
    let id = CardId::parse(CARD).unwrap();
    let kept = app.store().read(|tx| tx.cryptogram_expiry(&id)).unwrap();
    assert_eq!(kept.is_some(), !number_changed, "the old cryptogram");
}

#[rstest]
fn s03_a_late_older_refresh_is_stale_and_calls_nobody(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = app_with_card(backend);
    app.deliver(&plain(&[refresh(
        CARD,
        START - 20_000,
        NUMBER_2,
        ("01", "2032"),
    )]));
    assert_eq!(app.verdicts(CARD), ["applied", "stale"]);
    assert_eq!(app.due_cryptograms(CARD), Vec::<i32>::new());
    assert_eq!(
        app.get(&format!("/v1/cards/{CARD}")).json()["token"]["lastFour"],
        "0011"
    );
}

#[rstest]
fn a_refresh_of_a_suspended_card_becomes_due_when_the_card_is_active_again(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = app_with_card(backend);
    let mut suspended = refresh(CARD, START - 4_000, NUMBER_2, ("01", "2032"));
    suspended["maskedCard"]["digitalCardData"]["status"] = "SUSPENDED".into();
    app.deliver(&plain(&[suspended]));
    assert_eq!(app.due_cryptograms(CARD), Vec::<i32>::new());
    app.deliver(&plain(&[status(CARD, Some(START - 3_000), "ACTIVE")]));
    assert_eq!(app.due_cryptograms(CARD), [2]);
}

/// Tokens made by Mastercard's own library (`mastercard-client-encryption`) and by hand.
#[rstest]
fn jwes_of_mastercards_own_library_open_and_so_do_12_byte_ivs_with_and_without_kid(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/jose/tokens");
    let app = App::spawn(backend);
    let mut opened = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if name.contains("cbc") {
            continue; // Only by setting.
        }
        let card = format!("card-{opened}");
        let token = std::fs::read_to_string(&path).unwrap();
        app.deliver(&plain(&[refresh_with(&card, START - 1_000, token.trim())]));
        assert_eq!(app.verdicts(&card), ["applied"], "{name}");
        let shown = app.get(&format!("/v1/cards/{card}")).json();
        assert_eq!(shown["token"]["lastFour"], "1596", "{name}");
        opened += 1;
    }
    assert!(opened >= 6, "{opened} tokens opened");
}

#[rstest]
fn a_registered_card_shows_program_and_consumer_and_is_not_overwritten_by_registration(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = app_with_card(backend);
    let registration = json!({
        "program": "shop",
        "consumerReference": "consumer-7",
        "maskedCard": { "panLastFour": "9999", "panBin": "512034" },
        "token": { "paymentToken": NUMBER_2, "tokenExpirationMonth": "1", "tokenExpirationYear": "2032" },
    });
    assert_eq!(
        app.put(&format!("/v1/cards/{CARD}"), &registration).status,
        200
    );
    let card = app.get(&format!("/v1/cards/{CARD}")).json();
    assert_eq!(card["program"], "shop");
    assert_eq!(card["consumerReference"], "consumer-7");
    assert_eq!(card["maskedCard"]["panLastFour"], "0747");
    assert_eq!(card["maskedCard"]["panBin"], "512034");
    assert_eq!(card["token"]["lastFour"], "0011");
}
