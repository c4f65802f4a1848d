//! What is encrypted for one place counts in no other, and nothing is opened twice.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jws::{JwsSigner as _, RS256};
use rstest::rstest;
use serde_json::{Value, json};

use crate::processing_answers::{jwe_of, payload_key};
use crate::support::build::{CARD, KID, NUMBER_1, payment_jwe, plain, refresh_with};
use crate::support::{App, Backend, START};

/// A JWS around any text, signed by a key that is known.
fn jws_of(text: &[u8]) -> String {
    let signer = RS256.signer_from_pem(payload_key()).unwrap();
    let header = format!(r#"{{"alg":"RS256","kid":"{KID}"}}"#);
    let signed = [header.as_bytes(), text].map(|part| URL_SAFE_NO_PAD.encode(part));
    let signed = signed.join(".");
    let signature = signer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Sends each token as the part of a card of its own, then as a body; returns what holds the parts and the bodies.
fn held(app: &App, tokens: &[Value]) -> (Vec<String>, Vec<String>) {
    let mut of_parts = Vec::new();
    for (number, token) in tokens.iter().enumerate() {
        let card = format!("card-{number}");
        let mut part = refresh_with(&card, START - 1_000, "");
        part["paymentData"] = token.clone();
        app.deliver(&plain(&[part]));
        assert!(app.card(&card).unwrap().card.token.is_none());
        of_parts.extend(app.verdicts(&card));
    }
    let count = |app: &App| {
        app.get("/v1/cards").json()["cards"]
            .as_array()
            .unwrap()
            .len()
    };
    let cards = count(app);
    for token in tokens {
        app.deliver(&json!({ "encryptedDigitalCardUpdateNotifications": token }));
    }
    assert_eq!(count(app), cards);
    let all = app.get("/v1/notifications").json();
    let items = all["notifications"].as_array().unwrap().iter();
    let bodies = items.filter(|item| item["cardId"].is_null());
    let word = |item: &Value| item["verdict"].as_str().unwrap().to_owned();
    (of_parts, bodies.map(word).collect())
}

#[rstest]
fn j23_j25_json_forms_and_tokens_in_tokens_are_held_and_change_no_token(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let inner = payment_jwe(NUMBER_1, ("12", "2031"));
    let parts: Vec<&str> = inner.split('.').collect();
    let flattened = json!({
        "protected": parts[0], "encrypted_key": parts[1], "iv": parts[2],
        "ciphertext": parts[3], "tag": parts[4],
    });
    let general = json!({
        "protected": parts[0], "recipients": [{ "encrypted_key": parts[1] }],
        "iv": parts[2], "ciphertext": parts[3], "tag": parts[4],
    });
    let payment = json!({ "paymentToken": NUMBER_1 }).to_string();
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    let tokens = [
        json!(flattened.to_string()),
        json!(general.to_string()),
        json!(json!(inner).to_string()),
        json!(jwe_of(inner.as_bytes())),
        json!(jwe_of(json!(inner).to_string().as_bytes())),
        json!(jwe_of(
            json!({ "paymentData": inner }).to_string().as_bytes()
        )),
        json!(jwe_of(
            json!({ "paymentToken": inner }).to_string().as_bytes()
        )),
        json!(jws_of(payment.as_bytes())),
        json!(jwe_of(jws_of(payment.as_bytes()).as_bytes())),
        json!(format!("{header}.{}.", URL_SAFE_NO_PAD.encode(payment))),
        flattened,
        general,
    ];
    let (parts, bodies) = held(&app, &tokens);
    let quarantined = parts
        .iter()
        .filter(|verdict| *verdict == "quarantined(unreadable)");
    println!(
        "J-25 {} of {} JSON forms and nested tokens held as a part, {} as a body",
        quarantined.clone().count(),
        tokens.len(),
        bodies.len()
    );
    assert_eq!(quarantined.count(), tokens.len(), "{parts:?}");
    assert!(
        bodies.iter().all(|verdict| verdict == "quarantined"),
        "{bodies:?}"
    );
    assert_eq!(bodies.len(), tokens.len());
}

#[rstest]
fn j27_the_payload_of_a_checkout_answer_is_held_as_a_part_and_as_a_body(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let payload = json!({
        "token": {
            "paymentToken": NUMBER_1, "tokenExpirationMonth": "12", "tokenExpirationYear": "2031",
        },
        "dynamicData": {
            "dynamicDataValue": crate::canaries::CRYPTOGRAM,
            "dynamicDataType": "CARD_APPLICATION_CRYPTOGRAM_SHORT_FORM",
            "dynamicDataExpiration": "2026-07-25T13:44:45.385Z",
        },
    });
    let encrypted = jwe_of(payload.to_string().as_bytes());
    let signed = json!({ "srcCorrelationId": "1", "encryptedPayload": encrypted }).to_string();
    let tokens = [json!(encrypted), json!(jws_of(signed.as_bytes()))];
    let (parts, bodies) = held(&app, &tokens);
    let together = [&parts[..], &bodies[..]].concat();
    let held = together
        .iter()
        .filter(|verdict| verdict.starts_with("quarantined"));
    let cryptograms = app
        .database
        .number("SELECT count(*) AS number FROM cryptograms");
    println!(
        "J-27 {} of 4 Checkout payloads held, {cryptograms} cryptograms stored",
        held.clone().count()
    );
    assert_eq!((held.count(), cryptograms), (4, 0), "{together:?}");
}

#[rstest]
fn j27_a_part_sent_as_a_body_and_a_body_sent_as_a_part_are_held_and_change_no_token(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let list = json!([refresh_with(
        CARD,
        START - 1_000,
        &payment_jwe(NUMBER_1, ("12", "2031"))
    )]);
    let body_jwe = jwe_of(list.to_string().as_bytes());
    let part_jwe = payment_jwe(NUMBER_1, ("12", "2031"));
    app.deliver(&json!({ "encryptedDigitalCardUpdateNotifications": part_jwe }));
    app.deliver(&plain(&[refresh_with(CARD, START - 1_000, &body_jwe)]));
    assert_eq!(app.verdicts(CARD), ["quarantined(unreadable)"]);
    assert!(app.card(CARD).unwrap().card.token.is_none());
    let all = app.get("/v1/notifications").json();
    let holds: Vec<&str> = all["notifications"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["verdictReason"].as_str().unwrap())
        .collect();
    println!(
        "J-27 {} of 2 parts and bodies in each other's place held: {holds:?}",
        holds.len()
    );
    assert_eq!(holds, ["unreadable", "no-card-id"]);
}
