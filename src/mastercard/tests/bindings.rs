//! A right signature is not enough: the answer must be for this request and this card, and new.

use std::sync::{Arc, Mutex};

use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use serde_json::{Value, json};

use super::support::*;
use crate::mastercard::seen::SeenIds;

const DAY: i64 = 86_400;

#[test]
fn j31_an_answer_to_another_request_or_for_another_card_is_refused() {
    let shop = Changing::start();
    let table: [(&[&str], Value, &str); 8] = [
        (
            &["srcCorrelationId"],
            json!("ff97ef9b-4b1e-40c2-b522-42197061dc5a"),
            "other-correlation-id",
        ),
        (&["srcCorrelationId"], Value::Null, "other-correlation-id"),
        (&["srcCorrelationId"], json!(""), "other-correlation-id"),
        (
            &["maskedCard", "srcDigitalCardId"],
            json!("another"),
            "other-card",
        ),
        (
            &["maskedCard", "srcDigitalCardId"],
            json!(CARD.to_lowercase()),
            "other-card",
        ),
        (
            &["maskedCard", "srcDigitalCardId"],
            Value::Null,
            "other-card",
        ),
        (&["maskedCard"], Value::Null, "other-card"),
        (&["maskedCard"], json!([]), "other-card"),
    ];
    let mut count = 0;
    for (path, value, reason) in table {
        let refused = shop.refusal(move |parts| {
            put(&mut parts.payload, path, &value);
        });
        assert_eq!(refused.as_deref(), Some(reason));
        count += 1;
    }
    println!("J-31 {count} answers to another request or for another card refused");
}

#[test]
fn j31_an_answer_signed_at_another_time_is_refused() {
    let shop = Changing::start();
    let now = NOW / 1000;
    let (mut refusals, mut believed) = (0, 0);
    for (iat, is_refused) in [
        (json!((now - DAY).to_string()), true),
        (json!((now + DAY).to_string()), true),
        (json!(now - 601), true),
        (json!(now + 601), true),
        (json!("then"), true),
        (json!(1.5), true),
        (json!(now - 599), false),
        (json!((now + 599).to_string()), false),
        (Value::Null, true),
    ] {
        let reason = is_refused.then_some("not-signed-just-now");
        let set = iat.clone();
        let refused = shop.refusal(move |parts| parts.header["iat"] = set.clone());
        assert_eq!(refused.as_deref(), reason, "in the header: {iat}");
        let set = iat.clone();
        let refused = shop.refusal(move |parts| {
            parts.header.as_object_mut().unwrap().remove("iat");
            parts.payload["iat"] = set.clone();
        });
        assert_eq!(refused.as_deref(), reason, "in the payload: {iat}");
        match is_refused {
            true => refusals += 2,
            false => believed += 2,
        }
    }
    let without = shop.refusal(|parts| {
        parts.header.as_object_mut().unwrap().remove("iat");
    });
    assert_eq!(without, None);
    println!(
        "J-31 {refusals} answers of other times refused, {believed} within ten minutes believed"
    );
}

#[test]
fn j31_an_answer_whose_id_came_before_is_refused() {
    let mut count = 0;
    for in_header in [true, false] {
        let other = Recorder::start(move |request| {
            ok(&checkout_answer(request, |parts| {
                let header = parts.header.as_object_mut().unwrap();
                header.remove("jti");
                match in_header {
                    true => parts.header["jti"] = json!("one"),
                    false => parts.payload["jti"] = json!("one"),
                }
            }))
        });
        let shop = shop(&other.address(), "");
        let ask = || shop.client.checkout(&checkout_request(), keyring());
        assert!(ask().is_ok());
        assert_eq!(ask().err().unwrap().reason, "repeated-answer");
        count += 1;
    }
    println!("J-31 {count} answers with an id that came before refused");
}

#[test]
fn j31_the_answer_to_one_request_is_none_to_the_next() {
    let captured = Arc::new(Mutex::new(None::<String>));
    let other = Recorder::start(move |request| {
        let mut captured = captured.lock().unwrap();
        let body = captured.get_or_insert_with(|| {
            checkout_answer(request, |parts| {
                parts.header.as_object_mut().unwrap().remove("jti");
            })
        });
        ok(body)
    });
    let shop = shop(&other.address(), "");
    let ask = || shop.client.checkout(&checkout_request(), keyring());
    assert!(ask().is_ok());
    let reason = ask().err().unwrap().reason;
    println!("J-31 the answer to one request, given to the next: {reason}");
    assert_eq!(reason, "other-correlation-id");
}

#[test]
fn an_answer_that_mastercard_did_not_sign_is_refused() {
    let foreign = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let table: [(Value, &str); 4] = [
        (json!({ "alg": "RS256", "kid": KID }), "jws-wrong-signature"),
        (
            json!({ "alg": "RS256", "kid": "foreign" }),
            "jws-unknown-kid",
        ),
        (json!({ "alg": "none", "kid": KID }), "jws-alg-not-allowed"),
        (json!({ "alg": "HS256", "kid": KID }), "jws-alg-not-allowed"),
    ];
    for (header, reason) in table {
        let foreign = foreign.clone();
        let other = Recorder::start(move |request| {
            let right: Value = serde_json::from_str(&checkout_answer(request, |_| ())).unwrap();
            let compact = right["checkoutResponseJWS"].as_str().unwrap();
            let payload = compact.split('.').nth(1).unwrap();
            let payload = base64_text(payload);
            let forged = signed_with(&foreign, &header, &payload);
            ok(&json!({ "checkoutResponseJWS": forged }).to_string())
        });
        let shop = shop(&other.address(), "");
        let answer = shop.client.checkout(&checkout_request(), keyring());
        assert_eq!(answer.err().unwrap().reason, reason);
    }
}

fn base64_text(part: &str) -> String {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    String::from_utf8(engine.decode(part).unwrap()).unwrap()
}

#[test]
fn an_id_is_remembered_until_ten_thousand_others_came() {
    let seen = SeenIds::default();
    assert!(seen.remember("first"));
    assert!((1..10_000).all(|number| seen.remember(&number.to_string())));
    assert!(!seen.remember("first"));
    assert!(seen.remember("one more"));
    assert!(seen.remember("first"));
    assert!(!seen.remember("9999"));
    assert!(seen.remember("1"));
}
