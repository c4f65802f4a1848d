//! The wire form: `paymentData`, encrypted or clear, and what must be in it.

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::build::{
    KID, NUMBER_1, NUMBER_2, encrypted, jwe, plain, refresh, refresh_with, status,
};
use crate::support::{App, Backend, START};
use crate::wire::{jwe_of_text, latest, shown};

/// A decrypted `paymentData`, nested in itself as in the Card API, or flat.
fn payment(is_nested: bool) -> Value {
    let flat = json!({
        "paymentToken": NUMBER_2,
        "tokenExpirationMonth": "12",
        "tokenExpirationYear": "2031",
        "paymentAccountReference": "50015018T6JE5ZORJON0QTP9HHMYN",
    });
    if is_nested {
        json!({ "paymentToken": flat })
    } else {
        flat
    }
}

#[rstest]
fn payment_data_is_nested_or_flat_a_jwe_or_clear_in_plain_and_inside_the_encrypted_form(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    for case in 0..8 {
        let (is_nested, is_jwe, is_plain) = (case & 1 == 0, case & 2 == 0, case & 4 == 0);
        let card = format!("card-{case}");
        let mut element = refresh_with(&card, START - 1_000, "");
        element["paymentData"] = match is_jwe {
            true => jwe(&payment(is_nested)).into(),
            false => payment(is_nested),
        };
        let list = [element];
        app.deliver(&match is_plain {
            true => plain(&list),
            false => encrypted(&json!(list)),
        });
        let case = format!("nested {is_nested}, jwe {is_jwe}, plain {is_plain}");
        assert_eq!(app.verdicts(&card), ["applied"], "{case}");
        let token = shown(&app, &card)["token"].clone();
        assert_eq!(token["lastFour"], NUMBER_2[12..], "{case}");
        assert_eq!(token["expirationMonth"], "12", "{case}");
        assert_eq!(token["expirationYear"], "2031", "{case}");
    }
    let stored = app.database.bytes();
    let is_readable = |text: &str| stored.windows(text.len()).any(|w| w == text.as_bytes());
    assert!(
        !is_readable(NUMBER_2),
        "the number lies in clear in the database"
    );
    assert!(is_readable("card-0"), "the search finds what is there");
}

#[test]
fn token_refresh_without_usable_payment_data_holds_the_token_and_applies_the_rest() {
    let app = App::spawn(Backend::Sqlite);
    let absent = ["missing", "null", "empty", "number", "array"];
    let values = [json!(null), json!(null), json!(""), json!(7), json!([])];
    for (card, value) in absent.into_iter().zip(values) {
        let mut element = refresh_with(card, START - 1_000, "");
        element["paymentData"] = value;
        if card == "missing" {
            element.as_object_mut().unwrap().remove("paymentData");
        }
        app.deliver(&plain(&[element]));
        assert_eq!(app.verdicts(card), ["quarantined(payment-data-missing)"]);
        let row = app.card(card).unwrap();
        assert_eq!(row.card.status_word(), Some("ACTIVE"), "{card}");
        assert!(row.card.refresh_is_unreadable(), "{card}");
        assert_eq!(shown(&app, card)["display"]["panLastFour"], "0747");
    }
    app.deliver(&plain(&[refresh("null", START, NUMBER_1, ("12", "2031"))]));
    assert!(!app.card("null").unwrap().card.refresh_is_unreadable());
}

#[test]
fn payment_data_is_read_whatever_the_reason_code_says_or_does_not_say() {
    let app = App::spawn(Backend::Sqlite);
    let reasons = [
        ("other", json!("PAN_REPLACED"), Some("PAN_REPLACED")),
        ("lower-case", json!("token_refresh"), Some("token_refresh")),
        ("null", Value::Null, None),
        ("number", json!(7), None),
        ("object", json!({ "code": "TOKEN_REFRESH" }), None),
        ("array", json!(["TOKEN_REFRESH"]), None),
        ("missing", Value::Null, None),
    ];
    for (card, reason, kept) in reasons {
        let mut with_data = refresh(card, START - 2_000, NUMBER_1, ("12", "2031"));
        let mut without = status(card, Some(START - 1_000), "SUSPENDED");
        for element in [&mut with_data, &mut without] {
            element["reasonCode"] = reason.clone();
            if card == "missing" {
                element.as_object_mut().unwrap().remove("reasonCode");
            }
        }
        app.deliver(&plain(&[with_data, without]));
        assert_eq!(app.verdicts(card), ["applied", "applied"], "{card}");
        assert_eq!(latest(&app).reason.as_deref(), kept, "{card}");
        let shown = shown(&app, card);
        assert_eq!(shown["token"]["lastFour"], "0011", "{card}");
        assert_eq!(shown["status"], "SUSPENDED", "{card}");
    }
}

