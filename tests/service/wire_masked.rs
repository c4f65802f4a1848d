//! The wire form: `maskedCard` in its published variants and with the quirks of Mastercard's samples.

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::build::{CARD, plain, status};
use crate::support::{App, Backend, START};
use crate::wire::{latest, shown, verdict};

/// A status notification with further masked fields.
pub fn with(card: &str, age: i64, masked: &Value, digital: &Value) -> Value {
    let mut element = status(card, Some(START - age), "ACTIVE");
    let merge = |into: &mut Value, from: &Value| {
        for (name, value) in from.as_object().unwrap() {
            into[name] = value.clone();
        }
    };
    merge(&mut element["maskedCard"], masked);
    merge(&mut element["maskedCard"]["digitalCardData"], digital);
    element
}

/// The `maskedCard` with every field of the Card API, each in its published type.
fn card_api() -> Value {
    json!({
        "srcDigitalCardId": "card-api",
        "panBin": "512034",
        "panLastFour": "0747",
        "panExpirationMonth": "12",
        "panExpirationYear": "2029",
        "tokenUniqueReference": "DM4MMC1US000000013a3b395556c420e85bfebe54b219e36",
        "tokenLastFour": "1596",
        "tokenExpirationMonth": "12",
        "tokenExpirationYear": "2031",
        "paymentCardDescriptor": "mastercard",
        "paymentCardType": "CREDIT",
        "serviceId": "SECURE_COF_MERCHANT#START_COF-UPN2#01",
        "paymentAccountReference": "50015018T6JE5ZORJON0QTP9HHMYN",
        "dateOfCardCreated": "2024-10-03T14:29:30.685Z",
        "delegatedAuthenticationModels": [{ "modelType": "AE_TYPE_3", "isSupported": true }],
        "mfaEligibility": [{
            "authenticatingEntityId": "entity",
            "isMultiFactorAuthenticationSupported": true,
            "isLiabilityShiftEligible": false,
        }],
        "digitalCardData": {
            "status": "ACTIVE",
            "descriptorName": "MasterCard Test Bank",
            "longDescription": "A card of a test bank",
            "issuerName": "Test Bank",
            "artUri": "https://assets.example.com/card-art/5f21f08e-0490-4603-bcd1-ac0be7ea0ecd.png",
            "foregroundColor": "0",
            "isCoBranded": "true",
            "coBrandedName": "Co-brand",
            "pendingEvents": ["PENDING_AVS"],
            "authenticationMethods": [{
                "authenticationMethodType": "3DS",
                "authenticationSubject": "CARDHOLDER",
                "uriData": { "uri": "https://acs.example.com/", "uriType": "WEB_URI" },
            }],
        },
    })
}

/// The larger `maskedCard` of Checkout: what it has beyond the Card API, or in another type.
pub fn checkout() -> Value {
    let mut card = card_api();
    card["srcDigitalCardId"] = "checkout".into();
    card["srcPaymentCardId"] = "3f2c1a5e-7b1d-4c55-9a35-2f6c1d9b7a10".into();
    card["tokenBinRange"] = "548098".into();
    card["dateOfCardLastUsed"] = "2026-07-01T08:00:00.000Z".into();
    card["countryCode"] = "US".into();
    card["digitalCardFeatures"] =
        json!([{ "content": "Points", "contentType": "TEXT_STRING", "width": 3 }]);
    card["maskedBillingAddress"] =
        json!({ "addressId": "a-1", "line1": "1 M***", "countryCode": "US", "zip": "63***" });
    card["dcf"] = json!({ "applicationType": "WEB_BROWSER", "uri": "https://dcf.example.com/" });
    card["digitalCardData"]["presentationName"] = "My card".into();
    card["digitalCardData"]["artHeight"] = 639.into();
    card["digitalCardData"]["artWidth"] = 1012.into();
    card["digitalCardData"]["isCoBranded"] = true.into();
    card
}

