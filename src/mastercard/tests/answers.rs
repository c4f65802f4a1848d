//! What a believed Checkout answer says.

use serde_json::{Value, json};

use super::support::*;
use crate::domain::Expiry;
use crate::mastercard::CheckoutAnswer;
use crate::upstream::{CallFailure, FailureClass};

#[test]
fn a_signed_answer_is_opened() {
    let shop = Changing::start();
    let answer = shop.checkout(|_| ()).ok().unwrap();
    assert_eq!(answer.data.number.expose(), "5480983162311596");
    assert_eq!(answer.data.expiry, Expiry::parse("12", "2031"));
    let cryptogram = answer.cryptogram.unwrap();
    assert_eq!(cryptogram.expose(), "AAABBBCCCDDDEEEFFF0001112223==");
    assert_eq!(
        answer.dynamic_data_type,
        "CARD_APPLICATION_CRYPTOGRAM_SHORT_FORM"
    );
    assert_eq!(answer.cryptogram_expires_at, Some(1_784_987_085_385));
    assert_eq!(answer.token_last_four.unwrap(), "1596");
    assert_eq!(answer.masked["panLastFour"], "0747");
    assert_eq!(answer.masked["digitalCardData.descriptorName"], "Test Bank");
}

#[test]
fn the_flow_id_of_the_answer_is_handed_on_if_it_is_one() {
    let long = "x".repeat(256);
    for (id, is_one) in [
        ("1a2b.x_#", true),
        (&long[..255], true),
        (&long, false),
        ("a b", false),
    ] {
        let header =
            format!("200\nX-Src-Cx-Flow-Id: {id}\nX-Src-Response-Host: https://evil.example/");
        let other =
            Recorder::start(move |request| answer(&header, &checkout_answer(request, |_| ())));
        let shop = shop(&other.address(), "");
        let believed = shop.client.checkout(&checkout_request(), keyring());
        let flow_id = believed.ok().unwrap().flow_id;
        assert_eq!(flow_id.as_deref(), is_one.then_some(id));
    }
}

#[test]
fn a_cryptograms_expiry_is_read_in_every_form() {
    let shop = Changing::start();
    for (written, instant) in [
        (json!("2026-07-25T13:44:45.385Z"), Some(1_784_987_085_385)),
        (json!("2026-07-25T15:44:45+02:00"), Some(1_784_987_085_000)),
        (json!("1784987085"), Some(1_784_987_085_000)),
        (json!(1_784_987_085), Some(1_784_987_085_000)),
        (json!("1784987085385"), Some(1_784_987_085_385)),
        (Value::Null, None),
    ] {
        let set = written.clone();
        let answer = shop.checkout(move |parts| {
            parts.plaintext["dynamicData"]["dynamicDataExpiration"] = set.clone();
        });
        let answer = answer.ok().unwrap();
        assert_eq!(answer.cryptogram_expires_at, instant, "{written}");
    }
}

#[test]
fn an_answer_without_dynamic_data_has_no_cryptogram() {
    let shop = Changing::start();
    for dynamic_data in [
        Value::Null,
        json!({ "dynamicDataType": "NONE" }),
        json!({ "dynamicDataType": "NONE", "dynamicDataValue": null }),
    ] {
        let answer = shop.checkout(move |parts| {
            parts.plaintext["dynamicData"] = dynamic_data.clone();
        });
        let answer = answer.ok().unwrap();
        assert!(answer.cryptogram.is_none());
        assert_eq!(answer.dynamic_data_type, "NONE");
        assert_eq!(answer.data.number.expose(), "5480983162311596");
    }
}

#[test]
fn masked_digits_that_lost_their_zeros_are_four() {
    let shop = Changing::start();
    let answer = shop.checkout(|parts| parts.payload["maskedCard"]["tokenLastFour"] = json!(7));
    assert_eq!(answer.ok().unwrap().token_last_four.unwrap(), "0007");
    let answer = shop.checkout(|parts| parts.payload["maskedCard"]["tokenLastFour"] = json!(""));
    assert_eq!(answer.ok().unwrap().token_last_four, None);
}

fn assert_unusable(answer: Result<CheckoutAnswer, CallFailure>, reason: &str) {
    let failure = answer.err().unwrap();
    assert_eq!(failure.reason, reason);
    assert_eq!(failure.class, FailureClass::Retry, "{reason}");
    assert_eq!(failure.status, Some(200), "{reason}");
    assert!(failure.may_have_arrived, "{reason}");
}

#[test]
fn an_expired_cryptogram_is_asked_for_again() {
    let shop = Changing::start();
    for expiry in [
        json!("2026-07-20T10:00:00Z"),
        json!(1_784_541_599),
        json!("2020-01-01T00:00:00Z"),
    ] {
        let answer = shop.checkout(move |parts| {
            parts.plaintext["dynamicData"]["dynamicDataExpiration"] = expiry.clone();
        });
        assert_unusable(answer, "expired-cryptogram");
    }
}