#[test]
fn decrypted_numbers_may_be_numbers_months_unpadded_and_unknown_fields_there_are_ignored() {
    let app = App::spawn(Backend::Sqlite);
    let number: u64 = NUMBER_1.parse().unwrap();
    for (card, month, year) in [
        ("text", json!("3"), json!("2031")),
        ("padded", json!("03"), json!("2031")),
        ("number", json!(3), json!(2031)),
        ("two-digit-year", json!(3), json!("31")),
    ] {
        let plaintext = json!({
            "paymentToken": {
                "paymentToken": number, "tokenExpirationMonth": month, "tokenExpirationYear": year,
                "panSequenceNumber": "01", "other": { "changed": ["parameters"] },
            },
            "assurance": { "level": 3 },
            "dynamicData": null,
        });
        let token = jwe_of_text(&plaintext.to_string(), Some(KID));
        app.deliver(&plain(&[refresh_with(card, START - 1_000, &token)]));
        assert_eq!(app.verdicts(card), ["applied"], "{card}");
        let token = shown(&app, card)["token"].clone();
        assert_eq!(token["lastFour"], "0011", "{card}");
        assert_eq!(token["expirationMonth"], "03", "{card}");
        assert_eq!(token["expirationYear"], "2031", "{card}");
    }
}

#[test]
fn half_a_token_or_a_number_that_is_none_is_not_applied() {
    let app = App::spawn(Backend::Sqlite);
    let with = |number: &str, month: &str, year: &str| {
        format!(
            r#"{{"paymentToken":{number},"tokenExpirationMonth":{month},"tokenExpirationYear":{year}}}"#
        )
    };
    let plaintexts = [
        with("5480980000000011.0", "12", "2031"),
        with("5.480980000000011e15", "12", "2031"),
        with("123456789012345678901234567890", "12", "2031"),
        with(r#""5480 9800 0000 0011""#, "12", "2031"),
        with(r#""""#, "12", "2031"),
        with(r#""5480980000000011""#, "13", "2031"),
        with(r#""5480980000000011""#, "0", "2031"),
        with(r#""5480980000000011""#, "12", "null"),
        with(r#""5480980000000011""#, "1.2e1", "2031"),
        r#"{"token":"5480980000000011"}"#.to_owned(),
        "[]".to_owned(),
        "not JSON".to_owned(),
    ];
    for (place, plaintext) in plaintexts.iter().enumerate() {
        let card = format!("card-{place}");
        let token = jwe_of_text(plaintext, Some(KID));
        app.deliver(&plain(&[refresh_with(&card, START - 1_000, &token)]));
        assert_eq!(
            app.verdicts(&card),
            ["quarantined(unreadable)"],
            "{plaintext}"
        );
        assert_eq!(shown(&app, &card)["token"], Value::Null, "{plaintext}");
    }
}

#[test]
fn w13_duplicate_keys_inside_decrypted_payment_data_are_quarantined() {
    let app = App::spawn(Backend::Sqlite);
    let flat = |more: &str| {
        format!(
            r#"{{"paymentToken":"{NUMBER_1}","tokenExpirationMonth":"12","tokenExpirationYear":"2031"{more}}}"#
        )
    };
    let plaintexts = [
        flat(r#","paymentToken":"5480980000000022""#),
        flat(r#","tokenExpirationMonth":"11""#),
        flat(r#","tokenExpirationYear":"2031""#),
        flat(r#","paymentToke\u006e":"5480980000000022""#),
        flat(r#","unknown":1,"unknown":2"#),
        flat(r#","deeper":{"at":[{"a":1,"a":2}]}"#),
        format!(r#"{{"paymentToken":{}}}"#, flat(r#","paymentToken":"1""#)),
        format!(r#"{{"paymentToken":{0},"paymentToken":{0}}}"#, flat("")),
    ];
    for (place, plaintext) in plaintexts.iter().enumerate() {
        let card = format!("card-{place}");
        let token = jwe_of_text(plaintext, Some(KID));
        app.deliver(&plain(&[refresh_with(&card, START - 1_000, &token)]));
        assert_eq!(
            app.verdicts(&card),
            ["quarantined(unreadable)"],
            "{plaintext}"
        );
        assert_eq!(shown(&app, &card)["token"], Value::Null, "{plaintext}");
        assert_eq!(shown(&app, &card)["status"], "ACTIVE", "the rest applies");
    }
    println!(
        "W-13 {} decrypted paymentData with one name twice quarantined",
        plaintexts.len()
    );
    let token = jwe_of_text(&flat(""), Some(KID));
    app.deliver(&plain(&[refresh_with("once", START - 1_000, &token)]));
    assert_eq!(
        app.verdicts("once"),
        ["applied"],
        "without duplicates it opens"
    );
}
