//! `/v1/cards`: what is shown of a card, and how one is registered.

use insta::{allow_duplicates, assert_snapshot};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::build::{CARD, NUMBER_1, NUMBER_2, plain, refresh, status};
use crate::support::{App, Backend, START};

/// Stands for a card number in what is refused: nothing of it may come back.
const CANARY: &str = "5480980000000099";

fn path(card: &str) -> String {
    format!("/v1/cards/{card}")
}

/// A registration with everything in it.
fn registration() -> Value {
    json!({
        "program": "shop",
        "consumerReference": "consumer-7",
        "maskedCard": {
            "srcDigitalCardId": CARD,
            "panBin": "512034",
            "panLastFour": "1234",
            "panExpirationMonth": "9",
            "panExpirationYear": "2029",
            "digitalCardData": {
                "artUri": "https://art.example/card.png",
                "descriptorName": "Test Card",
            },
        },
        "token": {
            "paymentToken": NUMBER_1,
            "tokenExpirationMonth": "12",
            "tokenExpirationYear": "2028",
        },
    })
}

fn pretty(app: &App) -> String {
    let answer = app.get(&path(CARD));
    assert_eq!(answer.status, 200, "{}", answer.text);
    format!("{:#}", answer.json())
}

#[rstest]
fn a_card_is_registered_shown_refreshed_and_greyed_as_designed(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let created = app.put(&path(CARD), &registration());
    assert_eq!(created.status, 201);
    allow_duplicates! {
        assert_snapshot!(format!("{:#}", created.json()), @r#"
        {
          "cardId": "9ajNArkAR66zqYyHCn0rCA000000000000US",
          "program": "shop",
          "consumerReference": "consumer-7",
          "status": null,
          "display": {
            "visible": true,
            "greyed": true,
            "panLastFour": null,
            "artUri": "https://art.example/card.png",
            "descriptorName": "Test Card",
            "panExpirationMonth": "09",
            "panExpirationYear": "2029"
          },
          "token": {
            "lastFour": "0011",
            "expirationMonth": "12",
            "expirationYear": "2028",
            "version": 1,
            "numberVersion": 1,
            "refreshedAt": "2026-07-20T10:00:00.000Z"
          },
          "maskedCard": {
            "panBin": "512034",
            "panExpirationMonth": "09",
            "panExpirationYear": "2029",
            "tokenLastFour": "0011",
            "tokenExpirationMonth": "12",
            "tokenExpirationYear": "2028",
            "srcDigitalCardId": "9ajNArkAR66zqYyHCn0rCA000000000000US",
            "digitalCardData": {
              "artUri": "https://art.example/card.png",
              "descriptorName": "Test Card"
            }
          },
          "updatedAt": "2026-07-20T10:00:00.000Z"
        }
        "#);
    }
    let again = app.put(&path(CARD), &registration());
    assert_eq!((again.status, again.json()), (200, created.json()));

    app.advance(60_000);
    app.deliver(&plain(&[refresh(
        CARD,
        START + 50_000,
        NUMBER_2,
        ("01", "2033"),
    )]));
    allow_duplicates! {
        assert_snapshot!(pretty(&app), @r#"
        {
          "cardId": "9ajNArkAR66zqYyHCn0rCA000000000000US",
          "program": "shop",
          "consumerReference": "consumer-7",
          "status": "ACTIVE",
          "display": {
            "visible": true,
            "greyed": false,
            "panLastFour": "0747",
            "artUri": "https://art.example/card.png",
            "descriptorName": "Test Bank",
            "panExpirationMonth": "09",
            "panExpirationYear": "2029"
          },
          "token": {
            "lastFour": "0022",
            "expirationMonth": "01",
            "expirationYear": "2033",
            "version": 2,
            "numberVersion": 2,
            "refreshedAt": "2026-07-20T10:01:00.000Z"
          },
          "maskedCard": {
            "panBin": "512034",
            "panExpirationMonth": "09",
            "panExpirationYear": "2029",
            "panLastFour": "0747",
            "tokenLastFour": "0022",
            "tokenExpirationMonth": "01",
            "tokenExpirationYear": "2033",
            "srcDigitalCardId": "9ajNArkAR66zqYyHCn0rCA000000000000US",
            "digitalCardData": {
              "artUri": "https://art.example/card.png",
              "descriptorName": "Test Bank",
              "status": "ACTIVE"
            }
          },
          "updatedAt": "2026-07-20T10:01:00.000Z"
        }
        "#);
    }
}

#[rstest]
fn p04_a_suspended_card_and_one_of_unknown_status_are_greyed_without_pan_digits_anywhere(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    app.deliver(&plain(&[refresh(
        CARD,
        START - 9_000,
        NUMBER_2,
        ("01", "2033"),
    )]));
    assert!(app.get(&path(CARD)).text.contains("0747"));
    for (age, word, shown) in [
        (5_000, "SUSPENDED", json!("SUSPENDED")),
        (4_000, "active", json!(null)),
        (3_000, "DELETED", json!(null)),
    ] {
        app.deliver(&plain(&[status(CARD, Some(START - age), word)]));
        let card = app.get(&path(CARD));
        assert!(
            !card.text.contains("0747") && !card.text.contains(NUMBER_2),
            "{}",
            card.text
        );
        let card = card.json();
        assert_eq!(card["status"], shown);
        let (display, greyed) = (&card["display"], json!(true));
        assert_eq!(
            (&display["visible"], &display["greyed"]),
            (&greyed, &greyed)
        );
        assert_eq!(display["panLastFour"], Value::Null);
        let listed = app.get("/v1/cards");
        assert!(!listed.text.contains("0747"), "{}", listed.text);
    }
    app.deliver(&plain(&[status(CARD, Some(START - 2_000), "ACTIVE")]));
    assert_eq!(
        app.get(&path(CARD)).json()["display"]["panLastFour"],
        "0747"
    );
}

#[rstest]
fn an_unknown_card_is_404_and_an_impossible_id_400(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let unknown = app.get(&path("nobody"));
    assert_eq!(
        (unknown.status, unknown.code().as_str()),
        (404, "unknown-card")
    );
    for id in [
        CANARY.repeat(5),
        "a%20b".to_owned(),
        "a%00b".to_owned(),
        "%C3%A4".to_owned(),
    ] {
        for answer in [app.get(&path(&id)), app.put(&path(&id), &json!({}))] {
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (400, "wrong-card-id"),
                "{id}"
            );
            assert!(!answer.text.contains(CANARY), "{}", answer.text);
        }
    }
}

#[rstest]
#[case::not_an_object(json!([CANARY]))]
#[case::unknown_field(json!({ CANARY: 1 }))]
#[case::program(json!({ "program": 5_480_980_000_000_099_u64 }))]
#[case::empty_program(json!({ "program": "" }))]
#[case::reference(json!({ "consumerReference": [CANARY] }))]
#[case::long_reference(json!({ "consumerReference": CANARY.repeat(16) }))]
#[case::control_character(json!({ "consumerReference": format!("{CANARY}\u{0}") }))]
#[case::masked_card(json!({ "maskedCard": CANARY }))]
#[case::other_card(json!({ "maskedCard": { "srcDigitalCardId": CANARY } }))]
#[case::token(json!({ "token": CANARY }))]
#[case::no_expiry_year(json!({ "token": { "paymentToken": CANARY, "tokenExpirationMonth": "12" } }))]
#[case::no_such_month(
    json!({ "token": { "paymentToken": CANARY, "tokenExpirationMonth": "13", "tokenExpirationYear": "2031" } })
)]
#[case::short_number(
    json!({ "token": { "paymentToken": "54809800000", "tokenExpirationMonth": "12", "tokenExpirationYear": "2031" } })
)]
#[case::letters(
    json!({ "token": { "paymentToken": "54809800000000x9", "tokenExpirationMonth": "12", "tokenExpirationYear": "2031" } })
)]
fn w28_a_wrong_registration_is_refused_without_an_echo_of_it(#[case] body: Value) {
    let app = App::spawn(Backend::Sqlite);
    let answer = app.put(&path(CARD), &body);
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (400, "wrong-registration"),
        "{body}"
    );
    assert_eq!(answer.json()["status"], answer.status);
    assert!(!answer.text.contains("5480"), "{}", answer.text);
    assert!(app.card(CARD).is_none());
}