#[rstest]
fn both_published_variants_of_masked_card_are_kept_whole(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    for (card, masked) in [("card-api", card_api()), ("checkout", checkout())] {
        let element = json!({ "eventTimeStamp": START - 1_000, "maskedCard": masked });
        app.deliver(&plain(&[element]));
        assert_eq!(app.verdicts(card), ["applied"]);
        let mut expected = masked;
        if card == "checkout" {
            // Numbers and truth values are kept as text: the variants mix them.
            expected["digitalCardData"]["artHeight"] = "639".into();
            expected["digitalCardData"]["artWidth"] = "1012".into();
            expected["digitalCardData"]["isCoBranded"] = "true".into();
        }
        assert_eq!(shown(&app, card)["maskedCard"], expected, "{card}");
    }
}

#[test]
fn masked_consumer_is_ignored_inside_masked_card_and_beside_it() {
    let app = App::spawn(Backend::Sqlite);
    let consumer = json!({ "maskedEmailAddress": "j***@example.com", "status": "SUSPENDED" });
    let mut element = with(
        CARD,
        1_000,
        &json!({ "maskedConsumer": consumer }),
        &json!({}),
    );
    element["maskedConsumer"] = consumer;
    app.deliver(&plain(&[element]));
    assert_eq!(app.verdicts(CARD), ["applied"]);
    let shown = shown(&app, CARD);
    assert_eq!(shown["status"], "ACTIVE");
    assert!(!shown.to_string().contains("example.com"), "{shown}");
}

#[test]
fn null_or_absent_optional_fields_keep_what_is_there() {
    let app = App::spawn(Backend::Sqlite);
    let mut all = checkout();
    all["srcDigitalCardId"] = CARD.into();
    app.deliver(&plain(&[
        json!({ "eventTimeStamp": START - 3_000, "maskedCard": all }),
    ]));
    let before = shown(&app, CARD)["maskedCard"].clone();
    let mut nulls = all.clone();
    for (name, value) in nulls.as_object_mut().unwrap() {
        if name != "srcDigitalCardId" && name != "digitalCardData" {
            *value = Value::Null;
        }
    }
    for (name, value) in nulls["digitalCardData"].as_object_mut().unwrap() {
        if name != "status" {
            *value = Value::Null;
        }
    }
    app.deliver(&plain(&[json!({
        "eventTimeStamp": START - 2_000, "reasonCode": null, "paymentData": null,
        "keyFingerprintId": null, "maskedCard": nulls,
    })]));
    let bare = json!({ "srcDigitalCardId": CARD, "digitalCardData": { "status": "ACTIVE" } });
    app.deliver(&plain(&[
        json!({ "eventTimeStamp": START - 1_000, "maskedCard": bare }),
    ]));
    assert_eq!(app.verdicts(CARD), ["applied", "no_change", "no_change"]);
    assert_eq!(shown(&app, CARD)["maskedCard"], before);
}

#[test]
fn an_element_without_a_usable_card_id_is_kept_and_quarantined() {
    let app = App::spawn(Backend::Sqlite);
    let id =
        |id: Value| json!({ "srcDigitalCardId": id, "digitalCardData": { "status": "ACTIVE" } });
    for masked in [
        Value::Null,
        json!("text"),
        json!([]),
        json!({}),
        id(Value::Null),
        id(json!(7)),
        id(json!("")),
        id(json!("a b")),
        id(json!("a\u{0}b")),
        id(json!("x".repeat(65))),
    ] {
        app.deliver(&plain(&[
            json!({ "eventTimeStamp": START, "maskedCard": masked }),
        ]));
        assert_eq!(
            verdict(&latest(&app)),
            "quarantined(no-card-id)",
            "{masked}"
        );
    }
    let (upper, lower) = ("CASE-a", "CASE-A");
    app.deliver(&plain(&[status(upper, Some(START), "ACTIVE")]));
    app.deliver(&plain(&[status(lower, Some(START), "SUSPENDED")]));
    assert_eq!(
        shown(&app, upper)["status"],
        "ACTIVE",
        "ids are case-sensitive"
    );
}