#[test]
fn content_that_is_not_what_is_documented_is_not_believed() {
    let shop = Changing::start();
    let paths: [(&[&str], Value); 16] = [
        (&["token"], Value::Null),
        (&["token"], json!("5480983162311596")),
        (&["token", "paymentToken"], Value::Null),
        (&["token", "paymentToken"], json!("548098316231159X")),
        (&["token", "paymentToken"], json!("123")),
        (&["token", "tokenExpirationMonth"], json!("13")),
        (&["token", "tokenExpirationMonth"], Value::Null),
        (&["token", "tokenExpirationYear"], json!("31 ")),
        (&["dynamicData"], json!([])),
        (&["dynamicData", "dynamicDataValue"], json!("")),
        (&["dynamicData", "dynamicDataValue"], json!(5)),
        (&["dynamicData", "dynamicDataValue"], json!("a b")),
        (&["dynamicData", "dynamicDataType"], json!("short form")),
        (&["dynamicData", "dynamicDataType"], Value::Null),
        (&["dynamicData", "dynamicDataExpiration"], json!("soon")),
        (&["dynamicData", "dynamicDataExpiration"], json!(1.5)),
    ];
    for (path, value) in paths {
        let answer = shop.checkout(move |parts| {
            put(&mut parts.plaintext, path, &value);
        });
        assert_unusable(answer, "wrong-schema");
    }
    assert_unusable(
        shop.checkout(|parts| parts.plaintext = json!([1])),
        "wrong-schema",
    );
}

#[test]
fn an_answer_that_cannot_be_opened_is_asked_for_again() {
    let shop = Changing::start();
    let answer = shop.checkout(|parts| parts.payload["encryptedPayload"] = "a.b.c.d.e".into());
    assert_unusable(answer, "undecryptable");
    let answer = shop.checkout(|parts| parts.payload["encryptedPayload"] = json!({}));
    assert_unusable(answer, "wrong-schema");
    let foreign = "eyJhbGciOiJSU0EtT0FFUC0yNTYiLCJlbmMiOiJBMTI4R0NNIiwia2lkIjoieCJ9";
    let rest = ".AAAA.AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA";
    let token = format!("{foreign}{rest}");
    let answer = shop.checkout(move |parts| {
        parts.payload["encryptedPayload"] = token.as_str().into();
    });
    assert_unusable(answer, "unknown-key");
}

#[test]
fn a_success_without_a_signed_answer_is_not_believed() {
    let html = "<html>Welcome</html>";
    let table = [
        (ok(""), "not-json"),
        (ok(html), "not-json"),
        (ok("[]"), "not-json"),
        (ok("{\"a\":1,\"a\":2}"), "not-json"),
        (ok("{}"), "wrong-schema"),
        (ok("{\"checkoutResponseJWS\":null}"), "wrong-schema"),
        (ok("{\"checkoutResponseJWS\":\"\"}"), "jws-malformed"),
        (ok("{\"checkoutResponseJWS\":\"a.b.c\"}"), "jws-malformed"),
        (answer("201", "{}"), "wrong-schema"),
        (answer("202", ""), "not-json"),
        (answer("204", ""), "not-json"),
        (answer("200\ncontent-encoding: gzip", "\u{1f}"), "not-json"),
    ];
    for (bytes, reason) in table {
        let other = Recorder::start(move |_| bytes.clone());
        let shop = shop(&other.address(), "");
        let failure = shop.client.checkout(&checkout_request(), keyring());
        let failure = failure.err().unwrap();
        assert_eq!(
            (failure.class, failure.reason.as_str()),
            (FailureClass::Retry, reason)
        );
        assert!(failure.may_have_arrived);
    }
}

/// The form in which Mastercard's specification displays an answer.
fn exploded(request: &Heard) -> String {
    let compact: Value = serde_json::from_str(&checkout_answer(request, |_| ())).unwrap();
    let compact = compact["checkoutResponseJWS"].as_str().unwrap().to_owned();
    let part = |place: usize| -> Value {
        use base64::Engine as _;
        let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let part = compact.split('.').nth(place).unwrap();
        serde_json::from_slice(&engine.decode(part).unwrap()).unwrap()
    };
    let jws = json!({ "jose_header": part(0), "jws_payload": part(1), "jws_signature": "x" });
    json!({ "checkoutResponseJWS": jws }).to_string()
}

#[test]
fn an_answer_without_a_signature_is_believed_only_if_the_setting_says_so() {
    let ask = |more: &str, request| {
        let other = Recorder::start(|request| ok(&exploded(request)));
        let shop = shop(&other.address(), more);
        shop.client.checkout(&request, keyring())
    };
    assert_unusable(ask("", checkout_request()), "cannot-be-verified");
    let accepting = "accept_unverified_checkout = true";
    let answer = ask(accepting, checkout_request()).ok().unwrap();
    assert_eq!(answer.data.number.expose(), "5480983162311596");
    // What binds it to the request is checked all the same.
    let mut other_card = checkout_request();
    other_card.card_id = crate::domain::CardId::parse("another").unwrap();
    assert_unusable(ask(accepting, other_card), "other-card");
}