#[rstest]
#[case::not_json(format!("{{{CANARY}"), 400)]
#[case::duplicate_key(format!("{{\"program\": \"a\", \"\\u0070rogram\": \"{CANARY}\"}}"), 400)]
#[case::too_large(format!("{{\"consumerReference\": \"{}\"}}", CANARY.repeat(100_000)), 413)]
fn w28_a_broken_registration_is_refused_without_an_echo_of_it(
    #[case] body: String,
    #[case] status: u16,
) {
    let app = App::spawn(Backend::Sqlite);
    let key = app.new_key(tokenkeep::api::access::AccessRole::App, "another");
    let answer = app.client.put(&app.api_url(&path(CARD)), &key, &body);
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.json()["status"], answer.status);
    assert!(!answer.text.contains("5480"), "{}", answer.text);
    assert!(app.card(CARD).is_none());
}

#[rstest]
fn once_programs_are_configured_only_they_can_be_registered(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn_with(backend, |settings| {
        let shop = json!({ "kind": "mastercard-checkout", "service_id": "SERVICE#1" });
        let shop = serde_json::from_value(shop).unwrap();
        settings.programs.insert("shop".to_owned(), shop);
    });
    let refused = app.put(&path(CARD), &json!({ "program": "elsewhere" }));
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (400, "wrong-registration")
    );
    assert_eq!(
        app.put(&path(CARD), &json!({ "program": "shop" })).status,
        201
    );
    // The service id of a notification assigns a card too.
    let mut item = status("another", Some(START), "ACTIVE");
    item["maskedCard"]["serviceId"] = "SERVICE#1".into();
    app.deliver(&plain(&[item]));
    assert_eq!(app.get(&path("another")).json()["program"], "shop");
}
